"""The type objects and constructors of PEP 249, and the columns of `Cursor.description`."""

from __future__ import annotations

import time as clock
from datetime import date, datetime, time
from typing import Any, Final, NamedTuple

from hypern.sql._cache import Cache


class Warning(Exception):  # noqa: N818 - PEP 249's name
    """PEP 249's class for warnings. Nothing here raises it: notices go to the log."""


Date = date
Time = time
Timestamp = datetime
Binary = bytes


def DateFromTicks(ticks: float) -> date:  # noqa: N802 - PEP 249's name
    """The local date of a moment, in seconds since 1970."""
    return date(*clock.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> time:  # noqa: N802 - PEP 249's name
    """The local time of day of a moment, in seconds since 1970."""
    return time(*clock.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime:  # noqa: N802 - PEP 249's name
    """The local date and time of a moment, in seconds since 1970."""
    return datetime(*clock.localtime(ticks)[:6])


class TypeObject:
    """Equal to the OID of each type of its kind, for `description[n].type_code == NUMBER`."""

    __slots__ = ("_name", "oids")

    def __init__(self, name: str, *oids: int) -> None:
        self._name = name
        self.oids: Final = frozenset(oids)

    def __repr__(self) -> str:
        return f"<{self._name} types>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TypeObject):
            return self.oids == other.oids
        return other in self.oids if isinstance(other, int) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.oids)


STRING: Final = TypeObject("STRING", 18, 19, 25, 1042, 1043)
BINARY: Final = TypeObject("BINARY", 17)
NUMBER: Final = TypeObject("NUMBER", 20, 21, 23, 700, 701, 790, 1700)
DATETIME: Final = TypeObject("DATETIME", 1082, 1083, 1114, 1184, 1186, 1266)
ROWID: Final = TypeObject("ROWID", 26)

_BPCHAR, _VARCHAR, _NUMERIC, _INTERVAL = 1042, 1043, 1700, 1186
_TIMES: Final = frozenset({1083, 1114, 1184, 1266})


class Column(NamedTuple):
    """A column of a result: an element of `Cursor.description`.

    name (str) and type_code (int, the type's OID) are always set, null_ok never. display_size is
    the n of varchar(n) and char(n). internal_size is the number of bytes of a type of fixed size.
    precision and scale are those of numeric(p, s); precision is also that of times and intervals.
    """

    name: str
    type_code: int
    display_size: int | None = None
    internal_size: int | None = None
    precision: int | None = None
    scale: int | None = None
    null_ok: bool | None = None


def column(name: str, oid: int, size: int, modifier: int) -> Column:
    """The description of a column, from the fields of the server's RowDescription."""
    display: int | None = None
    precision: int | None = None
    scale: int | None = None
    if modifier >= 0:  # pg_attribute.atttypmod: each type has its own encoding
        if oid in (_BPCHAR, _VARCHAR):
            display = modifier - 4
        elif oid == _NUMERIC:
            precision = (modifier - 4) >> 16
            scale = ((modifier - 4 & 0x7FF) ^ 0x400) - 0x400
        elif oid in _TIMES:
            precision = modifier
        elif oid == _INTERVAL and modifier & 0xFFFF != 0xFFFF:
            precision = modifier & 0xFFFF
    return Column(name, oid, display, size if size > 0 else None, precision, scale)


# By the id of a statement's columns, which are kept with what was made of them: each run of a
# prepared statement returns the same tuple.
_descriptions: Cache[int, tuple[Any, tuple[Column, ...]]] = Cache()
_COLUMN_BYTES = 200


def description_of(columns: Any) -> list[Column] | None:
    """`Cursor.description` for the columns of a result; None if it has none."""
    if not columns:
        return None
    known = _descriptions.get(id(columns))
    if known is None:
        made = tuple(column(c.name, c.type_oid, c.size, c.modifier) for c in columns)
        known = (columns, made)
        _descriptions.put(id(columns), known, _COLUMN_BYTES * len(made))
    return list(known[1])
