"""The BEGIN statement for the options of a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypern._literals import Isolation
# For a block that is not to be a savepoint in an atomic scope.
OWN_BEGIN = "own BEGIN"

_ISOLATION_LEVELS = ("read uncommitted", "read committed", "repeatable read", "serializable")


def begin_sql(isolation: Isolation | None, read_only: bool | None, deferrable: bool | None) -> str:
    """The BEGIN statement for the options of `DbSession.begin`."""
    if isolation is None and read_only is None and deferrable is None:
        return "BEGIN"
    words = ["BEGIN"]
    if isolation is not None:
        if not isinstance(isolation, str):
            raise TypeError(f"isolation must be a str, not {type(isolation).__name__}")
        level = " ".join(isolation.replace("_", " ").lower().split())
        if level not in _ISOLATION_LEVELS:
            raise ValueError(f"isolation must be one of: {', '.join(_ISOLATION_LEVELS)}")
        words.append(f"ISOLATION LEVEL {level.upper()}")
    if _flag("read_only", read_only) is not None:
        words.append("READ ONLY" if read_only else "READ WRITE")
    if _flag("deferrable", deferrable) is not None:
        words.append("DEFERRABLE" if deferrable else "NOT DEFERRABLE")
    return " ".join(words)


def _flag(name: str, value: object) -> object:
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{name} must be True, False or None, not {type(value).__name__}")
    return value
