"""The end of a stream's own transaction: whatever its COMMIT raises reaches somebody."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from either import db, scope
from support import wait_until

from hypern import errors
from hypern.database import Database, DbSession, adb
from hypern.database import db as blocking_db
from hypern.database import scope as request_scope

# A second 1 is refused by COMMIT, not by INSERT.
DUPLICATE = "INSERT INTO deferred SELECT 1 FROM generate_series(1, 3) RETURNING n"
FINE = "INSERT INTO deferred SELECT n FROM generate_series(2, 4) n RETURNING n"


@pytest.fixture(autouse=True)
def deferred(configured: str) -> Iterator[None]:
    """A table whose constraint is checked at COMMIT, and one whose trigger makes COMMIT slow."""
    with request_scope():
        session = blocking_db()
        for sql in (
            "CREATE TABLE deferred (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
            "INSERT INTO deferred VALUES (1)",
            "CREATE TABLE slow (n int)",
            "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(2); RETURN NULL; END $$",
            "CREATE CONSTRAINT TRIGGER pause AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION pause()",
        ):
            session.execute(sql)
    yield
    with request_scope():
        blocking_db().execute("DROP TABLE deferred, slow", timeout=5)
        blocking_db().execute("DROP FUNCTION pause", timeout=5)


def count(table: str) -> int:
    """How many rows others see."""
    with request_scope():
        found: int = blocking_db().query_value(f"SELECT count(*) FROM {table}")
        return found


def leave_early(session: DbSession, sql: str = DUPLICATE) -> None:
    for _ in session.stream(sql, chunk_rows=1):
        break


@pytest.mark.usefixtures("kind")
def test_the_end_of_the_scope_raises_what_the_commit_of_a_stream_left_early_raises() -> None:
    called: list[int] = []

    def request() -> None:
        with scope():
            session = db()
            session.on_commit(lambda: called.append(1))
            leave_early(session)

    with pytest.raises(errors.UniqueViolation) as caught:
        request()
    assert caught.value.constraint == "deferred_n_key"
    assert (called, count("deferred")) == ([], 1)
    assert Database.status().in_use == 0


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize(
    "then",
    [
        lambda s: s.query_value("SELECT 7"),
        lambda s: s.begin(),
        lambda s: s.transaction().__enter__(),
        lambda s: s.execute_many("INSERT INTO slow SELECT $1 WHERE false", [[1]]),
        lambda s: list(s.stream("SELECT 7")),
    ],
)
def test_the_next_call_raises_it(then: Callable[[DbSession], object]) -> None:
    with scope():
        session = db()
        leave_early(session)
        with pytest.raises(errors.UniqueViolation) as caught:
            then(session)
        assert caught.value.sql == DUPLICATE
        assert session.query_value("SELECT 8") == 8
    assert count("deferred") == 1


@pytest.mark.usefixtures("kind")
def test_close_a_block_and_the_last_row_raise_it_at_once() -> None:
    with scope():
        session = db()
        rows = session.stream(DUPLICATE, chunk_rows=1)
        next(rows)
        with pytest.raises(errors.UniqueViolation):
            rows.close()
        rows.close()
        with pytest.raises(errors.UniqueViolation), session.stream(DUPLICATE, chunk_rows=1) as rows:
            next(rows)
        with pytest.raises(errors.UniqueViolation):
            list(session.stream(DUPLICATE, chunk_rows=1))
    assert count("deferred") == 1


@pytest.mark.usefixtures("kind")
def test_a_stream_left_early_commits_as_any_statement_does() -> None:
    called: list[int] = []
    with scope():
        session = db()
        session.on_commit(lambda: called.append(1))
        leave_early(session, FINE)
    assert (called, count("deferred")) == ([1], 4)

    def failing() -> None:
        with scope():
            session = db()
            session.execute("TRUNCATE deferred")
            for _ in session.stream(FINE, chunk_rows=1):
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert count("deferred") == 3


@pytest.mark.usefixtures("kind")
def test_a_connection_that_is_lost_before_the_end_of_a_stream_is_no_success() -> None:
    called: list[int] = []

    def request() -> None:
        with scope():
            session = db()
            session.on_commit(lambda: called.append(1))
            pid = session.query_value("SELECT pg_backend_pid()")
            leave_early(session, FINE)
            with request_scope():
                assert blocking_db().query_value("SELECT pg_terminate_backend($1, 5000)", [pid])

    with pytest.raises(errors.ConnectionLost) as caught:
        request()
    assert (called, count("deferred")) == ([], 1)
    assert str(caught.value).count("57P01") == 1


def test_a_turn_of_the_event_loop_after_the_break_loses_nothing() -> None:
    called: list[int] = []
    ignored: list[object] = []

    async def handle() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: ignored.append(what))
        async with request_scope():
            session = adb()
            session.on_commit(lambda: called.append(1))
            async for _ in session.stream(DUPLICATE, chunk_rows=1):
                break
            await asyncio.sleep(0.1)

    with pytest.raises(errors.UniqueViolation):
        asyncio.run(handle())
    assert (called, ignored, count("deferred")) == ([], [], 1)


class _AlarmError(Exception):
    pass


def alarm_in_commit() -> None:
    """Raise _AlarmError in the main thread once a COMMIT is under way."""

    def is_committing() -> bool:
        found: bool = blocking_db().query_value(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active'"
        )
        return found

    with request_scope():
        wait_until(is_committing)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)


@pytest.mark.parametrize("then", ["scope", "statement", "close", "block"])
def test_a_signal_handler_that_raises_in_the_commit_of_a_stream_is_heard(then: str) -> None:
    called: list[int] = []

    def handler(*_: object) -> None:
        raise _AlarmError

    old = signal.signal(signal.SIGALRM, handler)
    thread = threading.Thread(target=alarm_in_commit)
    thread.start()
    sql = "INSERT INTO slow SELECT generate_series(1, 3) RETURNING n"

    def request() -> None:
        with request_scope():
            session = blocking_db()
            session.on_commit(lambda: called.append(1))
            if then == "close":
                rows = session.stream(sql, chunk_rows=1)
                next(rows)
                rows.close()
            elif then == "block":
                with session.stream(sql, chunk_rows=1) as rows:
                    next(rows)
                    raise ZeroDivisionError
            else:
                leave_early(session, sql)
                if then == "statement":
                    session.query_value("SELECT 7")

    try:
        with pytest.raises(_AlarmError):
            request()
    finally:
        thread.join()
        signal.signal(signal.SIGALRM, old)
    assert (called, count("slow")) == ([], 0)
