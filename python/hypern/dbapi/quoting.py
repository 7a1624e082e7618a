"""Literals and identifiers for SQL that takes no parameters: DDL, COPY options, NOTIFY.

Parameters are the right way wherever they are possible. The text that these functions return means
the same whatever standard_conforming_strings, DateStyle and IntervalStyle are, and needs no
connection.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any, Final
from uuid import UUID

from hypern import _native
from hypern._range import Range
from hypern.errors import DataError

_PLAIN: Final = (
    UUID,
    IPv4Interface,
    IPv6Interface,
    IPv4Network,
    IPv6Network,
    IPv4Address,
    IPv6Address,
)
_BINARY: Final = (bytes, bytearray, memoryview)
_MICROSECOND: Final = timedelta(microseconds=1)
_JSON_OID: Final = 114


def quote_identifier(name: str | tuple[str, ...]) -> str:
    """A name as SQL takes it, in double quotes; a tuple is a qualified name: (schema, table).

    The server shortens a name of more than 63 bytes. Raises TypeError for anything but a str or a
    tuple of them, DataError for an empty name and for one with a NUL character.
    """
    if isinstance(name, tuple) and name:
        return ".".join(quote_identifier(part) for part in name)
    if not isinstance(name, str):
        raise TypeError(f"an identifier must be a str, not {type(name).__name__}")
    if not name:
        raise DataError("an identifier must not be empty")
    return '"' + _checked(name).replace('"', '""') + '"'


def quote_literal(value: object) -> str:
    r"""A value as an SQL literal: `'O''Reilly'`, `E'a\\b'` if it has a backslash, NULL for None.

    value: a str, number, bool, bytes, date, time, datetime, timedelta, UUID, address of ipaddress,
    `Range`, enum member (its value), list, tuple or set (an array), dict or dataclass (json).
    Strings, UUIDs, addresses, ranges, arrays and json have no type of their own, as in SQL; the
    others have theirs, such as `'2030-01-01'::date`. Raises TypeError for any other class,
    DataError for text with a NUL character or a lone surrogate.
    """
    if value is None:
        return "NULL"
    if isinstance(value, Enum):
        return quote_literal(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return _number(value)
    return _string(_text(value)) + _cast(value)


def _string(text: str) -> str:
    quoted = _checked(text).replace("'", "''")
    if "\\" not in quoted:
        return f"'{quoted}'"
    doubled = quoted.replace("\\", "\\\\")
    return f"E'{doubled}'"


def _number(value: float | Decimal) -> str:
    if isinstance(value, int):
        text = int.__repr__(value)
    else:
        text = _text(value)
        if isinstance(value, float) or "." not in text:  # it would be numeric, or an integer
            return _string(text) + _cast(value)
    return f" {text}" if text.startswith("-") else text  # behind a minus it would be a comment


def _cast(value: object) -> str:
    """What gives a quoted text the type of the value; "" where the server chooses it."""
    if isinstance(value, float):
        return "::float8"
    if isinstance(value, Decimal):
        return "::numeric"
    if isinstance(value, _BINARY):
        return "::bytea"
    if isinstance(value, datetime):
        return "::timestamp" if value.tzinfo is None else "::timestamptz"
    if isinstance(value, date):
        return "::date"
    if isinstance(value, time):
        return "::time" if value.tzinfo is None else "::timetz"
    return "::interval" if isinstance(value, timedelta) else ""


def _text(value: Any) -> str:
    """A value in the form in which PostgreSQL reads its type."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Enum):
        return _text(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, (float, Decimal)):
        return _real(value)
    if isinstance(value, _BINARY):
        return "\\x" + bytes(value).hex()
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _interval(value)
    if isinstance(value, _PLAIN):
        return str(value)
    if isinstance(value, Range):
        return _range(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return "{" + ",".join(map(_element, value)) + "}"
    if isinstance(value, Mapping) or (is_dataclass(value) and not isinstance(value, type)):
        # What Bind carries for one parameter: ten bytes, its text, and two of the result's formats.
        return _native.encode_body([_JSON_OID], [value])[10:-2].decode()
    raise TypeError(f"{type(value).__name__} has no SQL literal; convert it to str first")


def _real(value: float | Decimal) -> str:
    if isinstance(value, Decimal) and value.is_snan():
        raise DataError("PostgreSQL has no signaling NaN")
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return format(value, "f") if isinstance(value, Decimal) else float.__repr__(value)


def _interval(value: timedelta) -> str:
    """Days and seconds with one sign, which each IntervalStyle reads alike."""
    total = value // _MICROSECOND
    sign, total = ("-", -total) if total < 0 else ("", total)
    days, rest = divmod(total, 86_400_000_000)
    seconds, micros = divmod(rest, 1_000_000)
    return f"{sign}{days} days {sign}{seconds}.{micros:06} seconds"


def _range(value: Range[Any]) -> str:
    if value.empty:
        return "empty"
    lower = "" if value.lower is None else _quoted(_text(value.lower))
    upper = "" if value.upper is None else _quoted(_text(value.upper))
    return f"{value.bounds[0]}{lower},{upper}{value.bounds[1]}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    return _text(value) if isinstance(value, (list, tuple)) else _quoted(_text(value))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _checked(text: str) -> str:
    if "\0" in text:
        raise DataError("PostgreSQL text cannot contain a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise DataError("the text cannot be sent as UTF-8: it contains a lone surrogate")
    return text
