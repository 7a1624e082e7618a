"""The type that a value's placeholder has: that of the literal which the value would be."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from django.utils.functional import Promise

from hypern._range import Range
from hypern.dbapi.quoting import quote_literal
from hypern.django.driver import RANGES, Jsonb
from hypern.django.values import Int2, Int8

_INT4: Final = 2**31
_INT8: Final = 2**63

# By the class of a value.
_CASTS: dict[type, str] = {
    str: "",
    bool: "::bool",
    Decimal: "::numeric",
    bytes: "::bytea",
    bytearray: "::bytea",
    memoryview: "::bytea",
    date: "::date",
    dict: "::hstore",
    UUID: "::uuid",
    type(None): "NULL",
}


def typed(value: Any) -> tuple[str, Any]:
    """The cast of a value's placeholder, and the value as hypern takes it."""
    cls = type(value)
    cast = _CASTS.get(cls)
    if cast is not None:
        return cast, value
    if cls is int:
        return _integer(value), value
    if cls is float:
        return ("::numeric" if value - value == 0 else "::float8"), value
    if cls is datetime:
        return ("::timestamp" if value.tzinfo is None else "::timestamptz"), value
    if cls is time:
        return ("::time" if value.tzinfo is None else "::timetz"), value
    if cls is timedelta:  # days and seconds with a sign each, as Python has them
        return "::interval", f"{value.days} days {value.seconds}.{value.microseconds:06} seconds"
    if cls is list or cls is tuple:
        return _array(value)
    if cls is Int2 or cls is Int8:
        return _integer(value), int(value)
    if isinstance(value, Jsonb):
        return "::jsonb", json_text(value)
    if isinstance(value, RANGES):
        return "", _range(value)
    if isinstance(value, Enum):
        return typed(value.value)
    if isinstance(value, Promise):
        return "", str(value)
    for base in (bool, int, float, Decimal, str, datetime, date, time, timedelta):
        if isinstance(value, base):
            return typed(_plain(base, value))
    return "", value


def _plain(base: type, value: Any) -> Any:
    """A value of a subclass, as the class itself has it."""
    if base in (bool, int, float):
        return base(value)
    if base is str:
        return str.__str__(value)
    if base is Decimal:
        return Decimal(value)
    if base is datetime:
        return datetime.combine(date(value.year, value.month, value.day), value.timetz())
    if base is date:
        return date(value.year, value.month, value.day)
    if base is time:
        return time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo)
    return timedelta(value.days, value.seconds, value.microseconds)


def _integer(value: int) -> str:
    if -_INT4 <= value < _INT4:
        return "::int4"
    return "::int8" if -_INT8 <= value < _INT8 else "::numeric"


def _array(value: Any) -> tuple[str, Any]:
    """A list, with the type of its elements if they have one in common. An array is not converted
    as a number is: its elements have the type of their field.
    """
    casts, items = set(), []
    for element in value:
        cast, item = typed(element)
        cast = _ELEMENTS.get(type(element), cast)
        items.append(item)
        if cast != "NULL":
            casts.add(cast.removesuffix("[]"))
    cast = _WIDER.get(frozenset(casts)) or (casts.pop() if len(casts) == 1 else "")
    return (cast + "[]" if cast else ""), items


_ELEMENTS: Final[dict[type, str]] = {Int2: "::int2", Int8: "::int8", float: "::float8"}
_WIDER: Final = {
    frozenset(("::int4", "::int8")): "::int8",
    frozenset(("::int4", "::numeric")): "::numeric",
    frozenset(("::int8", "::numeric")): "::numeric",
    frozenset(("::int4", "::int8", "::numeric")): "::numeric",
}


def _element(item: Any) -> Any:
    return typed(item)[1]


def json_text(value: Any) -> str:
    """The text of a value that Django has wrapped for jsonb."""
    return str(value.dumps(value.obj if hasattr(value, "obj") else value.adapted))


def _range(value: Any) -> Range[Any]:
    """A range of Django's, or of its driver, as hypern has it."""
    if value.isempty:
        return Range(empty=True)
    lower, upper = _element(value.lower), _element(value.upper)
    return Range(lower, upper, value._bounds or "[)")


def literal(value: Any) -> str:
    """A value as part of a statement's text."""
    cast, plain = typed(value)
    if cast == "NULL":
        return "NULL"
    if type(plain) is float and cast == "::numeric":
        return repr(plain)
    text = quote_literal(plain)
    if cast == "::jsonb":
        text += cast
    return text
