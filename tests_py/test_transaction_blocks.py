"""`with session.transaction()`: what it commits, what it rolls back, and nesting."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from either import db, finalize_db
from support import in_transaction, insert, numbers_seen_by_others

from hypern import errors
from hypern.database import DbSession

pytestmark = pytest.mark.usefixtures("kind", "numbers")

# Where awaited blocks are entered by either.py, that is their place.
FILE = r"(test_transaction_blocks|either)\.py"


def raising(session: DbSession, n: int, error: BaseException) -> Callable[[], None]:
    def block() -> None:
        with session.transaction():
            insert(session, n)
            raise error

    return block


def test_a_block_commits_at_its_end(session: DbSession) -> None:
    with session.transaction() as inner:
        assert inner is session
        insert(session, 1)
        assert in_transaction(session)
    assert numbers_seen_by_others() == [1]


@pytest.mark.parametrize(
    "error", [ValueError(), KeyboardInterrupt(), SystemExit(), GeneratorExit()]
)
def test_a_block_rolls_back_on_any_exception(session: DbSession, error: BaseException) -> None:
    with pytest.raises(type(error)):
        raising(session, 1, error)()
    assert session.state == "rolled_back"
    assert numbers_seen_by_others() == []


def test_a_server_error_in_a_block_rolls_back_and_passes_through(session: DbSession) -> None:
    def block() -> None:
        with session.transaction():
            insert(session, 1)
            insert(session, -1)

    with pytest.raises(errors.CheckViolation):
        block()
    assert numbers_seen_by_others() == []
    insert(session, 2)
    assert numbers_seen_by_others() == [2]


def test_nested_blocks_are_savepoints(session: DbSession) -> None:
    with session.transaction():
        insert(session, 1)
        with session.transaction():
            insert(session, 2)
            with pytest.raises(ValueError, match="inner"):
                raising(session, 3, ValueError("inner"))()
            with pytest.raises(errors.UniqueViolation):
                raising_duplicate(session)
            insert(session, 4)
        with session.transaction():
            pass
        assert numbers_seen_by_others() == []
    assert numbers_seen_by_others() == [1, 2, 4]


def raising_duplicate(session: DbSession) -> None:
    with session.transaction():
        insert(session, 1)


def test_the_outer_block_undoes_the_inner_one(session: DbSession) -> None:
    def outer() -> None:
        with session.transaction():
            with session.transaction():
                insert(session, 1)
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        outer()
    assert numbers_seen_by_others() == []


def test_a_block_inside_begin_is_a_savepoint(session: DbSession) -> None:
    session.begin()
    insert(session, 1)
    with session.transaction():
        insert(session, 2)
    assert in_transaction(session)
    session.rollback()
    assert numbers_seen_by_others() == []


@pytest.mark.parametrize("method", ["commit", "rollback"])
def test_commit_and_rollback_inside_a_block_are_refused(session: DbSession, method: str) -> None:
    with session.transaction():
        insert(session, 1)
        with pytest.raises(errors.InterfaceError, match=rf"^{method}\(\) inside .*{FILE}:\d+"):
            getattr(session, method)()
        insert(session, 2)
        assert numbers_seen_by_others() == []
        with session.transaction(), pytest.raises(errors.InterfaceError, match="inside"):
            getattr(session, method)()
    assert numbers_seen_by_others() == [1, 2]


def test_commit_after_a_block_inside_begin_is_the_callers(session: DbSession) -> None:
    session.begin()
    with session.transaction():
        insert(session, 1)
        with pytest.raises(errors.InterfaceError, match="inside"):
            session.commit()
    session.commit()
    assert numbers_seen_by_others() == [1]


@pytest.mark.parametrize(("command", "kept"), [("COMMIT", [1]), ("/* x */ ROLLBACK", [])])
def test_nothing_runs_in_a_block_whose_transaction_sql_has_ended(
    session: DbSession, command: str, kept: list[int]
) -> None:
    with session.transaction():
        insert(session, 1)
        session.execute(command)
        for call in (session.begin, lambda: insert(session, 2), session.commit):
            with pytest.raises(errors.InterfaceError, match=FILE):
                call()
    assert numbers_seen_by_others() == kept
    insert(session, 3)
    assert numbers_seen_by_others() == [*kept, 3]


@pytest.mark.parametrize(
    ("command", "kept"),
    [("COMMIT AND CHAIN", [1]), ("end and chain", [1]), ("ROLLBACK AND CHAIN", [])],
)
@pytest.mark.parametrize("nested", [False, True])
def test_nothing_runs_in_a_block_whose_transaction_was_chained(
    session: DbSession, command: str, kept: list[int], nested: bool
) -> None:
    called: list[int] = []
    with session.transaction():
        insert(session, 1)
        session.on_commit(lambda: called.append(1))
        if nested:
            with session.transaction():
                session.execute(command)
        else:
            session.execute(command)
        assert called == kept
        for call in (session.begin, lambda: insert(session, 2), session.commit):
            with pytest.raises(errors.InterfaceError, match=FILE):
                call()
        session.on_commit(lambda: called.append(2))
    assert not in_transaction(session)
    assert (numbers_seen_by_others(), called) == (kept, kept)
    insert(session, 3)
    assert numbers_seen_by_others() == [*kept, 3]


def test_an_exception_leaves_a_block_whose_transaction_was_chained(session: DbSession) -> None:
    def block() -> None:
        with session.transaction():
            insert(session, 1)
            with session.transaction():
                session.execute("COMMIT AND CHAIN")
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert not in_transaction(session)
    assert numbers_seen_by_others() == [1]


def test_a_chained_commit_that_rolled_back_is_reported_once_in_a_block(session: DbSession) -> None:
    def block() -> None:
        with session.transaction():
            with pytest.raises(errors.CheckViolation):
                insert(session, -1)
            with pytest.raises(errors.TransactionAborted):
                session.execute("COMMIT AND CHAIN")

    with pytest.raises(errors.InterfaceError, match=FILE):
        block()
    assert not in_transaction(session)
    assert session.query_value("SELECT 7") == 7


def test_a_transaction_object_serves_one_block_at_a_time(session: DbSession) -> None:
    transaction = session.transaction()
    with transaction:
        insert(session, 1)
        with pytest.raises(errors.InterfaceError, match="entered already"), transaction:
            pass
    with transaction:
        insert(session, 2)
    assert numbers_seen_by_others() == [1, 2]


def test_swallowing_a_server_error_in_a_block_does_not_pretend_success(session: DbSession) -> None:
    def block() -> None:
        with session.transaction():
            insert(session, 1)
            with pytest.raises(errors.CheckViolation):
                insert(session, -1)

    with pytest.raises(errors.TransactionAborted):
        block()
    assert numbers_seen_by_others() == []


def test_a_lost_connection_in_a_block_passes_its_own_error(
    session: DbSession, caplog: pytest.LogCaptureFixture
) -> None:
    def block() -> None:
        with session.transaction():
            insert(session, 1)
            pid = session.query_value("SELECT pg_backend_pid()")
            db("killer").execute("SELECT pg_terminate_backend($1, 5000)", [pid])
            finalize_db("killer")
            insert(session, 2)

    with caplog.at_level(logging.WARNING, logger="hypern"), pytest.raises(errors.Error) as caught:
        block()
    assert isinstance(caught.value, (errors.ConnectionLost, errors.AdminShutdown))
    assert caplog.records == []
    assert numbers_seen_by_others() == []
    assert session.query_value("SELECT 1") == 1


def test_swallowing_a_lost_connection_does_not_pretend_success(session: DbSession) -> None:
    def block() -> None:
        with session.transaction():
            insert(session, 1)
            pid = session.query_value("SELECT pg_backend_pid()")
            db("killer").execute("SELECT pg_terminate_backend($1, 5000)", [pid])
            finalize_db("killer")
            with pytest.raises(errors.Error):
                insert(session, 2)

    with pytest.raises(errors.Error):
        block()
    assert numbers_seen_by_others() == []
