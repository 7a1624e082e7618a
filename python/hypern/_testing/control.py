"""Transaction commands that code under test sends as plain SQL."""

from __future__ import annotations

import re
from enum import Enum, auto

_COMMENT = re.compile(r"\s+|--[^\n]*|/\*.*?\*/", re.DOTALL)
_WORDS = re.compile(r"[A-Za-z_]\w*")


class Control(Enum):
    """What a statement does to the transaction."""

    NOTHING = auto()
    BEGIN = auto()
    COMMIT = auto()
    ROLLBACK = auto()
    SAVEPOINT = auto()  # SAVEPOINT, RELEASE
    ROLLBACK_TO = auto()
    PREPARE = auto()  # two-phase commit


def control_of(sql: str) -> Control:
    """What a statement does to the transaction, going by its first words."""
    at = 0
    while match := _COMMENT.match(sql, at):
        at = match.end()
    first = _WORDS.match(sql, at)
    if first is None or first.group().upper() not in _FIRST_WORDS:
        return Control.NOTHING
    words = [word.upper() for word in _WORDS.findall(_COMMENT.sub(" ", sql[at:]))]
    if words[0] == "PREPARE" or "PREPARED" in words[:2]:
        return Control.PREPARE if words[1:2] in (["TRANSACTION"], ["PREPARED"]) else Control.NOTHING
    if words[0] == "ROLLBACK" and "TO" in words:
        return Control.ROLLBACK_TO
    return _FIRST_WORDS[words[0]]


_FIRST_WORDS = {
    "BEGIN": Control.BEGIN,
    "START": Control.BEGIN,
    "COMMIT": Control.COMMIT,
    "END": Control.COMMIT,
    "ROLLBACK": Control.ROLLBACK,
    "ABORT": Control.ROLLBACK,
    "SAVEPOINT": Control.SAVEPOINT,
    "RELEASE": Control.SAVEPOINT,
    "PREPARE": Control.NOTHING,
}
