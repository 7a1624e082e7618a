"""Tests that test_pytest_plugin.py runs with the plugin, in a pytest of its own: sessions of
`db_session` that take turns on its connection. The table `notes` is that module's.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator

import pytest
from either import db, finalize_db, scope
from nested_notes import add, found

from hypern import database
from hypern.database import Database, adb
from hypern.errors import (
    ActiveSqlTransaction,
    ConnectionLost,
    DataError,
    DivisionByZero,
    InFailedSqlTransaction,
    InterfaceError,
    InvalidSavepointSpecification,
    NotSupportedError,
    ReadOnlySqlTransaction,
    SyntaxError,
    UniqueViolation,
)

pytest_plugins = ("nested_notes",)


def test_savepoints_of_two_sessions_may_have_one_name() -> None:
    first, second = db("a").begin(), db("b").begin()
    first.execute("SAVEPOINT x")
    add(first, 1)
    second.execute("SAVEPOINT x")
    add(second, 2)
    second.execute("ROLLBACK TO x")
    add(second, 3)
    second.commit()
    first.execute("RELEASE x")
    with pytest.raises(InvalidSavepointSpecification):
        first.execute("ROLLBACK TO x")
    first.rollback()
    assert found() == []


def test_a_savepoint_that_another_session_has_rolled_back_is_gone() -> None:
    first, second = db("a").begin(), db("b").begin()
    first.execute("SAVEPOINT x")
    second.rollback()
    first.rollback()
    second.begin().execute("SAVEPOINT x")
    add(second, 1)
    first.begin()
    second.execute("ROLLBACK TO x")
    add(second, 2)
    second.commit()
    assert found() == [2]


def test_a_savepoint_name_that_cannot_be_read_is_refused() -> None:
    session = db("a").begin()
    with pytest.raises(NotSupportedError, match="Unicode escapes"):
        session.execute('SAVEPOINT U&"\\0061"')
    add(session, 1)
    session.commit()


def test_a_stream_is_no_affair_of_a_constraint_that_another_session_breaks() -> None:
    add(db("b").begin(), 1)
    add(db("b"), 1)
    assert [row["n"] for row in db("a").stream("SELECT n FROM notes", chunk_rows=1)] == [1, 1]
    with pytest.raises(UniqueViolation):
        db("b").commit()
    rows = db("a").stream("INSERT INTO notes VALUES (1), (1) RETURNING n", chunk_rows=1)
    with pytest.raises(UniqueViolation):
        list(rows)


def test_in_an_aborted_transaction_the_server_itself_refuses() -> None:
    session = db("a").begin()
    with pytest.raises(DivisionByZero):
        session.execute("SELECT 1/0")
    with pytest.raises(SyntaxError, match="syntax error at or near"):
        session.execute("SELEC 1")
    with pytest.raises(InFailedSqlTransaction, match="commands ignored until end of"):
        session.execute("SAVEPOINT x")
    with pytest.raises(SyntaxError):
        session.execute("ROLLBACK nonsense")
    session.execute("ROLLBACK")
    assert session.state == "rolled_back"


def test_a_block_whose_savepoint_is_gone_fails_with_the_next_statement() -> None:
    session = db("a").begin()
    session.execute("SAVEPOINT around")
    with session.transaction():
        session.execute("ROLLBACK TO around")
    with pytest.raises(InvalidSavepointSpecification):
        add(session, 1)
    session.rollback()
    session.begin().execute("SAVEPOINT around")
    with session.transaction():
        session.execute("ROLLBACK TO around")
    session.commit()


def test_a_stream_comes_in_chunks_while_other_sessions_work() -> None:
    rows = db("a").stream("SELECT n, pg_sleep(0) FROM generate_series(1, 9) n", chunk_rows=2)
    numbers = iter(rows)
    assert next(numbers)["n"] == 1
    others = db("b").stream("SELECT 'b' AS n FROM generate_series(1, 3)", chunk_rows=1)
    assert next(iter(others)) == {"n": "b"}
    with pytest.raises(DivisionByZero):
        db("c").execute("SELECT 1/0")
    with db("c").transaction():
        add(db("c"), 1)
        assert [next(numbers)["n"] for _ in range(3)] == [2, 3, 4]
    db("a").execute("SELECT 1")
    with pytest.raises(InterfaceError, match="stream has ended"):
        list(numbers)
    assert [row["n"] for row in others] == ["b", "b"]
    portals = "SELECT count(*) FROM pg_cursors WHERE name LIKE 'hypern%'"
    db("b").execute("SELECT 1")
    assert db("a").query_value(portals) == 0
    assert found() == [1]


def test_a_stream_in_a_transaction_goes_with_it() -> None:
    session = db("a").begin()
    rows = iter(session.stream("SELECT n FROM generate_series(1, 9) n", chunk_rows=1))
    assert next(rows) == {"n": 1}
    add(db("b"), 1)
    finalize_db("a")
    portals = "SELECT count(*) FROM pg_cursors WHERE name LIKE 'hypern%'"
    assert db("b").query_value(portals) == 0


def test_an_error_in_a_stream_undoes_what_the_stream_did() -> None:
    db("a").execute(
        "CREATE FUNCTION note(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO notes VALUES (n); RETURN 10 / (3 - n); END $$"
    )
    rows = iter(db("a").stream("SELECT note(n) AS n FROM generate_series(1, 5) n", chunk_rows=1))
    assert [next(rows)["n"] for _ in range(2)] == [5, 10]
    with pytest.raises(DivisionByZero):
        next(rows)
    assert found() == []
    with pytest.raises(DivisionByZero):
        list(db("a").stream("SELECT 1/0"))
    with pytest.raises(SyntaxError):
        list(db("a").stream("SELEC 1"))
    with db("a").transaction():
        add(db("a"), 1)
    assert found() == [1]


def test_a_deferred_constraint_is_checked_behind_any_statement() -> None:
    add(db("b"), 1)
    db("a").execute(
        "CREATE FUNCTION note() RETURNS int LANGUAGE sql AS 'INSERT INTO notes VALUES (1) "
        "RETURNING n'"
    )
    db("a").execute("CREATE VIEW noted AS SELECT note() AS n")
    with pytest.raises(UniqueViolation):
        db("a").query("SELECT n FROM noted")
    assert found() == [1]


def test_a_read_only_transaction_is_no_other_sessions() -> None:
    session = db("a").begin(read_only=True)
    assert session.query_value("SELECT 1") == 1
    add(db("b"), 1)
    with pytest.raises(ReadOnlySqlTransaction):
        add(session, 2)
    session.rollback()
    session.execute("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY")
    with pytest.raises(ReadOnlySqlTransaction):
        session.execute_many("INSERT INTO notes VALUES ($1)", [[3]])
    add(db("b"), 4)
    session.execute("ROLLBACK")
    session.begin().execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY")
    with pytest.raises(ReadOnlySqlTransaction):
        add(session, 5)
    session.rollback()
    assert found() == []  # what others have done since it began goes with it
    session.begin(read_only=True).query("SELECT 1")
    add(db("b"), 6)
    session.commit()
    assert found() == [6]


def test_rows_may_come_from_another_session() -> None:
    def rows() -> Iterator[list[int]]:
        for n in (1, 2):
            add(database.db("b"), n)
            yield [n + 10]

    db("a").execute_many("INSERT INTO notes VALUES ($1)", rows())
    assert found() == [1, 2, 11, 12]


def test_a_composite_type_that_changes_is_noticed() -> None:
    db("a").execute("CREATE TYPE point3 AS (x int, y int)")
    text = "SELECT ROW(1, 2)::point3 AS p, $1::point3 AS q"
    value = {"x": 1, "y": 2}
    assert db("a").query_one(text, [value]) == {"p": value, "q": value}
    with db("b").transaction():
        db("b").execute("ALTER TYPE point3 RENAME ATTRIBUTE x TO z")
        with pytest.raises(DataError):
            db("a").query_one(text, [value])
        moved = {"z": 1, "y": 2}
        assert db("a").query_one(text, [moved]) == {"p": moved, "q": moved}
        assert list(db("b").stream(text, [moved])) == [{"p": moved, "q": moved}]
    assert list(db("a").stream(text, [moved])) == [{"p": moved, "q": moved}]


def test_what_no_transaction_can_run_says_so_and_costs_nothing() -> None:
    session = db("a")
    with pytest.raises(ActiveSqlTransaction):
        session.execute("VACUUM notes")
    add(session, 1)
    assert found() == [1]


def test_a_lost_connection_is_not_made_anew() -> None:
    other = db("b").begin()
    add(other, 1)
    with pytest.raises(ConnectionLost):
        db("a").execute("SELECT pg_terminate_backend(pg_backend_pid())")
    for session in (db("a"), other, db("c")):
        with pytest.raises(InterfaceError, match="is lost"):
            session.execute("SELECT 1")
    with pytest.raises(InterfaceError, match="is lost"):
        finalize_db("b")
    assert other.state == "closed"


def test_a_forked_child_has_no_part_in_it(kind: str) -> None:
    add(db("a"), 1)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            database.db("b").execute("INSERT INTO notes VALUES (2)")
        except InterfaceError as error:
            code = 0 if "a forked child cannot use it" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert found() == [1]


def test_a_thread_waits_for_its_turn_no_longer_than_its_timeout(kind: str) -> None:
    began = threading.Event()

    def sleep() -> None:
        began.set()
        database.db("slow").execute("SELECT pg_sleep(1)")

    thread = threading.Thread(target=sleep)
    thread.start()
    began.wait()
    time.sleep(0.2)
    with pytest.raises(Exception, match=r"timeout=0\.1 s"):
        db("a").execute("SELECT 1", timeout=0.1)
    thread.join()
    assert db("a").query_value("SELECT 1") == 1


def test_an_awaited_statement_does_not_stop_the_loop(kind: str) -> None:
    async def both() -> int:
        ticks = 0
        sleeping = asyncio.ensure_future(adb("a").execute("SELECT pg_sleep(0.3)"))
        waiting = asyncio.ensure_future(adb("b").query_value("SELECT 1"))
        while not waiting.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert sleeping.done()
        return ticks

    assert asyncio.run(both()) > 5


def test_a_blocking_call_on_the_loops_thread_has_its_turn_too(kind: str) -> None:
    async def both() -> int:
        sleeping = [
            asyncio.ensure_future(adb(name).query_value("SELECT 1 FROM pg_sleep(0.2)"))
            for name in "abc"
        ]
        await asyncio.sleep(0.05)
        number: int = database.db("d").query_value("SELECT 5")
        assert [await task for task in sleeping] == [1, 1, 1]
        return number

    assert asyncio.run(both()) == 5


def test_each_alias_keeps_its_own_settings(hypern_url: str) -> None:
    Database.configure(hypern_url, alias="plain", json_loads=lambda text: "parsed")
    assert db("a", "plain").query_value("SELECT '{}'::json") == "parsed"
    assert db("a").query_value("SELECT '{}'::json") == {}
    assert db("a", "plain").alias == "plain"
    Database.close("plain")


def test_scopes_of_threads_end_by_themselves() -> None:
    def work(n: int) -> None:
        with database.scope(), database.db().transaction():
            add(database.db(), n)
            with database.scope(), pytest.raises(DivisionByZero):
                database.db().execute("SELECT 1/0")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with scope():
        assert len(found()) == 16
