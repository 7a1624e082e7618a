"""What is installed, and under which name: every text agrees with pyproject.toml.

The package index has another project under the name of the package that is imported.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

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
TEXTS = ("*.md", "*.py", "*.pyi", "*.toml", "*.txt", "*.cfg", "*.c", "*.h", "*.go", "*.yml")
SKIPPED = {".venv", ".git", "build", "dist", "node_modules"}
# The other project is one of the drivers measured, in an environment of its own.
MEASURED = {"bench/requirements/original.txt", "bench/drivers/original_driver.py"}


def texts() -> list[Path]:
    found = [path for pattern in TEXTS for path in ROOT.rglob(pattern)] + [ROOT / "Makefile"]
    return [
        path
        for path in found
        if path != Path(__file__).resolve()
        and path.relative_to(ROOT).as_posix() not in MEASURED
        and not SKIPPED.intersection(path.relative_to(ROOT).parts)
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
    assert {"app", "embedded", "test"} <= set(extras)


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
