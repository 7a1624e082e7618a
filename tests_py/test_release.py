"""`session.release()`: the connection goes back in the middle of the request."""

from __future__ import annotations

import pytest
from either import db, finalize_db
from support import wait_until

from hypern import errors
from hypern.database import Database, DbSession

pytestmark = pytest.mark.usefixtures("kind")


def in_use() -> int:
    return Database.status().in_use


def test_the_connection_goes_back_and_the_next_statement_takes_one(session: DbSession) -> None:
    assert session.query_value("SELECT 1") == 1
    assert in_use() == 1
    assert session.release() is session
    assert (in_use(), session.state) == (0, "idle")
    assert session.query_value("SELECT 2") == 2
    assert (in_use(), session.state) == (1, "connected")
    for _ in range(3):
        session.release()
    assert in_use() == 0


def test_others_can_have_it_meanwhile(configured: str) -> None:
    Database.configure(configured, alias="one", max_size=1, acquire_timeout_secs=2)
    try:
        first, second = db("first", "one"), db("second", "one")
        for n in range(20):
            for session in (first, second):
                assert session.query_value("SELECT $1::int", [n]) == n
                session.release()
    finally:
        finalize_db("first")
        finalize_db("second")
        Database.close("one")


def test_it_is_reset_as_at_the_end_of_a_request(configured: str) -> None:
    Database.configure(configured, alias="one", max_size=1)
    try:
        session = db("r", "one")
        session.execute("SET work_mem = '5MB'")
        session.execute("CREATE TEMPORARY TABLE mine (n int)")
        session.query("SELECT pg_advisory_lock(7)")
        session.release()
        assert session.query_value("SHOW work_mem") != "5MB"
        assert session.query_value("SELECT to_regclass('mine') IS NULL")
        assert session.query_value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    finally:
        finalize_db("r")
        Database.close("one")


@pytest.mark.parametrize("used", [False, True])
def test_inside_a_transaction_it_is_refused(session: DbSession, used: bool) -> None:
    session.begin()
    if used:
        session.query("SELECT 1")
    with pytest.raises(errors.InterfaceError, match=r"call commit\(\) or rollback\(\) first"):
        session.release()
    assert session.is_in_transaction
    assert session.query_value("SELECT 1") == 1
    session.commit().release()
    assert (in_use(), session.state) == (0, "committed")


def test_inside_a_block_it_is_refused(session: DbSession) -> None:
    with session.transaction():
        with pytest.raises(
            errors.InterfaceError, match=r"block entered at .*leave the block first"
        ):
            session.release()
        session.query("SELECT 1")
    session.release()
    assert in_use() == 0


def test_an_aborted_transaction_is_a_transaction(session: DbSession) -> None:
    session.begin()
    with pytest.raises(errors.DivisionByZero):
        session.query("SELECT 1/0")
    with pytest.raises(errors.InterfaceError, match="release"):
        session.release()
    session.rollback().release()
    assert in_use() == 0


def test_a_transaction_that_was_lost_is_reported(session: DbSession) -> None:
    session.begin()
    with pytest.raises(errors.OperationalError):
        session.query("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(errors.ConnectionLost, match="call rollback"):
        session.release()
    session.rollback().release()
    assert session.query_value("SELECT 1") == 1


def test_an_open_stream_ends(session: DbSession) -> None:
    rows = iter(session.stream("SELECT generate_series(1, 100) AS n", chunk_rows=10))
    assert next(rows) == {"n": 1}
    session.release()
    assert in_use() == 0
    for _ in range(9):
        next(rows)  # of the chunk that had come
    with pytest.raises(errors.InterfaceError, match="the stream has ended"):
        next(rows)


def test_after_the_end_it_is_refused(configured: str) -> None:
    session = db("r")
    finalize_db("r")
    with pytest.raises(errors.SessionClosed):
        session.release()


def test_a_connection_that_has_ended_is_not_kept(session: DbSession) -> None:
    with pytest.raises(errors.OperationalError):
        session.query("SELECT pg_terminate_backend(pg_backend_pid())")
    session.release()
    wait_until(lambda: Database.status().size == 0)
    assert session.query_value("SELECT 1") == 1
