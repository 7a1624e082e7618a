"""The code blocks of a page, and hidden code between them, in the order of the page.

A block is fenced or indented. An HTML comment, which no reader sees, may stand ahead of it:

    <!-- not run: why -->        the next block is not run
    <!-- raises: UniqueViolation -->   the next block must end with this exception
    <!-- from: 3.14 -->          the next block takes this CPython, and is left out on others
    <!-- run: code -->           Python that runs here: what the page takes for granted, and checks
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^( *)```+([\w+-]*)(.*)$")
_COMMENT = re.compile(r"<!--\s*(not run|raises|from|run):\s*(.*?)\s*-->", re.DOTALL)
_LIST = re.compile(r"^\s*(?:[-*+]|\d+\.) ")


@dataclass(frozen=True)
class Block:
    """A block of code; language "hidden" is that of a comment's code."""

    line: int
    language: str
    title: str
    code: str
    reason: str | None = None
    raises: str | None = None
    since: tuple[int, ...] = ()


def read(text: str) -> list[Block]:
    """The blocks of a page."""
    blocks: list[Block] = []
    lines = text.splitlines()
    reason = raises = None
    since: tuple[int, ...] = ()
    in_list = False
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("<!--"):
            start = at
            while "-->" not in lines[at]:
                at += 1
            found = _COMMENT.match("\n".join(lines[start : at + 1]))
            if found and found[1] == "run":
                # Counted from the code's own first line.
                code = textwrap.dedent(found[2])
                first = start + (0 if found[2].split("\n")[0] in line else 1)
                blocks.append(Block(first + 1, "hidden", "", code))
            elif found and found[1] == "not run":
                reason = " ".join(found[2].split())
            elif found and found[1] == "from":
                since = tuple(map(int, found[2].split(".")))
            elif found:
                raises = found[2]
        elif fence := _FENCE.match(line):
            start, code_lines = at, []
            at += 1
            while not re.match(r"^ *```+\s*$", lines[at]):
                code_lines.append(lines[at])
                at += 1
            title = re.search(r'title="([^"]+)"', fence[3])
            code = textwrap.dedent("\n".join(code_lines)) + "\n"
            name = title[1] if title else ""
            blocks.append(Block(start + 2, fence[2], name, code, reason, raises, since))
            reason, raises, since = None, None, ()
        elif line.startswith("    ") and not in_list and (at == 0 or not lines[at - 1].strip()):
            start, code_lines = at, []
            while at < len(lines) and (lines[at].startswith("    ") or not lines[at].strip()):
                code_lines.append(lines[at])
                at += 1
            at -= 1
            code = textwrap.dedent("\n".join(code_lines)).rstrip() + "\n"
            blocks.append(Block(start + 1, "", "", code, reason, raises))
            reason = raises = None
        elif line.strip() and not line.startswith(" "):
            in_list = bool(_LIST.match(line))
        at += 1
    return blocks
