"""on_commit: which functions are called, and when, whichever way a transaction ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from either import db, finalize_db
from support import insert

from hypern import errors
from hypern.database import Database, DbSession

pytestmark = pytest.mark.usefixtures("kind", "numbers")


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
def later(session: DbSession, done: list[str]) -> Callable[[str], None]:
    """Have a name noted once it is committed."""

    def add(name: str) -> None:
        session.on_commit(lambda: done.append(name))

    return add


def test_on_commit_runs_once_commit_has_succeeded(session: DbSession) -> None:
    done: list[str] = []
    with session.transaction():
        session.on_commit(lambda: done.append("first"))
        session.on_commit(lambda: done.append("second"))
        insert(session, 1)
        assert done == []
    assert done == ["first", "second"]
    session.begin().commit()
    assert done == ["first", "second"]


def test_on_commit_is_dropped_by_rollback(session: DbSession) -> None:
    done: list[str] = []
    session.begin()
    session.on_commit(lambda: done.append("never"))
    insert(session, 1)
    session.rollback()
    session.begin().commit()
    assert done == []


def fail_in_a_block(session: DbSession, later: Callable[[str], None]) -> None:
    with session.transaction():
        later("undone")
        insert(session, -1)


@pytest.mark.parametrize("sent", [False, True])
def test_a_nested_block_that_is_rolled_back_takes_its_functions_with_it(
    session: DbSession, done: list[str], later: Callable[[str], None], sent: bool
) -> None:
    def nested() -> None:
        with session.transaction():
            later("undone too")
            if sent:
                insert(session, 2)
            raise KeyError

    with session.transaction():
        later("first")
        if sent:
            insert(session, 1)
        with pytest.raises(KeyError):
            nested()
        with session.transaction():
            later("second")
        if sent:
            with pytest.raises(errors.CheckViolation):
                fail_in_a_block(session, later)
        later("third")
    assert done == ["first", "second", "third"]


def test_a_block_that_is_rolled_back_takes_those_within_with_it(
    session: DbSession, done: list[str], later: Callable[[str], None]
) -> None:
    def nested() -> None:
        with session.transaction():
            with session.transaction():
                later("released, then undone")
                insert(session, 1)
            insert(session, -1)

    with session.transaction():
        with pytest.raises(errors.CheckViolation):
            nested()
        later("kept")
    assert done == ["kept"]


@pytest.mark.parametrize(
    ("back", "kept"),
    [
        ("ROLLBACK TO a", ["before"]),
        ("/* x */ rollback work to savepoint A;", ["before"]),
        ('ROLLBACK TO "B b"', ["before", "in a"]),
        ("RELEASE a", ["before", "in a", "in b"]),
        ('ROLLBACK TRANSACTION TO SAVEPOINT U&"\\0061"', []),  # which cannot be read
    ],
)
def test_a_savepoint_in_sql_that_is_rolled_back_takes_its_functions_with_it(
    session: DbSession,
    done: list[str],
    later: Callable[[str], None],
    back: str,
    kept: list[str],
) -> None:
    session.begin()
    later("before")
    session.execute("SAVEPOINT a")
    later("in a")
    session.execute('-- x\nsavepoint "B b"')
    later("in b")
    session.execute(back)
    later("after")
    session.commit()
    assert done == [*kept, "after"]


def test_a_chained_commit_calls_them(
    session: DbSession, done: list[str], later: Callable[[str], None]
) -> None:
    session.begin()
    later("first")
    insert(session, 1)
    session.execute("COMMIT AND CHAIN")
    assert done == ["first"]
    assert session.is_in_transaction
    later("second")
    session.commit()
    assert done == ["first", "second"]


@pytest.mark.parametrize("command", ["ROLLBACK AND CHAIN", ";abort/**/work and chain"])
def test_a_chained_rollback_drops_them(
    session: DbSession, done: list[str], later: Callable[[str], None], command: str
) -> None:
    session.begin()
    later("undone")
    insert(session, 1)
    session.execute(command)
    assert session.is_in_transaction
    later("kept")
    session.commit()
    assert done == ["kept"]


def test_a_commit_in_sql_calls_them_and_a_rollback_in_sql_drops_them(
    session: DbSession, done: list[str], later: Callable[[str], None]
) -> None:
    session.begin()
    later("kept")
    insert(session, 1)
    session.execute("/* route */ COMMIT")
    assert done == ["kept"]
    session.execute("BEGIN")
    later("undone")
    session.execute("-- x\nROLLBACK")
    session.begin().commit()
    assert done == ["kept"]


@pytest.mark.parametrize("command", ["COMMIT AND CHAIN", "COMMIT", "PREPARE TRANSACTION 'x'"])
def test_a_commit_of_an_aborted_transaction_drops_them(
    session: DbSession, done: list[str], later: Callable[[str], None], command: str
) -> None:
    session.begin()
    later("undone")
    with pytest.raises(errors.CheckViolation):
        insert(session, -1)
    with pytest.raises(errors.TransactionAborted):
        session.execute(command)
    if session.is_in_transaction:
        session.commit()
    session.begin().commit()
    assert done == []


def test_finalize_calls_them_after_its_commit_and_where_nothing_is_open(
    configured: str, done: list[str]
) -> None:
    db("r").begin().on_commit(lambda: done.append("committed"))
    finalize_db("r")
    db("r").on_commit(lambda: done.append("nothing open"))
    finalize_db("r")
    session = db("r").begin().on_commit(lambda: done.append("undone"))
    session.set_error()
    finalize_db("r")
    session = db("r").begin().on_commit(lambda: done.append("aborted"))
    with pytest.raises(errors.DivisionByZero):
        session.query("SELECT 1/0")
    with pytest.raises(errors.TransactionAborted):
        finalize_db("r")
    assert done == ["committed", "nothing open"]
    assert Database.status().in_use <= 1  # the fixture's own
