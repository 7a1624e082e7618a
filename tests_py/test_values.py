"""Values go to the server by the type it wants and come back as Python's: the everyday types."""

from __future__ import annotations

import math
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from either import db, scope

from hypern import errors
from hypern.database import Database, DbSession

pytestmark = pytest.mark.usefixtures("kind")

UTC = timezone.utc

ROUND_TRIPS: list[tuple[str, Any]] = [
    ("boolean", True),
    ("boolean", False),
    ("int2", -(2**15)),
    ("int2", 2**15 - 1),
    ("int4", -(2**31)),
    ("int4", 2**31 - 1),
    ("int8", -(2**63)),
    ("int8", 2**63 - 1),
    ("float4", 1.5),
    ("float8", 0.1),
    ("float8", math.inf),
    ("numeric", Decimal("99.99")),
    ("numeric", Decimal("-0.00100")),
    ("numeric", Decimal(10) ** 40),
    ("numeric", Decimal("Infinity")),
    ("text", ""),
    ("text", "Grüße, 世界 \U0001f600"),
    ("varchar", "x"),
    ("bytea", b""),
    ("bytea", bytes(range(256))),
    ("date", date(2026, 2, 28)),
    ("date", date.min),
    ("date", date.max),
    ("time", time(23, 59, 59, 999_999)),
    ("timestamp", datetime(2026, 2, 28, 12, 30, 0, 1)),
    ("timestamp", datetime.max),
    ("timestamptz", datetime(2026, 2, 28, 12, 30, tzinfo=UTC)),
    ("interval", timedelta(days=-3, seconds=5, microseconds=7)),
    ("uuid", uuid.UUID("12345678-1234-5678-1234-567812345678")),
    ("jsonb", {"a": [1, 2.5, None, True, "x"], "big": 2**70}),
    ("jsonb", [1, [2, 3]]),
    ("json", {"z": 1, "a": 2}),
    ("int4[]", [1, None, 3]),
    ("int4[]", []),
    ("int8[]", [[1, 2], [3, 4]]),
    ("text[]", ["a", 'quote " and \\', "", None, "NULL"]),
    ("float8[]", [0.5, 1.5]),
    ("numeric[]", [Decimal("1.10")]),
    ("boolean[]", [True, False]),
    ("uuid[]", [uuid.UUID(int=1)]),
    ("timestamptz[]", [datetime(2026, 1, 1, tzinfo=UTC)]),
    ("date[]", [date(2026, 1, 1)]),
]


@pytest.mark.parametrize(
    ("pg_type", "value"), ROUND_TRIPS, ids=[f"{t}-{n}" for n, (t, _) in enumerate(ROUND_TRIPS)]
)
def test_a_value_comes_back_equal_and_of_its_type(
    session: DbSession, pg_type: str, value: Any
) -> None:
    # Alone, next to others, and in a column.
    assert session.query_value(f"SELECT $1::{pg_type}", [value]) == value
    row = session.query_one(
        f"SELECT $1::int AS n, $2::{pg_type} AS value, NULL AS none", [7, value]
    )
    assert row == {"n": 7, "value": value, "none": None}
    assert type(row["value"]) is type(value)
    session.execute(f"CREATE TEMP TABLE t (value {pg_type})")
    session.execute_many("INSERT INTO t VALUES ($1)", [[value], [None]])
    assert session.query("SELECT value FROM t") == [{"value": value}, {"value": None}]
    session.execute("DROP TABLE t")


CONVERTED: list[tuple[str, Any, str]] = [
    # type, what is sent, what the server then prints
    ("int4", "42", "42"),
    ("int4", 42.0, "42"),
    ("int4", Decimal("42.00"), "42"),
    ("float8", 42, "42"),
    ("numeric", 99.99, "99.99"),
    ("numeric", 2**200, str(2**200)),
    ("numeric", math.nan, "NaN"),
    ("text", 42, "42"),
    ("text", True, "true"),
    ("text", Decimal("1.10"), "1.10"),
    ("text", date(2026, 2, 28), "2026-02-28"),
    ("boolean", "yes", "true"),
    ("date", "2026-02-28", "2026-02-28"),
    ("date", datetime(2026, 2, 28), "2026-02-28"),
    ("timestamp", date(2026, 2, 28), "2026-02-28 00:00:00"),
    ("timestamp", "2026-02-28 01:02:03", "2026-02-28 01:02:03"),
    ("time", "14:30", "14:30:00"),
    ("interval", "1 day 2 hours", "1 day 02:00:00"),
    ("uuid", "12345678-1234-5678-1234-567812345678", "12345678-1234-5678-1234-567812345678"),
    ("uuid", bytes(16), str(uuid.UUID(int=0))),
    ("jsonb", '{"a": 1}', '{"a": 1}'),
    ("bytea", bytearray(b"\x01\xff"), "\\x01ff"),
    ("bytea", memoryview(b"\x01\xff"), "\\x01ff"),
    ("int4[]", (1, 2), "{1,2}"),
    ("int4[]", "{1,2}", "{1,2}"),
]


@pytest.mark.parametrize(
    ("pg_type", "value", "printed"),
    CONVERTED,
    ids=[f"{t}-{n}" for n, (t, *_) in enumerate(CONVERTED)],
)
def test_a_parameter_takes_the_type_the_server_wants(
    session: DbSession, pg_type: str, value: Any, printed: str
) -> None:
    assert session.query_value(f"SELECT ($1::{pg_type})::text", [value]) == printed


def test_now_as_text_is_read_by_the_server(session: DbSession) -> None:
    sql = "SELECT now() - ($1::timestamptz) < interval '1 minute'"
    assert session.query_value(sql, ["NOW()"]) is True


def test_datetimes_and_the_sessions_time_zone(session: DbSession) -> None:
    session.execute("SET TimeZone = 'Asia/Kolkata'")
    aware = datetime(2026, 2, 28, 12, 0, tzinfo=timezone(timedelta(hours=-5)))
    assert session.query_value("SELECT $1::timestamptz", [aware]) == aware
    assert session.query_value("SELECT $1::timestamptz", [aware]).tzinfo is UTC
    # The server would drop the offset of an aware datetime without a word.
    assert session.query_value("SELECT $1::timestamp", [aware]) == datetime(2026, 2, 28, 22, 30)
    naive = datetime(2026, 2, 28, 12, 0)
    assert session.query_value("SELECT $1::timestamptz", [naive]) == datetime(
        2026, 2, 28, 6, 30, tzinfo=UTC
    )


def test_enums_domains_and_composites_of_the_users(session: DbSession) -> None:
    session.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')")
    session.execute("CREATE DOMAIN positive AS int CHECK (VALUE > 0)")
    try:
        assert session.query_value("SELECT $1::mood", ["happy"]) == "happy"
        assert session.query_value("SELECT $1::mood[]", [["sad", None]]) == ["sad", None]
        assert session.query_value("SELECT $1::positive", [7]) == 7
        with pytest.raises(errors.CheckViolation):
            session.query("SELECT $1::positive", [-7])
        with pytest.raises(errors.InvalidTextRepresentation):
            session.query("SELECT $1::mood", ["angry"])
    finally:
        session.execute("DROP TYPE mood")
        session.execute("DROP DOMAIN positive")


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("'(1,2)'::point", "(1,2)"),
        ("'101'::bit(3)", "101"),
        ("'1 & 2'::tsquery", "'1' & '2'"),
        ("'$.a'::jsonpath", '$."a"'),
    ],
)
def test_what_python_has_no_type_for_is_the_servers_text(
    session: DbSession, sql: str, text: str
) -> None:
    assert session.query_value(f"SELECT {sql}") == text
    assert session.query_value(f"SELECT ($1::{sql.split('::')[1]})::text", [text]) == text


@pytest.mark.parametrize(
    "sql",
    [
        "'infinity'::date",
        "'10000-01-01'::date",
        "'-infinity'::timestamptz",
        "'0044-03-15 BC'::date",
    ],
)
def test_what_python_cannot_hold_is_an_error_that_names_the_column(
    session: DbSession, sql: str
) -> None:
    with pytest.raises(errors.DataError, match="born"):
        session.query(f"SELECT {sql} AS born")
    assert session.query_value("SELECT 1") == 1


def test_infinity_may_be_pythons_least_and_greatest(database: str) -> None:
    Database.configure(database, infinity="minmax", alias="minmax")
    with scope():
        row = db(alias="minmax").query_one(
            "SELECT 'infinity'::date AS a, '-infinity'::date AS b, 'infinity'::timestamp AS c"
        )
    Database.close("minmax")
    assert row == {"a": date.max, "b": date.min, "c": datetime.max}


def test_an_empty_record_of_nulls_keeps_its_nulls(session: DbSession) -> None:
    row = session.query_one("SELECT NULL::int AS a, NULL::text AS b, NULL::jsonb AS c")
    assert row == {"a": None, "b": None, "c": None}
    assert session.query_value("SELECT 'null'::jsonb") is None  # what json's null is in Python
