"""Transaction commands that code under test sends as plain SQL, read as PostgreSQL reads them."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

_SKIPPED = re.compile(r"[ \t-\r;]+|--[^\n\r]*")
_COMMENT_MARK = re.compile(r"/\*|\*/")
_TOKEN = re.compile(r'"(?:[^"]|"")*"|[A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*')
_LONGEST_NAME = 63  # bytes


class Control(Enum):
    """What a statement does to the transaction."""

    NOTHING = auto()
    BEGIN = auto()
    COMMIT = auto()
    ROLLBACK = auto()
    SAVEPOINT = auto()
    RELEASE = auto()
    ROLLBACK_TO = auto()
    PREPARE = auto()  # two-phase commit


class Command(NamedTuple):
    """A transaction command. savepoint (str): its name, "" where there is none that can be read.
    is_chained: bool, AND CHAIN.
    """

    control: Control
    savepoint: str = ""
    is_chained: bool = False


def control_of(sql: str) -> Command:
    """What a statement does to the transaction, going by its words."""
    at = _skip(sql, 0)
    first = _TOKEN.match(sql, at)
    if first is None or first.group().lower() not in _FIRST_WORDS:
        return Command(Control.NOTHING)
    names = _names(sql, at)
    words = [name.lower() for name in names] + [""]
    first_word = words.pop(0)
    if "prepared" in words[:1] or (first_word == "prepare" and words[0] == "transaction"):
        return Command(Control.PREPARE)
    if words[0] in ("work", "transaction"):
        del words[0]
    if first_word == "rollback" and words[0] == "to":
        return Command(Control.ROLLBACK_TO, _savepoint(names))
    control = _FIRST_WORDS[first_word]
    if control in (Control.SAVEPOINT, Control.RELEASE):
        return Command(control, _savepoint(names))
    return Command(control, is_chained=words[:2] == ["and", "chain"])


def may_write(sql: str) -> bool:
    """Whether a statement may write: False only for a query that calls no function."""
    first = _TOKEN.match(sql, _skip(sql, 0))
    return first is None or "(" in sql or first.group().lower() not in ("select", "table", "show")


_FIRST_WORDS = {
    "begin": Control.BEGIN,
    "start": Control.BEGIN,
    "commit": Control.COMMIT,
    "end": Control.COMMIT,
    "rollback": Control.ROLLBACK,
    "abort": Control.ROLLBACK,
    "savepoint": Control.SAVEPOINT,
    "release": Control.RELEASE,
    "prepare": Control.NOTHING,
}


def _skip(sql: str, at: int) -> int:
    """Where the next token begins: behind space, comments and empty statements."""
    while True:
        if match := _SKIPPED.match(sql, at):
            at = match.end()
        elif sql.startswith("/*", at):
            at = _end_of_comment(sql, at)
        else:
            return at


def _end_of_comment(sql: str, at: int) -> int:
    depth = 0
    while match := _COMMENT_MARK.search(sql, at):
        depth += 1 if match.group() == "/*" else -1
        at = match.end()
        if depth == 0:
            return at
    return len(sql)


def _names(sql: str, at: int) -> list[str]:
    """The words and names from there on, quoted ones in their quotes; up to anything else."""
    names = []
    while match := _TOKEN.match(sql, at):
        names.append(match.group())
        at = _skip(sql, match.end())
    return names


def _savepoint(names: list[str]) -> str:
    """The savepoint's name, which is the last word of such a command, as the server stores it."""
    name = names[-1]
    if name.startswith('"'):
        name = name[1:-1].replace('""', '"')
    else:
        name = "".join(c.lower() if c.isascii() else c for c in name)
    return name.encode()[:_LONGEST_NAME].decode(errors="ignore")
