"""What Python's value means arrives, or is refused: edges where the two sides' values differ.

What is right is what psql prints for the same statement with a literal in the parameter's place.
"""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta, timezone
from enum import IntEnum
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from either import db, scope

from hypern import Range, errors

pytestmark = pytest.mark.usefixtures("kind", "configured")

BERLIN = ZoneInfo("Europe/Berlin")


class NaTType(datetime):
    """As pandas.NaT: in C a datetime of the year 1, in Python no date and equal to nothing."""

    def _nan(self) -> float:
        return float("nan")

    year = month = day = hour = minute = second = microsecond = property(_nan)

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = datetime.__hash__

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return "NaT"

    def utcoffset(self) -> Any:
        return self


class NoDate(date):
    month = property(lambda self: None)


class NoTime(time):
    hour = property(lambda self: 25)


class NoDelta(timedelta):
    days = property(lambda self: float("nan"))


class Fixed(datetime):
    """A datetime like any other, as those of pendulum and freezegun."""


NAT = NaTType(1, 1, 1)


@pytest.mark.parametrize(
    ("kind_of_type", "given"),
    [
        ("timestamp", NAT),
        ("timestamptz", NAT),
        ("date", NAT),
        ("text", NAT),
        ("date", NoDate(2024, 1, 1)),
        ("timestamp", NoDate(2024, 1, 1)),
        ("text", NoDate(2024, 1, 1)),
        ("time", NoTime(1)),
        ("timetz", NoTime(1, tzinfo=timezone.utc)),
        ("interval", NoDelta(1)),
        ("text", NoDelta(1)),
        ("timestamp[]", [None, NAT]),
        ("tsrange", Range(NAT, None)),
        ("point", NAT),
    ],
)
def test_a_subclass_whose_attributes_make_no_date_is_refused(kind_of_type: str, given: Any) -> None:
    with scope(), pytest.raises((errors.DataError, TypeError), match=r"parameter \$1") as caught:
        db().query_value(f"SELECT $1::{kind_of_type}", [given])
    if kind_of_type != "point":  # takes no datetime at all
        assert isinstance(caught.value, errors.DataError)


def test_nothing_is_stored_of_rows_with_such_a_value() -> None:
    with scope():
        db().execute("CREATE TABLE moments (at timestamp)")
        with pytest.raises(errors.DataError, match="row 1, parameter") as caught:
            db().execute_many("INSERT INTO moments VALUES ($1)", [[datetime(2024, 1, 1)], [NAT]])
        assert caught.value.row == 1
        assert db().query_value("SELECT count(*) FROM moments") == 0
        db().execute("DROP TABLE moments")


def test_a_subclass_that_is_a_datetime_is_taken() -> None:
    with scope():
        given = Fixed(2024, 2, 29, 12, 30, 15, 7)
        assert db().query_value("SELECT $1::timestamp", [given]) == given
        assert db().query_value("SELECT $1::date", [Fixed(2024, 2, 29)]) == date(2024, 2, 29)


@pytest.mark.parametrize("kind_of_type", ["timetz", "time", "timetz[]"])
def test_a_time_in_a_zone_without_a_fixed_offset_is_refused(kind_of_type: str) -> None:
    given: Any = time(12, tzinfo=BERLIN)
    with scope():
        with pytest.raises(errors.DataError, match="no offset without a date"):
            db().query_value(
                f"SELECT $1::{kind_of_type}", [[given] if "[]" in kind_of_type else given]
            )
        fixed = time(12, tzinfo=timezone(timedelta(hours=2)))
        assert db().query_value("SELECT $1::timetz", [fixed]) == fixed


class Count(IntEnum):
    MANY = 2**53 + 1


class Index:
    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


@pytest.mark.parametrize(
    ("kind_of_type", "given"),
    [
        ("float8", 2**53 + 1),
        ("float8", -(2**53) - 1),
        ("float8", 2**63 - 1),
        ("float8", 10**23),
        ("float8", Count.MANY),
        ("float8", Index(2**53 + 1)),
        ("float4", 2**24 + 1),
        ("float4", 2**53 + 1),
        ("float4", Index(-(2**24) - 1)),
        ("float8[]", [2**53 + 1]),
        ("float4[]", [2**24 + 1]),
    ],
)
def test_an_int_that_a_float_cannot_hold_is_refused(kind_of_type: str, given: Any) -> None:
    with scope(), pytest.raises(errors.DataError, match="cannot be held exactly"):
        db().query_value(f"SELECT $1::{kind_of_type}", [given])


@pytest.mark.parametrize(
    ("kind_of_type", "given"),
    [
        ("float8", 2**53),
        ("float8", -(2**53)),
        ("float8", 2**53 + 2),
        ("float8", 2**1023),
        ("float8", 0),
        ("float4", 2**24),
        ("float4", 2**24 + 2),
        ("float4", 2**127),
    ],
)
def test_an_int_that_a_float_holds_arrives_as_it_is(kind_of_type: str, given: int) -> None:
    with scope():
        assert db().query_value(f"SELECT $1::{kind_of_type}::numeric::text", [given])
        assert int(db().query_value(f"SELECT $1::{kind_of_type}", [given])) == given
        assert db().query_value(f"SELECT $1::{kind_of_type}", [Index(given)]) == given


def test_an_int_that_is_too_large_for_a_float_is_out_of_range() -> None:
    with scope(), pytest.raises(errors.NumericValueOutOfRange):
        db().query_value("SELECT $1::float8", [10**400])


def test_a_float_is_rounded_to_float4_as_the_server_does() -> None:
    with scope():
        assert db().query_value("SELECT $1::float4 = 16777217::float4", [16777217.0])


NEGATIVE = [
    timedelta(hours=-12),
    timedelta(days=-1),
    timedelta(days=-1, hours=-12),
    timedelta(microseconds=-1),
    timedelta(days=-3, seconds=5),
    timedelta(days=2, hours=-1),
    timedelta.min,
    timedelta.max,
]
# psql's literals for them: days and time of one sign.
LITERALS = [
    "-12 hours",
    "-1 day",
    "-1 day -12 hours",
    "-0.000001 seconds",
    "-2 days -23:59:55",
    "1 day 23:00",
    "-999999999 days",
    "999999999 days 23:59:59.999999",
]
# On these days clocks change in Berlin: a day has 23 and 25 hours.
CHANGES = ["2024-03-31 20:00", "2024-10-27 20:00", "2024-04-01 01:00", "2024-03-30 03:00"]


@pytest.mark.parametrize(("delta", "literal"), list(zip(NEGATIVE, LITERALS, strict=True)))
def test_a_timedelta_is_the_interval_that_psql_reads(delta: timedelta, literal: str) -> None:
    parts = "extract(day from {0}) || ' ' || extract(epoch from {0} - extract(day from {0})::int"
    parts = (parts + " * interval '1 day')").format("i")
    with scope():
        ours = db().query_value(f"SELECT {parts} FROM (SELECT $1::interval AS i) AS t", [delta])
        assert ours == db().query_value(f"SELECT {parts} FROM (SELECT interval '{literal}' AS i) t")
        for style in ("postgres", "sql_standard", "iso_8601", "postgres_verbose"):
            db().execute(f"SET intervalstyle = {style}")
            # As text, where the server must parse the whole.
            given = [[delta, "1 hour"]]
            ours = db().query_value("SELECT ($1::interval[])[1]::text", given)
            assert ours == db().query_value(f"SELECT interval '{literal}'::text"), style
            assert db().query_value("SELECT $1::interval", [delta]) == delta


@pytest.mark.parametrize("start", CHANGES)
def test_what_a_timedelta_does_to_a_timestamptz_is_what_the_interval_does(start: str) -> None:
    with scope():
        db().execute("SET timezone = 'Europe/Berlin'")
        at = f"timestamptz '{start}'"
        for delta, literal in zip(NEGATIVE[:6], LITERALS[:6], strict=True):
            ours = db().query_value(f"SELECT {at} + $1", [delta])
            assert ours == db().query_value(f"SELECT {at} + interval '{literal}'"), literal
            ours = db().query_value(f"SELECT {at} - $1::interval", [delta])
            assert ours == db().query_value(f"SELECT {at} - interval '{literal}'"), literal


@contextmanager
def str_digits(most: int) -> Iterator[None]:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(most)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("kind_of_type", ["json", "jsonb"])
def test_an_int_of_a_million_digits_in_json_is_refused_at_once(kind_of_type: str) -> None:
    digits = 1_000_000 if kind_of_type == "json" else 131_072  # jsonb's are numeric
    text = f"concat('[', repeat('7', {digits}), ']')::{kind_of_type}"
    with scope():
        began = clock.perf_counter()
        for sign in ("", "-"):
            with pytest.raises(errors.DataError, match=rf"{digits} digits.*set_int_max_str_digits"):
                db().query_value(f"SELECT replace({text}::text, '[', '[{sign}')::{kind_of_type}")
        huge = 1 << digits * 3
        for given in ([huge], {"a": huge}, {huge: 1}, huge):
            with pytest.raises(errors.DataError, match=r"parameter \$1.*set_int_max_str_digits"):
                db().query_value(f"SELECT $1::{kind_of_type}", [given])
        assert clock.perf_counter() - began < 5  # it was a minute
        assert db().query_value("SELECT 1") == 1  # and the connection is as good as before


def test_the_digits_of_ints_are_limited_where_python_limits_them() -> None:
    with scope():
        number = 10**4299
        assert db().query_value("SELECT $1::jsonb", [[number]]) == [number]
        assert db().query_value("SELECT $1::text[]", [[number]]) == [str(number)]
        with pytest.raises(errors.DataError, match="4301 digits"):
            db().query_value("SELECT ('1' || repeat('0', 4300))::jsonb")
        with pytest.raises(errors.DataError, match="set_int_max_str_digits"):
            db().query_value("SELECT $1::text[]", [[10**4300]])
        # A parameter that may be of any type is a numeric.
        assert db().query_value("SELECT $1::text", [10**4300]) == "1" + "0" * 4300
        with str_digits(20_000):
            assert db().query_value("SELECT $1::jsonb", [[10**19_999]]) == [10**19_999]


def test_numeric_takes_every_int_that_it_can_hold_and_refuses_others_at_once() -> None:
    with scope():
        number = 10**131_071
        assert int(db().query_value("SELECT $1::numeric", [number])) == number
        began = clock.perf_counter()
        for given in (10**131_072, 1 << 30_000_000, -(1 << 30_000_000)):
            with pytest.raises(errors.NumericValueOutOfRange, match="numeric"):
                db().query_value("SELECT $1::numeric", [given])
        assert clock.perf_counter() - began < 5
