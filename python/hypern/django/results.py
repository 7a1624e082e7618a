"""Rows as Django's fields expect them: json and addresses as text, moments in its time zone."""

from __future__ import annotations

import json
import struct
import threading
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, Final

from hypern.django.driver import RANGE_OF
from hypern.sql._cache import Cache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, tzinfo

    from hypern._range import Range

    Convert = Callable[[Any], Any]

_JSON, _JSON_ARRAY = 114, 199
_ADDRESSES = {869: 1041, 650: 651}  # inet and cidr, and their arrays
_FLOAT4, _FLOAT4_ARRAY = 700, 1021
_TSTZ, _TSTZ_ARRAY, _TSTZRANGE = 1184, 1185, 3910
_RANGE_ARRAYS = {3905: 3904, 3907: 3906, 3909: 3908, 3911: 3910, 3913: 3912, 3927: 3926}


class _Reading(threading.local):
    as_text = False


reading = _Reading()  # whether this thread receives rows for Django


def loads_for_django(loads: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """A pool's json_loads, which leaves to Django's fields what is theirs to decode."""
    decode = loads or json.loads

    def load(text: Any) -> Any:
        return text if reading.as_text else decode(text)

    return load


class Zone:
    """How moments become values of Django's. zone: None makes them naive, in the zone `local`."""

    def __init__(self, zone: tzinfo | None, local: tzinfo) -> None:
        self.key = (zone, local)
        self._zone, self._local = zone, local

    def moment(self, value: datetime) -> datetime:
        """The value in the zone."""
        if not hasattr(value, "astimezone"):
            return value  # the text of what no datetime can be
        if self._zone is None:
            return value.astimezone(self._local).replace(tzinfo=None)
        return value.astimezone(self._zone)


_known: Cache[Any, tuple[Any, list[tuple[int, Convert]]]] = Cache()


def converted(columns: Any, rows: list[Any], zone: Zone | None) -> list[Any]:
    """The rows with the values of these columns as Django expects them. zone: None is UTC."""
    key = (id(columns), None if zone is None else zone.key)
    known = _known.get(key)
    if known is None or known[0] is not columns:
        oids = [column.type_oid for column in columns]
        known = (columns, _converters(oids, zone))  # columns are kept, and with them their id
        _known.put(key, known, 100 * len(oids))
    changes = known[1]
    return [_row(row, changes) for row in rows] if changes and rows else rows


def _row(row: Any, changes: list[tuple[int, Convert]]) -> tuple[Any, ...]:
    values = list(row)
    for place, convert in changes:
        if values[place] is not None:
            values[place] = convert(values[place])
    return tuple(values)


def _converters(oids: Sequence[int], zone: Zone | None) -> list[tuple[int, Convert]]:
    found = ((place, _converter(oid, zone)) for place, oid in enumerate(oids))
    return [(place, convert) for place, convert in found if convert is not None]


def _converter(oid: int, zone: Zone | None) -> Convert | None:
    if oid == _JSON:
        return json.loads
    if oid == _JSON_ARRAY:
        return _each(json.loads)
    if oid in _ADDRESSES:
        return _address
    if oid in _ADDRESSES.values():
        return _each(_address)
    if oid == _FLOAT4:
        return _shortest
    if oid == _FLOAT4_ARRAY:
        return _each(_shortest)
    if oid in RANGE_OF:
        return _range(oid, zone)
    if oid in _RANGE_ARRAYS:
        return _each(_range(_RANGE_ARRAYS[oid], zone))
    if zone is not None and oid == _TSTZ:
        return zone.moment
    if zone is not None and oid == _TSTZ_ARRAY:
        return _each(zone.moment)
    return None


def _each(convert: Convert) -> Convert:
    def elements(value: Any) -> Any:
        if isinstance(value, list):
            return [elements(item) for item in value]
        return None if value is None else convert(value)

    return elements


_SINGLE: Final = struct.Struct("f")
_LEAST: Final = 2.0**-126  # a number below it has fewer than the usual six digits


def _shortest(value: float) -> float:
    """The number that PostgreSQL writes for a real: the shortest that is rounded to it."""
    if value - value != 0:
        return value
    for digits in range(6 if abs(value) > _LEAST else 1, 9):
        short = float(f"{value:.{digits}g}")
        if _SINGLE.unpack(_SINGLE.pack(short))[0] == value:
            return short
    return float(f"{value:.9g}")


def _address(value: Any) -> str:
    if isinstance(value, IPv6Address) and value.ipv4_mapped is not None:
        return f"::ffff:{value.ipv4_mapped}"
    return str(value)


def _range(oid: int, zone: Zone | None) -> Convert:
    make = RANGE_OF[oid]
    change = zone.moment if zone is not None and oid == _TSTZRANGE else lambda value: value

    def convert(value: Range[Any]) -> Any:
        if value.empty:
            return make(empty=True)
        lower = None if value.lower is None else change(value.lower)
        upper = None if value.upper is None else change(value.upper)
        return make(lower, upper, value.bounds)

    return convert
