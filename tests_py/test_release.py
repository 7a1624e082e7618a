"""How a release is made: the workflow, the checks before it, and the texts that go with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tools import audit, release
from tools.wheels.__main__ import version

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
CHANGELOG = "# Changelog\n\n## [0.3.0] - 2027-01-02\n\n## [0.2.0] - 2026-11-29\n"
PACKAGE = '__version__ = "0.3.0"\n'


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z/]+):", makefile, re.MULTILINE))


def test_the_workflow_runs_targets_of_the_makefile_and_nothing_else() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert len(commands) >= 5
    called = []
    for command in commands:
        pattern = r'(?:sudo (?:--preserve-env=PATH )?)?make ([a-z/]+)(?: [A-Z_]+="?[\w$]+"?)?'
        found = re.fullmatch(pattern, command)
        assert found, command
        called.append(found[1])
    assert set(called) <= targets()
    # What is published is built, tried and checked before, in this order.
    assert called[-3:] == ["wheels", "test/wheels", "release"]
    assert "audit" in called


def test_only_the_publication_may_identify_itself_and_it_holds_no_token() -> None:
    text = WORKFLOW.read_text("utf-8")
    flow = yaml.safe_load(text)
    assert flow["permissions"] == {}
    allowed = {name for name, job in flow["jobs"].items() if "id-token" in job["permissions"]}
    assert allowed == {"publish"}
    assert flow["jobs"]["publish"]["needs"] == "build"
    assert not re.search(r"secrets\.|password|token:(?! write)", text)
    used = [step.get("uses", "") for step in flow["jobs"]["publish"]["steps"]]
    assert any(action.startswith("pypa/gh-action-pypi-publish@") for action in used)
    assert any(action.startswith("actions/attest-build-provenance@") for action in used)


def test_a_release_has_one_version_everywhere() -> None:
    assert list(release.problems("0.3.0", "v0.3.0", CHANGELOG, PACKAGE)) == []
    assert list(release.problems("0.3.0", None, CHANGELOG, PACKAGE)) == []


@pytest.mark.parametrize(
    ("number", "tag", "changelog", "expected"),
    [
        ("0.3.0", "v0.2.0", CHANGELOG, "the tag is v0.2.0, not v0.3.0"),
        ("0.4.0", None, CHANGELOG, "the top section of CHANGELOG.md is 0.3.0, not 0.4.0"),
        ("0.4.0", None, CHANGELOG, "hypern.__version__ is not 0.4.0"),
        ("0.3.0", None, "## [Unreleased]\n", "is Unreleased, not 0.3.0"),
        ("0.3.0", None, "## [0.3.0]\n", "the section 0.3.0 of CHANGELOG.md has no date"),
        ("0.3.0", None, "nothing", "is None, not 0.3.0"),
    ],
)
def test_what_is_no_release_is_refused(
    number: str, tag: str | None, changelog: str, expected: str
) -> None:
    found = "\n".join(release.problems(number, tag, changelog, PACKAGE))
    assert expected in found


def test_this_tree_could_be_released() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    package = (ROOT / "python" / "hypern" / "__init__.py").read_text("utf-8")
    assert list(release.problems(version(), None, changelog, package)) == []


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ('[project.urls]\nSource = "https://forge.net/a/hypern"\n', []),
        ('[project.urls]\nSource = "https://forge.net/OWNER/hypern"\n[tool.x]\n', ["placeholder"]),
        ('[project.urls]\nHome = "https://a.net"\n[x]\nSource = "https://a.net"\n', ["no Source"]),
        ("[project]\n", ["no Source"]),
    ],
)
def test_a_release_says_where_its_source_is(urls: str, expected: list[str]) -> None:
    found = list(release.unaddressed(urls))
    assert len(found) == len(expected)
    assert all(part in text for part, text in zip(expected, found, strict=True))


def test_no_text_has_a_placeholder_for_the_repository() -> None:
    for name in ("SECURITY.md", "README.md", "mkdocs.yml", "pyproject.toml"):
        assert "OWNER" not in (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize(
    ("program", "status", "errors", "expected"),
    [
        ("govulncheck", 0, "", "nothing found"),
        ("govulncheck", 1, "exit status 3", "FOUND VULNERABILITIES, see above"),
        ("govulncheck", 1, "no such host\nexit status 1", "COULD NOT LOOK, so nothing is known"),
        ("pip-audit", 0, "", "nothing found"),
        ("pip-audit", 1, "Found 1 known vulnerability in 1 package", "FOUND VULNERABILITIES"),
        ("pip-audit", 1, "x could not be audited: x (1)", "COULD NOT LOOK"),
    ],
)
def test_an_audit_that_could_not_look_has_found_nothing_out(
    program: str, status: int, errors: str, expected: str
) -> None:
    assert audit.verdict(program, status, errors).startswith(f"{program}: {expected}")


def test_the_audit_covers_what_each_extra_installs() -> None:
    lines = ["starlette>=0.40; extra == 'app'", "hypern-database[embedded]; extra == 'test'"]
    assert audit.requirements([*lines, "pytest>=8 ; extra == 'test'"]) == [
        "pytest>=8",
        "starlette>=0.40",
    ]


def test_the_supported_versions_are_those_that_wheels_are_built_for() -> None:
    text = (ROOT / "docs" / "support.md").read_text("utf-8")
    assert "3.10 to 3.15" in text
    assert ">=0.2,<0.3" in text
    assert version().startswith("0.2.")
    security = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "docs/support.md" in security
    assert f"hypern_database-{version()}-" in security
