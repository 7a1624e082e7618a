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
def role_settings(database: str, request: pytest.FixtureRequest, cache: str) -> Iterator[list[str]]:
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
        assert session.state == "in_transaction"
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


def test_a_reset_in_the_same_write_brings_the_roles_settings_back(
    database: str, unlike: list[str]
) -> None:
    """What the request before has set tells nothing of what the statement is printed under."""
    sql = f"SELECT {ROW} AS it"
    wrong: list[Any] = []

    def work(name: str) -> None:
        for n in range(40):
            session = db(f"{name} {n}")
            try:
                read(session.query_value(sql))
                session.execute("SET datestyle = 'ISO'")
                session.execute("SET extra_float_digits = 1")
                session.query_value(sql)
            except (errors.Error, AssertionError) as error:
                wrong.append(error)
            finally:
                finalize_db(f"{name} {n}")

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work, f"worker {n}") for n in range(4)]:
            done.result(timeout=60)
    assert not wrong


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


@pytest.fixture(params=["role", "session"])
def unlike(database: str, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """A pool whose settings print dates and floats unlike what C reads, by the role or by SET."""
    settings = ["datestyle = 'German, DMY'", "extra_float_digits = -5"]
    Database.close()
    Database.configure(database, alias="admin", max_size=1)
    with blocking_scope():
        admin = blocking_db(alias="admin")
        if not admin.query_value("SELECT count(*) FROM pg_roles WHERE rolname = 'unlike'"):
            admin.execute("CREATE ROLE unlike LOGIN SUPERUSER")
        admin.execute("ALTER ROLE unlike RESET ALL")
        if request.param == "role":
            for setting in settings:
                admin.execute(f"ALTER ROLE unlike SET {setting}")
        admin.execute("DROP TABLE IF EXISTS audited, audit")
        admin.execute(
            """CREATE TABLE audited (id int, at date, f float8, mixed mixed,
               written text GENERATED ALWAYS AS ((f + 0.2)::float8::text) STORED)"""
        )
        admin.execute("CREATE TABLE audit (what text)")
        admin.execute(
            """CREATE OR REPLACE FUNCTION audits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               INSERT INTO audit VALUES (NEW.at::text || ' ' || (NEW.f + 0.2)::text);
               RETURN NEW; END $$"""
        )
        admin.execute(
            """CREATE TRIGGER audits BEFORE INSERT OR UPDATE ON audited
               FOR EACH ROW EXECUTE FUNCTION audits()"""
        )
    Database.close("admin")
    Database.configure(url_with(database, user="unlike"), max_size=1)
    yield [] if request.param == "role" else [f"SET {setting}" for setting in settings]
    Database.close()


NULLS = ", NULL" * 10
ROW = f"ROW(NULL, 0.30000000000000004, date '2024-02-03'{NULLS})::mixed"


def read(value: Any) -> None:
    assert (value["d"], value["f8"]) == (date(2024, 2, 3), 0.30000000000000004)


@pytest.mark.parametrize("within", [False, True])
def test_what_a_statement_stores_does_not_depend_on_what_it_returns(
    unlike: list[str], within: bool
) -> None:
    insert = f"INSERT INTO audited (id, at, f, mixed) VALUES (1, date '2024-02-03', 0.1, {ROW})"
    with scope():
        session = db()
        for setting in unlike:
            session.execute(setting)
        if within:
            session.begin()
        for _ in range(3):
            session.query(f"{insert} RETURNING id")
            row = session.query_one(f"{insert} RETURNING mixed, at::text AS printed, written")
            read(row["mixed"])
            assert (row["printed"], row["written"]) == ("03.02.2024", "0.3")
            read(session.query_value("UPDATE audited SET id = 2 WHERE id = 1 RETURNING mixed"))
            (streamed,) = session.stream(f"{insert} RETURNING mixed")
            read(streamed["mixed"])
            row = session.query_one(
                f"""WITH q AS (SELECT {ROW} AS c), i AS (INSERT INTO audit
                    SELECT ((c).d)::text || ' ' || (c).f8::text FROM q RETURNING what)
                    SELECT c, (SELECT what FROM i) AS what FROM q"""
            )
            read(row["c"])
            assert row["what"] == "03.02.2024 0.3"
            read(session.query_value("DELETE FROM audited WHERE id = 2 RETURNING mixed"))
        stored = {row["what"] for row in session.query("SELECT what FROM audit")}
        assert stored == {"03.02.2024 0.3"}
        if within:
            session.rollback()


@pytest.mark.parametrize("name", ["datestyle", "extra_float_digits"])
def test_what_the_statement_sets_stays_set(unlike: list[str], name: str) -> None:
    value = {"datestyle": "ISO, YMD", "extra_float_digits": "2"}[name]
    with scope():
        session = db()
        for setting in unlike:
            session.execute(setting)
        before = session.query_value(f"SHOW {name}")
        for local in (True, False):
            sql = f"SELECT set_config('{name}', '{value}', {local}), {ROW} AS it"
            for streamed in (False, True):
                session.begin()
                session.query("SELECT 1")
                (row,) = session.stream(sql) if streamed else session.query(sql)
                read(row["it"])
                assert session.query_value(f"SHOW {name}") == value
                session.rollback()
                assert session.query_value(f"SHOW {name}") == before
            with session.transaction():
                read(session.query_one(sql)["it"])
            assert session.query_value(f"SHOW {name}") == (before if local else value)


def test_what_a_procedure_sets_is_set_and_read(unlike: list[str]) -> None:
    with scope():
        session = db()
        for setting in unlike:
            session.execute(setting)
        session.execute(
            """CREATE OR REPLACE PROCEDURE commits(INOUT it mixed) LANGUAGE plpgsql AS $$ BEGIN
               INSERT INTO audit VALUES (it.d::text); COMMIT; it.f8 := 0.1::float8 + 0.2;
               PERFORM set_config('datestyle', 'SQL, MDY', false); END $$"""
        )
        session.execute("TRUNCATE audit")
        for _ in range(2):
            with pytest.raises(errors.InvalidTransactionTermination) as caught:
                session.query_value(f"CALL commits({ROW})")
            assert "extra_float_digits" in (caught.value.hint or "")
        assert session.query_value("SELECT count(*) FROM audit") == 0  # it has not run in part
        session.execute(
            """CREATE OR REPLACE PROCEDURE sets(INOUT it mixed) LANGUAGE plpgsql AS $$ BEGIN
               INSERT INTO audit VALUES (it.d::text); it.f8 := 0.1::float8 + 0.2;
               PERFORM set_config('datestyle', 'SQL, MDY', false); END $$"""
        )
        for within in (False, True):
            if within:
                session.begin()
            read(session.query_value(f"CALL sets({ROW})"))
            assert session.query_value("SHOW datestyle") == "SQL, MDY"
            session.execute("SET datestyle = 'German, DMY'")
        session.commit()
        stored = [row["what"] for row in session.query("SELECT what FROM audit")]
        assert stored == ["03.02.2024"] * 2
        session.execute(
            f"""CREATE OR REPLACE FUNCTION inserts() RETURNS mixed LANGUAGE plpgsql AS $$ BEGIN
                PERFORM set_config('datestyle', 'SQL, MDY', false); RETURN {ROW}; END $$"""
        )
        with session.transaction():
            read(
                session.query_value("INSERT INTO audited (mixed) SELECT inserts() RETURNING mixed")
            )
            assert session.query_value("SHOW datestyle") == "SQL, MDY"


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_transaction_begins_ahead_of_the_settings(unlike: list[str], isolation: Any) -> None:
    with scope():
        session = db()
        for setting in unlike:
            session.execute(setting)
        sql = f"SELECT {ROW} AS it, current_setting('transaction_isolation') AS isolation"
        with session.transaction():  # from now on the statement is known
            read(session.query_one(sql)["it"])
        before = failures(session)
        for _ in range(3):
            with session.transaction(isolation=isolation):
                row = session.query_one(sql)
            read(row["it"])
            assert row["isolation"] == isolation
            with session.transaction(isolation=isolation):
                (row,) = session.stream(sql)
            read(row["it"])
        assert failures(session) == before


def failures(session: DbSession) -> int:
    """How many transactions the server has rolled back in the database, this session's included."""
    session.execute("SELECT pg_stat_force_next_flush()")
    return int(
        session.query_value(
            "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        )
    )


def test_settings_that_print_all_are_left_alone(configured: str) -> None:
    """Nothing is sent along with a statement that does not need it."""
    with scope():
        session = db()
        digits = "current_setting('extra_float_digits') AS digits"
        sql = f"SELECT {ROW} AS it, current_query() AS query, {digits}"
        assert session.query_one(sql)["query"] == sql
        session.execute("CREATE TEMP TABLE asked (it mixed, query text DEFAULT current_query())")
        insert = f"INSERT INTO asked (it) VALUES ({ROW}) RETURNING it, query"
        for _ in range(3):
            row = session.query_one(insert)
            read(row["it"])
            assert row["query"] == insert
        session.execute("SET extra_float_digits = 2")
        assert session.query_one(sql)["digits"] == "2"
        session.execute("SET extra_float_digits = 0")
        row = session.query_one(sql)
        read(row["it"])
        for _ in range(2):  # beside what an unseen statement may have set
            session.execute("RESET ALL")
            session.execute(
                "DO $$ BEGIN PERFORM set_config('extra_float_digits', '0', false); END $$"
            )
            read(session.query_one(sql)["it"])


def test_a_procedure_commits(configured: str) -> None:
    with scope():
        session = db()
        session.execute(
            """CREATE OR REPLACE PROCEDURE commits(INOUT it mixed) LANGUAGE plpgsql AS $$ BEGIN
               COMMIT; it.f8 := 0.1::float8 + 0.2; END $$"""
        )
        for _ in range(3):
            read(session.query_value(f"CALL commits({ROW})"))
            session.execute("SET statement_timeout = '20s'")
            session.execute("SET search_path = public")


def test_a_procedure_commits_behind_a_reset_in_the_same_write(database: str, kind: str) -> None:
    Database.close()
    Database.configure(database, max_size=1)
    with scope():
        db().execute(
            """CREATE OR REPLACE PROCEDURE commits(INOUT it mixed) LANGUAGE plpgsql AS $$ BEGIN
               COMMIT; it.f8 := 0.1::float8 + 0.2; END $$"""
        )
    wrong: list[Any] = []

    def work(name: str) -> None:
        for n in range(20):
            session = db(f"{name} {n}")
            try:
                read(session.query_value(f"CALL commits({ROW})"))
                session.execute("SET datestyle = 'German'")
                session.execute("SET extra_float_digits = 0")
            except (errors.Error, AssertionError) as error:
                wrong.append(error)
            finally:
                finalize_db(f"{name} {n}")

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work, f"worker {n}") for n in range(4)]:
            done.result(timeout=60)
    assert not wrong
    Database.close()
