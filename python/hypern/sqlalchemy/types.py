"""SQLAlchemy's types where hypern's values, or the casts of parameters, differ from the default."""

from __future__ import annotations

import decimal
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy
from sqlalchemy import exc, types
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import (
    ARRAY,
    BIT,
    CIDR,
    CITEXT,
    ENUM,
    HSTORE,
    INET,
    INTERVAL,
    OID,
    REGCLASS,
    REGCONFIG,
    ranges,
)
from sqlalchemy.dialects.postgresql.json import JSONPathType
from sqlalchemy.engine import processors

from hypern._range import Range

if TYPE_CHECKING:
    _SingleRange = ranges.AbstractSingleRangeImpl[Any]
    _MultiRange = ranges.AbstractMultiRangeImpl[Any]
else:
    _SingleRange = ranges.AbstractSingleRangeImpl
    _MultiRange = ranges.AbstractMultiRangeImpl

_FLOATS = frozenset({700, 701, 1021, 1022})
_EXACT = frozenset({20, 21, 23, 26, 1005, 1007, 1016, 1231, 1700})

_T = TypeVar("_T")


def _with_cast(base: type[_T]) -> type[_T]:
    """The type with a cast around each parameter: the server is told its type, as a driver that
    inlines literals does.
    """
    return type(f"Hypern{base.__name__}", (base,), {"render_bind_cast": True})


class _Numeric:
    """What numeric and floats have in common."""

    asdecimal: bool
    _effective_decimal_return_scale: int
    render_bind_cast = True

    def bind_processor(self, dialect: Any) -> Any:
        return None

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        if coltype not in _FLOATS and coltype not in _EXACT:
            raise exc.InvalidRequestError(f"Unknown PG numeric type: {coltype}")
        if not self.asdecimal:
            return None if coltype in _FLOATS else processors.to_float
        if coltype in _FLOATS:
            scale = self._effective_decimal_return_scale
            return processors.to_decimal_processor_factory(decimal.Decimal, scale)
        return None


class HypernNumeric(_Numeric, types.Numeric[Any]):
    """numeric: Decimal as it is."""


class HypernFloat(_Numeric, types.Float[Any]):
    """Floats as they are."""


class HypernDate(types.Date):
    """The date of a datetime, as the server's cast makes it."""

    render_bind_cast = True

    def bind_processor(self, dialect: Any) -> Any:
        return lambda value: value.date() if isinstance(value, datetime) else value


class HypernInterval(INTERVAL):
    """interval, with its precision."""

    render_bind_cast = True

    @classmethod
    def adapt_emulated_to_native(  # type: ignore[override]
        cls, interval: Any, **kw: Any
    ) -> HypernInterval:
        return cls(precision=interval.second_precision)


class HypernHStore(HSTORE):
    """hstore is a dict already."""

    render_bind_cast = True

    def bind_processor(self, dialect: Any) -> Any:
        return None

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return None


class HypernBit(BIT):
    """bit is the server's text."""

    render_bind_cast = True

    def bind_processor(self, dialect: Any) -> Any:
        return lambda value: None if value is None else str(value)

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        bits = getattr(postgresql, "BitString", str)  # SQLAlchemy 2.0 has str
        return lambda value: None if value is None else bits(value)


class HypernJSONIntIndex(types.JSON.JSONIntIndexType):
    """The number of an element."""

    __visit_name__ = "json_int_index"
    render_bind_cast = True


class HypernJSONStrIndex(types.JSON.JSONStrIndexType):
    """The name of a key."""

    __visit_name__ = "json_str_index"
    render_bind_cast = True


class HypernJSON(postgresql.JSON):
    """json is parsed already; SQLAlchemy 2.1 knows that from the dialect."""

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return None


class HypernJSONB(postgresql.JSONB):
    """As HypernJSON."""

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return None


class HypernJSONPath(JSONPathType):
    """A path is an array of text."""

    def bind_processor(self, dialect: Any) -> Any:
        def to_path(value: Any) -> Any:
            if isinstance(value, str):
                return value
            return [str(element) for element in value] if value else []

        return to_path


def _to_range(value: Any) -> Any:
    if isinstance(value, ranges.Range):
        return Range(value.lower, value.upper, value.bounds, value.empty)
    return value


def _from_range(value: Any) -> Any:
    if value is None:
        return None
    return ranges.Range(
        value.lower,
        value.upper,
        bounds="[)" if value.empty else value.bounds,
        empty=value.empty,
    )


class HypernRange(_SingleRange):
    """A range: SQLAlchemy's class on one side, hypern's on the other."""

    def bind_processor(self, dialect: Any) -> Any:
        return _to_range

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return _from_range


class HypernMultiRange(_MultiRange):
    """A multirange is a list of ranges."""

    def bind_processor(self, dialect: Any) -> Any:
        def to_ranges(value: Any) -> Any:
            if value is None or isinstance(value, str):
                return value
            return [_to_range(element) for element in value]

        return to_ranges

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        def from_ranges(value: Any) -> Any:
            return None if value is None else ranges.MultiRange(map(_from_range, value))

        return from_ranges


def _text_unless_native(dialect: Any) -> Any:
    return _as_the_server_prints if dialect._native_inet_types is False else None


def _as_the_server_prints(value: Any) -> str | None:
    if value is None:
        return None
    address = getattr(value, "network_address", None) or getattr(value, "ip", value)
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is None:
        return str(value)
    _, slash, length = str(value).partition("/")
    return f"::ffff:{mapped}{slash}{length}"


class HypernINET(INET):
    """inet is an address or interface of ipaddress, or text with native_inet_types=False."""

    render_bind_cast = True

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return _text_unless_native(dialect)


class HypernCIDR(CIDR):
    """cidr is a network of ipaddress, or text with native_inet_types=False."""

    render_bind_cast = True

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return _text_unless_native(dialect)


COLSPECS: dict[Any, Any] = {
    types.Numeric: HypernNumeric,
    types.Float: HypernFloat,
    types.Date: HypernDate,
    types.Interval: HypernInterval,
    INTERVAL: HypernInterval,
    HSTORE: HypernHStore,
    BIT: HypernBit,
    INET: HypernINET,
    CIDR: HypernCIDR,
    CITEXT: CITEXT,
    types.JSON.JSONPathType: HypernJSONPath,
    types.JSON.JSONIntIndexType: HypernJSONIntIndex,
    types.JSON.JSONStrIndexType: HypernJSONStrIndex,
    ranges.AbstractSingleRange: HypernRange,
    ranges.AbstractMultiRange: HypernMultiRange,
    types.ARRAY: _with_cast(ARRAY),
    types.Enum: _with_cast(ENUM),
    types.LargeBinary: _with_cast(types.LargeBinary),
    **{
        base: _with_cast(base)
        for base in (
            types.String,
            types.CHAR,
            types.Time,
            types.DateTime,
            types.Boolean,
            types.Integer,
            types.SmallInteger,
            types.BigInteger,
            OID,
            REGCLASS,
            REGCONFIG,
        )
    },
}
if sqlalchemy.__version__.startswith("2.0."):
    COLSPECS |= {types.JSON: HypernJSON, postgresql.JSONB: HypernJSONB}
