"""DataRow becomes a dict of Python values; bytes that lie become an error that names the column."""

from __future__ import annotations

import math
import struct
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest
from wire_format import decode, description, field, row

from hypern import Range, _native, errors

BOOL, BYTEA, INT8, INT2, INT4, TEXT, OID = 16, 17, 20, 21, 23, 25, 26
JSON, FLOAT4, FLOAT8, DATE, TIME = 114, 700, 701, 1082, 1083
TIMESTAMP, TIMESTAMPTZ, INTERVAL, TIMETZ = 1114, 1184, 1186, 1266
NUMERIC, UUID, JSONB, INET, CIDR, RECORD = 1700, 2950, 3802, 869, 650, 2249
INT4_ARRAY, INT4RANGE, INT4MULTIRANGE, POINT, POINT_ARRAY = 1007, 3904, 4451, 600, 1017


def jsonb(text: str) -> bytes:
    return b"\1" + text.encode()


VALUES: list[tuple[int, bytes, Any]] = [
    (BOOL, b"\1", True),
    (INT2, b"\xff\xfe", -2),
    (INT4, b"\0\0\1\2", 258),
    (INT8, b"\x80" + bytes(7), -(2**63)),
    (OID, b"\xff" * 4, 2**32 - 1),
    (FLOAT4, struct.pack("!f", 1.5), 1.5),
    (FLOAT8, struct.pack("!d", -math.inf), -math.inf),
    (TEXT, b"", ""),
    (TEXT, b"plain text that is longer than a word", "plain text that is longer than a word"),
    (TEXT, "Grüße 😀".encode(), "Grüße 😀"),
    (BYTEA, b"\0\xff", b"\0\xff"),
    (NUMERIC, struct.pack("!HhHH3H", 3, 1, 0, 3, 1, 2345, 6780), Decimal("12345.678")),
    (NUMERIC, struct.pack("!HhHHH", 1, -2, 0x4000, 8, 1), Decimal("-0.00000001")),
    (NUMERIC, struct.pack("!HhHH", 0, 0, 0, 2), Decimal("0.00")),
    (NUMERIC, struct.pack("!HhHH", 0, 0, 0xF000, 0), Decimal("-Infinity")),
    (DATE, struct.pack("!i", -1), date(1999, 12, 31)),
    (DATE, struct.pack("!i", -730119), date.min),
    (DATE, struct.pack("!i", 2921939), date.max),
    (TIME, struct.pack("!q", 1), time(0, 0, 0, 1)),
    (TIMETZ, struct.pack("!qi", 0, 7), time(0, tzinfo=timezone(timedelta(seconds=-7)))),
    (TIMESTAMP, struct.pack("!q", -1), datetime(1999, 12, 31, 23, 59, 59, 999_999)),
    (TIMESTAMPTZ, struct.pack("!q", 0), datetime(2000, 1, 1, tzinfo=timezone.utc)),
    (INTERVAL, struct.pack("!qii", -1, 2, 1), timedelta(days=32, microseconds=-1)),
    (UUID, bytes(range(16)), uuid.UUID(bytes=bytes(range(16)))),
    (JSONB, jsonb('{"b": [1, 2.5, null], "a": true}'), {"b": [1, 2.5, None], "a": True}),
    (JSON, b' {"a":1,"a":2} ', {"a": 2}),
    (JSON, rb'"\u00e9\ud83d\ude00\n\/"', "é😀\n/"),
    (JSON, rb'"\ud800"', "\ud800"),
    (JSONB, jsonb("123456789012345678901234567890"), 123456789012345678901234567890),
    (JSONB, jsonb("-1.5e-7"), -1.5e-7),
    (JSONB, jsonb("0.1"), 0.1),
    (JSONB, jsonb("123456789.123456789"), 123456789.123456789),
    (INET, b"\2\x20\0\4\x0a\0\0\1", ip_address("10.0.0.1")),
    (INET, b"\2\x08\0\4\x0a\0\0\1", ip_interface("10.0.0.1/8")),
    (CIDR, b"\2\x08\1\4\x0a\0\0\0", ip_network("10.0.0.0/8")),
    (INT4_ARRAY, struct.pack("!iiI", 0, 0, INT4), []),
    (INT4_ARRAY, struct.pack("!iiI2iiii", 1, 1, INT4, 2, -5, 4, 7, -1), [7, None]),
    (INT4RANGE, b"\x02" + field(b"\0\0\0\1") + field(b"\0\0\0\5"), Range(1, 5)),
    (INT4RANGE, b"\1", Range(empty=True)),
    (INT4MULTIRANGE, b"\0\0\0\1" + field(b"\x18"), [Range()]),
    (
        RECORD,
        struct.pack("!iI", 2, INT4) + field(b"\0\0\0\1") + struct.pack("!I", TEXT) + field(None),
        (1, None),
    ),
    (POINT, b"(1,2)", "(1,2)"),
    (POINT_ARRAY, b'[2:4]={"(1,2)",NULL,"\\"\\\\"}', ["(1,2)", None, '"\\']),
]


@pytest.mark.parametrize(("oid", "sent", "value"), VALUES)
def test_a_value_arrives(oid: int, sent: bytes, value: Any) -> None:
    got = decode(oid, sent)
    assert got == value
    assert type(got) is type(value)
    if isinstance(value, Decimal):
        assert str(got) == str(value)


@pytest.mark.parametrize("oid", sorted({oid for oid, _, _ in VALUES}))
def test_null_is_none(oid: int) -> None:
    assert decode(oid, None) is None


@pytest.mark.parametrize(("oid", "sent"), [(oid, sent) for oid, sent, _ in VALUES])
def test_a_value_cut_short_or_continued_is_an_error_or_another_value(oid: int, sent: bytes) -> None:
    for piece in [sent[:n] for n in range(len(sent))] + [sent + b"\0", sent + b"\xff" * 9]:
        complaint = 'column "it": '
        try:
            decode(oid, piece)
        except errors.DataError as error:
            complaint = str(error)
        assert complaint.startswith('column "it": ')


@pytest.mark.parametrize(
    ("oid", "sent", "words"),
    [
        (DATE, struct.pack("!i", 2921940), r"10000-01-01"),
        (DATE, struct.pack("!i", -730120), r"0001-12-31 BC"),
        (DATE, struct.pack("!i", 2**31 - 1), r"infinity"),
        (TIMESTAMP, struct.pack("!q", -(2**63)), r"-infinity"),
        (TIMESTAMPTZ, struct.pack("!q", 2**62), r"\d+-\d\d-\d\d"),
        (TIME, struct.pack("!q", 86_400_000_000), r"24:00:00"),
        (INTERVAL, struct.pack("!qii", 0, 0, 2**31 - 1), r"days"),
        (RECORD, struct.pack("!iI", 1, 999_999) + field(b"x"), r"cast"),
    ],
)
def test_what_python_cannot_hold_is_named(oid: int, sent: bytes, words: str) -> None:
    with pytest.raises(errors.DataError, match=rf'column "it": Python cannot hold .*{words}'):
        decode(oid, sent)


def test_a_number_of_131072_digits_is_exact() -> None:
    groups = struct.pack("!HhHH", 32768, 32767, 0, 0) + struct.pack("!H", 9999) * 32768
    assert decode(NUMERIC, groups) == Decimal("9" * 131_072)
    digits = "7" * 4300  # of an int, Python reads no more
    assert decode(JSONB, jsonb(digits)) == int(digits)
    with pytest.raises(errors.DataError, match="4301 digits"):
        decode(JSONB, jsonb("-7" + digits))


def test_columns_keep_their_order_and_the_last_of_one_name_wins() -> None:
    columns = description(("b", INT4), ("a", TEXT), ("b", TEXT))
    got = _native.decode_row(columns, row(b"\0\0\0\1", b"x", b"y"))
    assert got == {"b": "y", "a": "x"}
    assert list(got) == ["b", "a"]
    assert _native.decode_row(columns, row(b"\0\0\0\1", b"x", None)) == {"b": None, "a": "x"}


def test_a_row_that_does_not_fit_its_description_is_refused() -> None:
    columns = description(("a", INT4), ("b", TEXT))
    whole = row(b"\0\0\0\1", b"text")
    assert _native.decode_row(columns, whole) == {"a": 1, "b": "text"}
    lies = [whole[:n] for n in range(len(whole))]
    lies += [whole + b"\0", row(b"\0\0\0\1"), row(b"\0\0\0\1", b"x", b"y")]
    lies += [struct.pack("!Hi", 2, -2) + bytes(8), struct.pack("!Hi", 2, 2**31 - 1) + bytes(8)]
    for lie in lies:
        with pytest.raises(errors.DataError):
            _native.decode_row(columns, lie)


def test_a_description_that_lies_is_refused() -> None:
    whole = description(("a", INT4), ("b", TEXT))
    for lie in [whole[:n] for n in range(1, len(whole))] + [whole + b"\0"]:
        with pytest.raises(errors.InterfaceError):
            _native.decode_row(lie, row(b"\0\0\0\1", b"x"))


def test_deep_nesting_is_an_error() -> None:
    for text in ("[" * 100_000, '{"a":' * 100_000):
        with pytest.raises(errors.DataError, match="nested"):
            decode(JSONB, jsonb(text))
    record = struct.pack("!i", 0)
    for _ in range(1000):
        record = struct.pack("!iI", 1, RECORD) + field(record)
    with pytest.raises(errors.DataError, match="nested"):
        decode(RECORD, record)


def test_the_table_of_types_has_every_type_once() -> None:
    table = _native.types()
    oids = [oid for oid, _, _, _ in table]
    arrays = [array for _, _, _, array in table if array]
    assert len(set(oids + arrays)) == len(oids + arrays)
    assert (23, "int4", "int4", 1007) in table
