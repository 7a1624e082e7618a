"""What settings a statement runs under, sets and leaves whose result has values within text.

They are printed under other settings where the user's will not do; nothing else is to show it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
from either import db, finalize_db, scope
from support import url_with

from hypern import errors
from hypern.database import Database, DbSession
from hypern.database import db as blocking_db
from hypern.database import scope as blocking_scope

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture(scope="module", autouse=True)
def types(database: str) -> None:
    Database.configure(database, alias="types")
    with blocking_scope():
        blocking_db(alias="types").execute("CREATE TYPE mixed AS (f8 float8, d date, m money)")
    Database.close("types")


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


ROW = "ROW(0.30000000000000004, date '2024-02-03', NULL)::mixed"


def read(value: Any) -> None:
    assert (value["d"], value["f8"]) == (date(2024, 2, 3), 0.30000000000000004)


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
    if session.query_value("SELECT to_regproc('pg_stat_force_next_flush') IS NULL"):
        time.sleep(0.6)  # before PostgreSQL 15 a session reports twice a second at most
        session.query("SELECT 1")
        time.sleep(0.2)
    else:
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
