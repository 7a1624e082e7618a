"""Parameters become the bytes of a Bind message, by the placeholder's type, not by the value's."""

from __future__ import annotations

import enum
import struct
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from wire_format import binary, bind, text

from hypern import Range, _native, errors

BOOL, BYTEA, INT8, INT2, INT4, TEXT, OID = 16, 17, 20, 21, 23, 25, 26
JSON, FLOAT4, FLOAT8, DATE, TIME = 114, 700, 701, 1082, 1083
TIMESTAMP, TIMESTAMPTZ, INTERVAL, TIMETZ = 1114, 1184, 1186, 1266
NUMERIC, UUID, JSONB, INET, CIDR = 1700, 2950, 3802, 869, 650
INT4_ARRAY, TEXT_ARRAY, JSONB_ARRAY, INT4RANGE, INT4MULTIRANGE = 1007, 1009, 3807, 3904, 4451
MONEY, REGCLASS, INT2VECTOR = 790, 2205, 22


class Colour(enum.Enum):
    RED = "red"
    TWO = 2


class Level(enum.IntEnum):
    HIGH = 7


class Size(str, enum.Enum):
    BIG = "big"


class Name(str):
    pass


@dataclass
class Point:
    x: int
    y: str


@pytest.mark.parametrize(
    ("oid", "value", "sent"),
    [
        (BOOL, True, b"\1"),
        (INT2, -2, b"\xff\xfe"),
        (INT4, 258, b"\0\0\1\2"),
        (INT8, -1, b"\xff" * 8),
        (OID, 2**32 - 1, b"\xff" * 4),
        (INT4, 5.0, b"\0\0\0\5"),
        (INT4, Decimal("5.00"), b"\0\0\0\5"),
        (INT4, Level.HIGH, b"\0\0\0\7"),
        (INT4, Colour.TWO, b"\0\0\0\2"),
        (FLOAT8, 1.5, struct.pack("!d", 1.5)),
        (FLOAT8, 3, struct.pack("!d", 3.0)),
        (FLOAT8, Decimal("2.5"), struct.pack("!d", 2.5)),
        (FLOAT4, 1.5, struct.pack("!f", 1.5)),
        (NUMERIC, Decimal("12345.678"), struct.pack("!HhHH3H", 3, 1, 0, 3, 1, 2345, 6780)),
        (NUMERIC, Decimal("-0.0001"), struct.pack("!HhHHH", 1, -1, 0x4000, 4, 1)),
        (NUMERIC, Decimal("1E+5"), struct.pack("!HhHHH", 1, 1, 0, 0, 10)),
        (NUMERIC, Decimal("0.00"), struct.pack("!HhHH", 0, 0, 0, 2)),
        (NUMERIC, 99.99, struct.pack("!HhHH2H", 2, 0, 0, 2, 99, 9900)),
        (NUMERIC, Decimal("NaN"), struct.pack("!HhHH", 0, 0, 0xC000, 0)),
        (NUMERIC, float("-inf"), struct.pack("!HhHH", 0, 0, 0xF000, 0)),
        (TEXT, "é", b"\xc3\xa9"),
        (TEXT, Name("x"), b"x"),
        (TEXT, Size.BIG, b"big"),
        (TEXT, Colour.RED, b"red"),
        (TEXT, ip_address("::1"), b"::1"),
        (BYTEA, b"\0\xff", b"\0\xff"),
        (BYTEA, bytearray(b"ab"), b"ab"),
        (BYTEA, memoryview(b"abcd")[::2], b"ac"),
        (DATE, date(2000, 1, 2), b"\0\0\0\1"),
        (DATE, datetime(2000, 1, 2), b"\0\0\0\1"),
        (TIME, time(0, 0, 1), struct.pack("!q", 1_000_000)),
        (TIMETZ, time(0, tzinfo=timezone(timedelta(hours=1))), struct.pack("!qi", 0, -3600)),
        (TIMESTAMP, datetime(2000, 1, 1, 0, 0, 1), struct.pack("!q", 1_000_000)),
        (TIMESTAMP, date(2000, 1, 2), struct.pack("!q", 86_400_000_000)),
        (
            TIMESTAMPTZ,
            datetime(2000, 1, 1, tzinfo=timezone(timedelta(hours=1))),
            struct.pack("!q", -3_600_000_000),
        ),
        (INTERVAL, timedelta(days=-1, seconds=5), struct.pack("!qii", -86_395_000_000, 0, 0)),
        (UUID, uuid.UUID(int=5), bytes(15) + b"\5"),
        (UUID, bytes(16), bytes(16)),
        (JSON, {"a": [1, None, "x"]}, b'{"a":[1,null,"x"]}'),
        (JSONB, [1.5, True], b"\1[1.5,true]"),
        (JSONB, OrderedDict(b=1, a=2), b'\1{"b":1,"a":2}'),
        (JSONB, Point(1, "q"), b'\1{"x":1,"y":"q"}'),
        (JSONB, {"l": Level.HIGH, "c": Colour.RED}, b'\1{"l":7,"c":"red"}'),
        (JSONB, {1: 2, None: 3, False: 4}, b'\1{"1":2,"null":3,"false":4}'),
        (INT4RANGE, Range(1, None), b"\x12\0\0\0\4\0\0\0\1"),
        (INT4RANGE, Range(empty=True), b"\1"),
        (INT4MULTIRANGE, [], bytes(4)),
    ],
)
def test_a_value_travels_in_the_placeholders_binary_format(
    oid: int, value: Any, sent: bytes
) -> None:
    assert binary(oid, value) == sent


@pytest.mark.parametrize(
    ("oid", "value", "sent"),
    [
        (INT4, "42", "42"),
        (TIMESTAMP, "NOW()", "NOW()"),
        (JSONB, '{"a": 1}', '{"a": 1}'),
        (UUID, "x", "x"),
        (TIMESTAMPTZ, datetime(2024, 1, 2, 3), "2024-01-02T03:00:00"),
        (TIMESTAMPTZ, date(2024, 1, 2), "2024-01-02"),
        (TIMETZ, time(1, 2), "01:02:00"),
        (INET, ip_address("10.0.0.1"), "10.0.0.1"),
        (CIDR, ip_network("10.0.0.0/8"), "10.0.0.0/8"),
        (MONEY, 5, "5"),
        (REGCLASS, 1259, "1259"),
        (INT2VECTOR, [], ""),
        (INT4_ARRAY, [1, "2", None], '{"1","2",NULL}'),
        (INT4_ARRAY, [[1], ["2"]], '{{"1"},{"2"}}'),
        (JSONB_ARRAY, ['{"a": "\\\\"}'], r'{"{\"a\": \"\\\\\"}"}'),
        (INT4RANGE, Range("1", 3), '["1","3")'),
        (INT4MULTIRANGE, [Range("1", 3), Range(7, None)], '{["1","3"),["7",)}'),
    ],
)
def test_what_the_server_must_parse_travels_as_text(oid: int, value: Any, sent: str) -> None:
    assert text(oid, value) == sent


def test_an_array_names_its_dimensions_and_nulls() -> None:
    header = struct.pack("!iiI4i", 2, 1, INT4, 2, 1, 2, 1)
    items = b"".join(struct.pack("!ii", 4, n) for n in (1, 2, 3)) + struct.pack("!i", -1)
    assert binary(INT4_ARRAY, [[1, 2], (3, None)]) == header + items
    assert binary(INT4_ARRAY, []) == struct.pack("!iiI", 0, 0, INT4)
    assert binary(INT4_ARRAY, {5}) == struct.pack("!iiI4i", 1, 0, INT4, 1, 1, 4, 5)


def test_each_parameter_has_its_own_format() -> None:
    sent = bind([INT4, INT4, TEXT, INT4], [1, "2", "3", None])
    assert sent.formats == [1, 0, 1, 1]
    assert sent.values == [b"\0\0\0\1", b"2", b"3", None]


def test_a_numeric_beyond_the_digits_of_str_is_exact() -> None:
    digits = 5000
    with pytest.raises(errors.DataError, match="set_int_max_str_digits"):
        text_of_json({"n": 10**digits})
    assert binary(NUMERIC, 10**digits) == struct.pack("!HhHHH", 1, digits // 4, 0, 0, 1)


def text_of_json(value: Any) -> str:
    return binary(JSONB, value)[1:].decode()


def test_json_strings_are_escaped_as_json_wants() -> None:
    assert text_of_json(['"\\\n\r\t\b\f\x01\x7fé']) == '["\\"\\\\\\n\\r\\t\\b\\f\\u0001\x7fé"]'
    assert text_of_json(["\ud800", "\0"]) == '["\\ud800","\\u0000"]'


def test_no_parameters_are_none_or_an_empty_sequence() -> None:
    assert bind([], None) == bind([], []) == bind([], ()) == ([], [], [])


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        (True, 16),
        (5, 23),
        (-(2**31), 23),
        (2**31, 20),
        (-(2**63), 20),
        (2**63, 1700),
        (1.5, 701),
        (float("nan"), 701),
        (Decimal("1.10"), 1700),
        (date(2024, 2, 29), 1082),
        (datetime(2024, 2, 29), 1114),
        (datetime(2024, 2, 29, tzinfo=timezone.utc), 1184),
        (time(1), 1083),
        (time(1, tzinfo=timezone.utc), 1266),
        (timedelta(1), 1186),
        (uuid.UUID(int=5), 2950),
        (Level.HIGH, 23),
    ],
)
def test_a_value_that_the_server_takes_for_text_declares_its_own_type(
    value: Any, declared: int
) -> None:
    for oid in (TEXT, 1042, 1043):  # character, character varying
        with pytest.raises(ValueError, match=rf"types to be declared: \[0, {declared}\]"):
            _native.encode_body([INT4, oid], [1, value])


@pytest.mark.parametrize("value", ["5", None, Colour.RED, ip_address("::1")])
def test_text_itself_and_what_has_no_literal_declare_nothing(value: Any) -> None:
    assert _native.encode_body([TEXT], [value])
