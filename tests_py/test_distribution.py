"""What is installed, and under which name: every text agrees with pyproject.toml.

The package index has another project under the name of the package that is imported.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from setuptools.errors import PlatformError
from support import RunPython

import hypern
from build_backend import extensions
from hypern import _libc
from tools.wheels import target

ROOT = Path(__file__).resolve().parent.parent
DISTRIBUTION = "hypern-database"
FIRST_SCREEN = 24  # lines

# The other project's name where an installer would read it: with extras, or as a requirement.
OTHER_PROJECT = re.compile(
    r"""(?<![\w./-])hypern(?:
            \s*\[\s*(?:app|embedded|test)\b  # with an extra
          | \s*(?:[=~<>!]=|>|<)\s*\d         # with a version
        )
      | \b(?:pip|pipx|uv\ pip|uv|poetry|pdm)3?\s+(?:install|add)\b[^\n`]*?[\s'"`]hypern(?![\w./-])
    """,
    re.VERBOSE,
)
SUFFIXES = (".md", ".py", ".pyi", ".toml", ".txt", ".cfg", ".c", ".h", ".go", ".yml")
SKIPPED = {".venv", ".venv-bench", ".git", "build", "dist", "node_modules"}
# The other project is one of the drivers measured, in an environment of its own.
MEASURED = {"bench/requirements/original.txt", "bench/drivers/original_driver.py"}


def texts() -> list[Path]:
    found = [ROOT / "Makefile"]
    for directory, inner, names in os.walk(ROOT):
        inner[:] = set(inner) - SKIPPED  # not even walked: build may hold a whole system
        found += [Path(directory, name) for name in names if name.endswith(SUFFIXES)]
    return [
        path
        for path in found
        if path != Path(__file__).resolve() and path.relative_to(ROOT).as_posix() not in MEASURED
    ]


@pytest.mark.parametrize(
    "text",
    [
        "pip install hypern",
        "pip install --upgrade 'hypern'",
        "pip install psycopg hypern\n",
        "uv add hypern",
        "needs an extra: pip install 'hypern[app]'",
        '["hypern[embedded]", "pytest"]',
        "hypern>=0.1",
    ],
)
def test_an_instruction_that_names_the_other_project_is_noticed(text: str) -> None:
    assert OTHER_PROJECT.search(text)


@pytest.mark.parametrize(
    "text", ["pip install 'hypern-database[app]'", "pip install .", "cd hypern\npip install ."]
)
def test_an_instruction_that_names_ours_is_not(text: str) -> None:
    assert not OTHER_PROJECT.search(text)


def test_no_text_tells_anyone_to_install_the_other_project() -> None:
    found = texts()
    assert {ROOT / "README.md", ROOT / "python" / "hypern" / "embedded.py"} <= set(found)
    wrong = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in found
        for match in OTHER_PROJECT.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not wrong


def test_the_distribution_is_not_named_as_the_package_is() -> None:
    assert distribution(DISTRIBUTION).name == DISTRIBUTION
    assert DISTRIBUTION in packages_distributions()["hypern"]
    extras = distribution(DISTRIBUTION).metadata.get_all("Provides-Extra") or []
    assert {"app", "embedded", "otel", "sqlalchemy", "test"} <= set(extras)
    install = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert not [extra for extra in extras if f"hypern-database[{extra}]" not in install]


def test_every_text_names_extras_that_exist() -> None:
    extras = set(distribution(DISTRIBUTION).metadata.get_all("Provides-Extra") or [])
    named = {
        (extra.strip(), text.relative_to(ROOT).as_posix())
        for text in texts()
        for found in re.findall(r"hypern-database\[([\w, -]+)\]", text.read_text(encoding="utf-8"))
        for extra in found.split(",")
    }
    assert {"app", "embedded"} <= {extra for extra, _ in named}
    assert not {(extra, text) for extra, text in named if extra not in extras}


def test_the_version_and_the_interpreters_are_the_same_everywhere() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "([^"]+)"$', project, re.MULTILINE)
    assert version is not None
    assert version[1] == hypern.__version__
    classified = re.findall(r"Programming Language :: Python :: (3\.\d+)", project)
    assert tuple(classified) == target.PYTHONS
    assert f'requires-python = ">={target.PYTHONS[0]}"' in project
    install = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert f"CPython {target.PYTHONS[0]} to {target.PYTHONS[-1]}" in " ".join(install.split())


def test_another_distribution_with_the_same_package_is_warned_of_once(
    run_python: RunPython, tmp_path: Path
) -> None:
    place = tmp_path / "site-packages"
    (place / "hypern-1.1.4.dist-info").mkdir(parents=True)
    (place / "hypern_database-0.1.0.dist-info").mkdir()
    (place / "hypern-not-it").mkdir()
    code = """
        import importlib, sys, warnings

        sys.path.extend(sys.argv[1:])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import hypern
            import hypern.database
        for warning in caught:
            print(warning.category.__name__, warning.message)
    """
    lines = run_python(code, str(place)).stdout.splitlines()
    assert len(lines) == 1, lines
    for part in ("RuntimeWarning", DISTRIBUTION, "hypern 1.1.4", str(place), "pip uninstall"):
        assert part in lines[0]
    assert run_python(code, str(tmp_path / "missing-packages")).stdout == ""


def test_an_import_on_another_c_library_names_an_image(run_python: RunPython) -> None:
    code = """
        import os, sys

        sys.modules["hypern._native"] = None  # it does not load
        if sys.argv[1:]:
            del os.confstr_names["CS_GNU_LIBC_VERSION"]
        try:
            import hypern
        except ImportError as error:
            print(error)
    """
    assert "python:3.13-slim" in run_python(code, "musl").stdout
    assert "_native" in run_python(code).stdout


def test_a_build_on_another_c_library_names_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    extensions.check_libc()
    monkeypatch.setattr(os, "confstr_names", {})
    with pytest.raises(PlatformError, match=r"python:3\.13-slim"):
        extensions.check_libc()
    assert extensions.MUSL == _libc.IMAGE


def test_hypern_without_its_extra_names_what_to_install() -> None:
    code = (
        "import sys; sys.modules['starlette'] = None\n"
        "try:\n    from hypern import Hypern\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"pip install '{DISTRIBUTION}[app]'" in done.stdout


@pytest.mark.parametrize(
    "page", ["README.md", "docs/async.md", "docs/frameworks/README.md", "docs/spec/database.md"]
)
def test_the_first_screen_says_what_commits(page: str) -> None:
    head = (ROOT / page).read_text(encoding="utf-8").splitlines()[:FIRST_SCREEN]
    words = " ".join(" ".join(head).replace(">", " ").split()).lower()
    assert "each statement commits by itself unless a transaction is open" in words


def test_the_specification_is_marked_as_the_originals() -> None:
    page = (ROOT / "docs" / "spec" / "database.md").read_text(encoding="utf-8")
    assert page.index("specification of the original") < page.index("## Features")
    for text in texts():
        if text.suffix == ".md":
            assert "whole API" not in text.read_text(encoding="utf-8"), text
