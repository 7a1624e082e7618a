"""Tests that test_pytest_plugin.py runs with the plugin, in a pytest of its own: what fails, or is
interrupted, in a test with `db_session` costs what it costs on a connection of its own. The table
`notes` is that module's.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator
from typing import Any

import either
import pytest
from either import db, finalize_db, scope
from nested_notes import add, found

from hypern import database
from hypern.database import adb
from hypern.errors import (
    DivisionByZero,
    Error,
    InFailedSqlTransaction,
    InterfaceError,
    InvalidSavepointSpecification,
    InvalidTextRepresentation,
    NoActiveSqlTransaction,
    NoRows,
    ProgrammingError,
    QueryCanceled,
    TransactionAborted,
    UniqueViolation,
)

pytest_plugins = ("nested_notes",)


class InterruptionError(Exception):
    """What the signal handler raises."""


def interrupt(*_: object) -> None:
    raise InterruptionError


@pytest.fixture
def alarm() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, interrupt)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def refused_rows() -> Iterator[list[object]]:
    yield [8]
    raise KeyError("rows")


def test_what_the_server_did_not_refuse_aborts_nothing() -> None:
    session = db("a")
    no_text: Any = 5
    with session.transaction():
        add(session, 1)
        with pytest.raises(NoRows):
            session.query_one("UPDATE notes SET n = 2 WHERE n = 3 RETURNING n")
        with pytest.raises(NoRows):
            session.query_one(
                "WITH done AS (INSERT INTO notes VALUES (2)) SELECT 1 AS one WHERE false"
            )
        with pytest.raises((TypeError, Error)):
            session.execute("INSERT INTO notes VALUES ($1)", [object()])
        with pytest.raises(Error):
            session.execute("INSERT INTO notes VALUES ($1)", [1, 2])
        with pytest.raises(Error):
            session.execute("INSERT INTO notes VALUES ($1)", [2**40])
        with pytest.raises((TypeError, Error)):
            session.execute(no_text)
        add(session, 3)
    assert found() == [1, 2, 3]
    with pytest.raises(NoRows):
        session.query_one("WITH done AS (INSERT INTO notes VALUES (4)) SELECT 1 AS one WHERE false")
    assert found() == [1, 2, 3, 4]


def test_rows_that_fail_are_undone_and_the_transaction_goes_on() -> None:
    session = db("a")
    with session.transaction():
        add(session, 1)
        with pytest.raises(InvalidTextRepresentation):
            session.execute_many("INSERT INTO notes VALUES ($1)", [[7], ["x"]])
        with pytest.raises(KeyError):
            session.execute_many("INSERT INTO notes VALUES ($1)", refused_rows())
        assert found() == [1]
        add(session, 2)
    with pytest.raises(InvalidTextRepresentation):
        session.execute_many("INSERT INTO notes VALUES ($1)", [[7], ["x"]])
    assert found() == [1, 2]


def test_a_timeout_aborts_as_the_server_does() -> None:
    session = db("a").begin()
    add(session, 1)
    with pytest.raises(QueryCanceled):
        session.execute("SELECT pg_sleep(5)", timeout=0.05)
    with pytest.raises(InFailedSqlTransaction):
        add(session, 2)
    with pytest.raises(TransactionAborted) as caught:
        session.commit()
    assert isinstance(caught.value.__cause__, QueryCanceled)
    assert found() == []


def test_an_interruption_costs_only_what_it_interrupted(alarm: None, kind: str) -> None:
    if kind == "awaited":
        pytest.skip("an exception of a signal handler may hit asyncio's own loop")
    chance = random.Random(3)
    add(db("kept"), -1)
    other = db("other").begin()
    add(other, -2)
    interrupted = 0
    for _ in range(150):
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-4, 4e-3))
            try:
                with scope(), db().transaction():
                    for n in range(50):
                        with db().transaction():
                            add(db(), n)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except InterruptionError:
            interrupted += 1
        with scope(), db().transaction():
            assert db().query_value("SELECT count(*) FROM notes WHERE n < 0") == 2
            db().execute("DELETE FROM notes WHERE n >= 0")
    assert interrupted > 100
    add(other, -3)
    other.commit()
    assert found() == [-3, -2, -1]


def sleep_interrupted(session: Any, kind: str) -> None:
    if kind == "awaited":  # what a handler raises would end the loop, and not the statement
        either.run(asyncio.wait_for(adb("a").execute("SELECT pg_sleep(5)"), 0.1))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    session.execute("SELECT pg_sleep(5)")


def test_an_interrupted_statement_aborts_its_transaction(alarm: None, kind: str) -> None:
    session = db("a").begin()
    add(session, 1)
    with pytest.raises((InterruptionError, asyncio.TimeoutError)):
        sleep_interrupted(session, kind)
    add(db("b"), 2)
    with pytest.raises(InFailedSqlTransaction):
        add(session, 3)
    assert found() == [1, 2]
    session.rollback()
    add(session, 4)
    assert found() == [4]


def test_a_deferred_constraint_fails_with_the_statement_that_breaks_it() -> None:
    add(db("b"), 1)
    session = db("a")
    with pytest.raises(UniqueViolation):
        add(session, 1)
    assert session.state == "connected"
    with pytest.raises(UniqueViolation):
        session.execute_many("INSERT INTO notes VALUES ($1)", [[2], [1]])
    with pytest.raises(UniqueViolation):
        list(session.stream("INSERT INTO notes VALUES (1) RETURNING n"))
    with pytest.raises(UniqueViolation):
        session.query("WITH made AS (INSERT INTO notes VALUES (1) RETURNING n) SELECT * FROM made")
    session.execute(
        "CREATE FUNCTION note(n int) RETURNS void LANGUAGE sql AS 'INSERT INTO notes VALUES (n)'"
    )
    with pytest.raises(UniqueViolation):
        session.query("SELECT note(1)")
    assert found() == [1]
    with db("b").transaction():
        db("b").query_value("SELECT 1")


def test_a_constraint_that_another_transaction_breaks_meanwhile_is_its_own_affair() -> None:
    add(db("a"), 1)
    other = db("b").begin()
    add(other, 1)
    add(db("a"), 2)
    with pytest.raises(UniqueViolation):
        other.commit()
    assert found() == [1]  # the one connection is back where the other transaction began


def test_a_savepoint_that_is_not_there_costs_no_other() -> None:
    session = db("a").begin()
    add(session, 1)
    session.execute("SAVEPOINT x")
    add(session, 2)
    with pytest.raises(DivisionByZero):
        session.execute("SELECT 1/0")
    with pytest.raises(InvalidSavepointSpecification):
        session.execute("ROLLBACK TO nope")
    with pytest.raises(InFailedSqlTransaction):
        add(session, 3)
    session.execute("ROLLBACK TO x")
    with pytest.raises(InvalidSavepointSpecification):
        session.execute("RELEASE nope")
    with pytest.raises(InFailedSqlTransaction):
        add(session, 3)
    session.execute("ROLLBACK TO x")
    add(session, 4)
    session.commit()
    assert found() == [1, 4]


def test_a_savepoint_of_another_session_is_not_there() -> None:
    first = db("a").begin()
    first.execute("SAVEPOINT x")
    add(first, 1)
    second = db("b").begin()
    with pytest.raises(InvalidSavepointSpecification):
        second.execute("ROLLBACK TO x")
    second.rollback()
    first.commit()
    assert found() == [1]


def undo_around_a_block(session: Any) -> None:
    with session.transaction():
        session.execute("ROLLBACK TO around")
        raise KeyError("block")


def test_a_block_whose_savepoint_is_gone_aborts_only_its_own_transaction() -> None:
    add(db("kept"), 1)
    session = db("a")
    block = session.transaction()
    block.__enter__()
    session.execute("SAVEPOINT around")
    with pytest.raises(KeyError):
        undo_around_a_block(session)
    with pytest.raises(TransactionAborted) as caught:
        block.__exit__(None, None, None)
    assert isinstance(caught.value.__cause__, InvalidSavepointSpecification)
    add(session, 2)
    assert found() == [1, 2]


def test_savepoints_of_sessions_that_overlap() -> None:
    first = db("a").begin()
    first.execute("SAVEPOINT x")
    with first.transaction():
        second = db("b").begin()
        add(second, 1)
    add(second, 2)
    first.execute("RELEASE x")
    add(second, 3)
    second.commit()
    first.commit()
    assert found() == [1, 2, 3]
    first.begin().execute("SAVEPOINT x")
    add(second.begin(), 4)
    first.execute("ROLLBACK TO x")
    with pytest.raises(InFailedSqlTransaction):
        add(second, 5)
    second.rollback()
    add(first, 6)
    first.commit()
    assert found() == [1, 2, 3, 6]


def test_begin_in_sql_fails_in_an_aborted_transaction() -> None:
    session = db("a").begin()
    with pytest.raises(DivisionByZero):
        session.execute("SELECT 1/0")
    with pytest.raises(InFailedSqlTransaction):
        session.execute("BEGIN")
    session.rollback()
    session.execute("BEGIN")
    session.execute("BEGIN")  # only a warning
    session.rollback()


def test_a_chain_needs_a_transaction() -> None:
    session = db("a")
    for sql in ("COMMIT AND CHAIN", "ROLLBACK AND CHAIN"):
        with pytest.raises(NoActiveSqlTransaction, match="AND CHAIN"):
            session.execute(sql)
        assert not session.is_in_transaction
    session.execute("COMMIT")
    session.execute("ROLLBACK")


def test_a_block_tells_that_commit_in_sql_has_rolled_it_back() -> None:
    session = db("a")
    block = session.transaction()
    block.__enter__()
    add(session, 1)
    with pytest.raises(DivisionByZero):
        session.execute("SELECT 1/0")
    with pytest.raises(TransactionAborted):
        session.execute("COMMIT")
    with pytest.raises(InterfaceError, match="was ended by"):
        block.__exit__(None, None, None)
    assert found() == []
    with session.transaction():
        add(session, 1)
        session.execute("COMMIT")
    block.__enter__()
    add(session, 1)
    with pytest.raises(UniqueViolation):
        session.execute("COMMIT")
    with pytest.raises(InterfaceError, match="was ended by"):
        block.__exit__(None, None, None)
    finalize_db("a")
    assert found() == [1]


def test_tasks_share_the_connection() -> None:
    async def work(n: int) -> None:
        async with database.scope(), adb().transaction():
            with pytest.raises(NoRows):
                await adb().query_one("SELECT 1 WHERE false")
            await adb().execute("INSERT INTO notes VALUES ($1)", [n])

    async def all_of_them() -> None:
        await asyncio.gather(*(work(n) for n in range(8)))

    asyncio.run(all_of_them())
    assert found() == list(range(8))


def test_execute_many_takes_no_transaction_command() -> None:
    with scope():
        session = db().begin()
        add(session, 1)
        for command in ("COMMIT", "ROLLBACK", "/* x */ commit and chain"):
            with pytest.raises(ProgrammingError, match="does not take transaction commands"):
                session.execute_many(command, [[]])
        add(session, 2)
    assert found() == [1, 2]
