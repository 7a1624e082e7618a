"""The pages for developers name files and folders that exist, and functions that are in them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("CONTRIBUTING.md", "docs/architecture.md")

# Where a page may start a path: `awaited/events.c` is in python/native.
BASES = ("", "python/", "python/native/", "python/hypern/", "go/", "docs/", "tests_py/")

_NOT_OURS = {"build", "dist", "__pycache__", "node_modules"}

_SPAN = re.compile(r"`([^`\n]+)`")
_BLOCK = re.compile(r"^    (\S.*)$", re.M)
_PATH = re.compile(r"[\w.*-]*[\w*-](?:/[\w.*-]*)+|\w+\.(?:c|h|go|md|pyi?|toml)\b")
_PLACE = re.compile(r"`(?:\w+\.)?(\w+)(?:\([^`]*\))?`\s+(?:in\s+|\()`([\w/.]+\.(?:c|h|go|py))`")
# Commands with words that look like a path.
_FOREIGN = re.compile(r"make |ls -l /proc|strace ")


def files() -> set[str]:
    """Every file of the repository, and every folder with a slash behind it."""
    present: set[str] = set()
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in _NOT_OURS and not f.startswith(".")]
        at = Path(folder).relative_to(ROOT)
        present |= {(at / name).as_posix() for name in names} | {f"{at.as_posix()}/"}
    return present


def found(path: str, known: set[str]) -> bool:
    """Whether a file or folder has this path, from one of the bases; or this name, without one."""
    path = path.removesuffix("...")
    if "/" not in path:
        return any(name.rpartition("/")[2] == path for name in known)
    return any(base + path in known or f"{base}{path.rstrip('/')}/" in known for base in BASES)


def paths_of(text: str) -> set[str]:
    """The paths that a page names, in `spans` and in indented blocks."""
    named = [*_SPAN.findall(text), *_BLOCK.findall(text)]
    return {
        path.rstrip(".")
        for span in named
        if "://" not in span and not _FOREIGN.match(span)
        for path in _PATH.findall(span)
        if "*" not in path and not path.startswith((".venv/", "proc/"))
    }


def wrong_places(text: str, known: set[str]) -> list[str]:
    """Each function that a page says is in a file, and that is not."""
    wrong = []
    for name, path in _PLACE.findall(text):
        bodies = [
            (ROOT / file).read_text(encoding="utf-8")
            for file in known
            if file == path or file.endswith(f"/{path}")
        ]
        if not any(re.search(rf"\b{name}\b", body) for body in bodies):
            wrong.append(f"{name} in {path}")
    return wrong


def test_a_path_and_a_function_that_do_not_exist_are_noticed() -> None:
    known = files()
    text = (
        "`awaited/nothing.c` and `awaited/events.c`, `nobody` (`awaited/events.c`)\n\n    go/nil x"
    )
    assert {p for p in paths_of(text) if not found(p, known)} == {"awaited/nothing.c", "go/nil"}
    assert wrong_places(text, known) == ["nobody in awaited/events.c"]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    known = files()
    assert len(paths_of(text)) > 20
    assert sorted(path for path in paths_of(text) if not found(path, known)) == []
    assert wrong_places(text, known) == []
