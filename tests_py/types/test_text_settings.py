"""Values within text are right under every setting that changes how the server prints them.

A composite that holds money comes as text, whole. The same values without the money come in binary,
which no setting changes: what they are is what they have to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from either import db, finalize_db, scope
from support import url_with

from hypern import Range, errors
from hypern._literals import StatementCache
from hypern.database import Database, DbSession
from hypern.database import db as blocking_db
from hypern.database import scope as blocking_scope

pytestmark = pytest.mark.usefixtures("kind")

FIELDS = """f4 float4, f8 float8, d date, ts timestamp, tz timestamptz, iv interval, r tsrange,
 fs float8[], tm time, ttz timetz, b bytea"""
TYPES = f"""
CREATE TYPE plain AS ({FIELDS});
CREATE TYPE mixed AS ({FIELDS}, m money, p point);
CREATE TYPE outermost AS (inner_one mixed, at date);
CREATE DOMAIN of_mixed AS mixed;
CREATE TABLE kept (id int, plain plain, mixed mixed)
"""
FLOATS = "'{0.1,0.30000000000000004,1e300,-1.2345678901234567e-7,NaN,Infinity}'::float8[]"
INTERVALS = [
    "0",
    "1 year 2 mons 3 days 04:05:06.789",
    "-1 year -2 mons +3 days -04:05:06.789",
    "-12 hours",
    "-3 days -4 hours",
    "-3 days 4 hours",
    "3 days",
    "-5 mons",
    "14 mons",
    "0.000001 secs",
    "-0.000001 secs",
    "-1 min",
    "100:00:00",
    "1 mon -1 day 1 sec",
]
MOMENTS = [
    "2024-02-03 04:05:06.789",
    "0001-01-02 12:00:00",
    "2024-10-27 02:30:00+02",  # the hour that comes twice in Berlin
    "2024-10-27 02:30:00+01",
    "1890-01-01 00:00:00",  # before zones had whole hours
    "9999-12-31 00:00:00",
    "infinity",
]


def parts(interval: str, moment: str) -> str:
    return f"""0.1::float4, 0.1::float8 + 0.2, '{moment}'::timestamptz::date,
      '{moment}'::timestamp, '{moment}'::timestamptz, '{interval}'::interval,
      tsrange('2024-02-03 04:05', NULL), {FLOATS}, time '04:05:06.7', timetz '04:05+01:30',
      '\\x00ff5c27'::bytea"""


SETTINGS = {
    "as they come": [],
    "German": ["datestyle = 'German'"],
    "SQL, day first": ["datestyle = 'SQL, DMY'"],
    "SQL, month first": ["datestyle = 'SQL, MDY'"],
    "Postgres": ["datestyle = 'Postgres, DMY'"],
    "few digits": ["extra_float_digits = 0"],
    "fewer digits": ["extra_float_digits = -10"],
    "sql_standard": ["intervalstyle = sql_standard"],
    "iso_8601": ["intervalstyle = iso_8601"],
    "postgres_verbose": ["intervalstyle = postgres_verbose"],
    "all at once": [
        "datestyle = 'SQL, DMY'",
        "intervalstyle = iso_8601",
        "extra_float_digits = -5",
        "timezone = 'Europe/Berlin'",
        "bytea_output = 'escape'",
    ],
}
SHOWN = ("datestyle", "intervalstyle", "extra_float_digits")


@pytest.fixture(scope="module", autouse=True)
def types(database: str) -> None:
    Database.configure(database, alias="types")
    with blocking_scope():
        for statement in TYPES.split(";"):
            blocking_db(alias="types").execute(statement)
        sql = f"INSERT INTO kept VALUES (1, ROW({parts('1 day', MOMENTS[0])}), NULL)"
        blocking_db(alias="types").execute(sql)
    Database.close("types")


@pytest.fixture(params=["named", "describe", "off"])
def cache(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=SETTINGS)
def role_settings(
    database: str, request: pytest.FixtureRequest, cache: StatementCache
) -> Iterator[list[str]]:
    """Settings of a role's, and the pool that logs in as this role."""
    settings = SETTINGS[request.param]
    Database.configure(database, alias="admin", max_size=1)
    with blocking_scope():
        admin = blocking_db(alias="admin")
        admin.execute("DROP ROLE IF EXISTS settled")
        admin.execute("CREATE ROLE settled LOGIN SUPERUSER")
        for setting in settings:
            admin.execute(f"ALTER ROLE settled SET {setting}")
    Database.close("admin")
    Database.configure(
        url_with(database, user="settled"), max_size=2, statement_cache=cache, infinity="minmax"
    )
    yield settings
    Database.close()


def shown(session: DbSession) -> list[str]:
    return [session.query_value(f"SHOW {name}") for name in SHOWN]


def agree(session: DbSession) -> None:
    """That what comes as text is what comes in binary."""
    for n in range(max(len(INTERVALS), len(MOMENTS))):
        one = parts(INTERVALS[n % len(INTERVALS)], MOMENTS[n % len(MOMENTS)])
        money = "1.5::money, point(0.1, 2)"
        sql = f"""SELECT ROW({one})::plain AS plain, ROW({one}, {money})::mixed AS mixed,
          ARRAY[ROW({one}, {money})::mixed, NULL] AS many, ROW({one}, {money})::of_mixed AS domain,
          ROW(ROW({one}, {money})::mixed, '2024-02-03'::date)::outermost AS outermost"""
        row = session.query_one(sql)
        plain = row["plain"]
        for found in (
            row["mixed"],
            row["many"][0],
            row["domain"],
            row["outermost"]["inner_one"],
        ):
            assert found.pop("m") == "$1.50"
            assert found.pop("p") == "(0.1,2)"
            assert repr(found) == repr(plain)  # NaN is not equal to itself
        assert row["many"][1] is None
        assert row["outermost"]["at"] == date(2024, 2, 3)
    assert plain["f8"] == 0.1 + 0.2
    assert plain["tm"].microsecond == 700_000


def test_what_a_role_sets_does_not_change_the_values(role_settings: list[str]) -> None:
    with scope():
        session = db()
        before = shown(session)
        agree(session)
        assert shown(session) == before


def test_inside_a_transaction_the_settings_are_as_before(role_settings: list[str]) -> None:
    with scope(), db().transaction():
        session = db()
        before = shown(session)
        agree(session)
        assert shown(session) == before
        with pytest.raises(errors.DivisionByZero), session.transaction():
            session.query("SELECT mixed, 1 / (id - 1) FROM kept")
        assert shown(session) == before
        session.execute("SET LOCAL datestyle = 'German'")
        session.execute("SET extra_float_digits = 2")
        during = shown(session)
        agree(session)
        assert shown(session) == during
        assert during[0].startswith("German")
    with scope(), db().transaction():
        assert shown(db()) == before


def test_a_stream_reads_the_same(role_settings: list[str]) -> None:
    sql = f"""SELECT ROW({parts("-3 days -4 hours", MOMENTS[0])}, 1.5::money, NULL)::mixed AS mixed
      FROM generate_series(1, 25)"""
    with scope():
        session = db()
        expected = [repr(row) for row in session.query(sql)]
        before = shown(session)
        assert [repr(row) for row in session.stream(sql, chunk_rows=10)] == expected
        assert shown(session) == before
        with session.transaction():
            assert [repr(row) for row in session.stream(sql, chunk_rows=10)] == expected
            assert shown(session) == before
            rows = session.stream(sql, chunk_rows=10)
            assert [repr(next(rows)) for _ in range(15)] == expected[:15]
            rows.close()
            assert shown(session) == before
        mixed = session.query_one(sql)["mixed"]
        assert (mixed["f8"], mixed["iv"]) == (0.1 + 0.2, timedelta(days=-3, hours=-4))


def test_what_the_statement_affects_is_counted(role_settings: list[str]) -> None:
    with scope():
        session = db()
        for open_one in (False, True):
            if open_one:
                session.begin()
            sql = "UPDATE kept SET id = id RETURNING id, mixed, plain"
            assert session.execute(sql) == 1
            assert [row["id"] for row in session.query(sql)] == [1]
            assert session.execute_many(sql + ", $1", [["a"], ["b"]]) == 2
            assert session.query("SELECT mixed FROM kept WHERE false") == []
            with pytest.raises(errors.DivisionByZero):
                session.query("SELECT mixed, 1 / (id - 1) FROM kept")
        assert str(session.state) == "in_transaction"
        with pytest.raises(errors.InFailedSqlTransaction):
            session.query("SELECT mixed FROM kept")
        session.rollback()
        assert session.state == "rolled_back"
        assert session.query_value("SELECT count(mixed) FROM kept") == 0


def test_a_reset_in_the_same_write_changes_nothing(database: str, kind: str) -> None:
    """Where requests wait for connections, what undoes a request's settings travels with the next
    statement.
    """
    Database.close()
    Database.configure(database, max_size=1)
    sql = f"SELECT ROW({parts('-3 days -4 hours', MOMENTS[0])}, 1.5::money, NULL)::mixed AS it"
    with scope():
        expected = repr(db().query_value(sql))
    wrong: list[Any] = []

    def work(name: str) -> None:
        for n in range(40):
            session = db(f"{name} {n}")
            try:
                wrong.extend(it for it in [repr(session.query_value(sql))] if it != expected)
                style = session.query_value("SHOW datestyle")
                wrong.extend([style] if style != "ISO, MDY" else [])
                session.execute("SET datestyle = 'German'")
                session.execute("SET extra_float_digits = -5")
                wrong.extend(it for it in [repr(session.query_value(sql))] if it != expected)
            finally:
                finalize_db(f"{name} {n}")

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work, f"worker {n}") for n in range(4)]:
            done.result(timeout=60)
    assert not wrong
    Database.close()


def test_dates_are_read_by_the_statement_as_before(configured: str) -> None:
    with scope():
        session = db()
        session.execute("SET datestyle = 'SQL, DMY'")
        nulls = ", NULL" * 8
        sql = f"""SELECT mixed, ROW(NULL, NULL, d{nulls}, '1', NULL)::mixed AS made
          FROM kept, (SELECT concat('01/02/2024')::date AS d) AS t"""
        assert session.query_one(sql)["made"]["d"] == date(2024, 2, 1)
        assert session.query_value("SELECT current_setting('datestyle')") == "SQL, DMY"


def test_what_the_statement_ended_with_is_its_own(configured: str) -> None:
    with scope():
        session = db()
        sql = "SELECT mixed FROM kept"
        assert session.query(sql) == [{"mixed": None}]
        session.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
        assert session.query(sql) == [{"mixed": None}]  # described anew
        with session.transaction():
            assert session.query(sql) == [{"mixed": None}]
        assert session.state == "committed"


def test_the_values_of_a_range_of_text_are_right(configured: str) -> None:
    with scope():
        session = db()
        session.execute("SET datestyle = 'German'")
        session.execute("SET extra_float_digits = -5")
        session.execute("SET timezone = 'Europe/Berlin'")
        row = session.query_one(
            """SELECT ROW(NULL,NULL,NULL,NULL,'2024-10-27 00:30+00',NULL,
              '[2024-02-03 04:05:06.7,2024-02-04 00:00]','{0.30000000000000004}',NULL,NULL,NULL,
              '1',NULL)::mixed AS it"""
        )
        it = row["it"]
        assert it["tz"] == datetime(2024, 10, 27, 0, 30, tzinfo=timezone.utc)
        lower, upper = datetime(2024, 2, 3, 4, 5, 6, 700_000), datetime(2024, 2, 4)
        assert it["r"] == Range(lower, upper, "[]")
        assert it["fs"] == [0.30000000000000004]
