"""execute_many with rows of changing types, and slow ones: its end leaves nothing half done."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from either import db, scope
from reliability.fault_proxy import allowed_delay, run

from hypern import errors
from hypern.database import Database, DbSession

pytestmark = pytest.mark.usefixtures("kind")

INSERT = "INSERT INTO rows_of SELECT $1"


@pytest.fixture(params=["named", "describe", "off"])
def session(database: str, request: pytest.FixtureRequest) -> Iterator[DbSession]:
    """A session whose statements are kept in each way, and another as "admin"."""
    Database.close()
    Database.configure(database, max_size=1, statement_cache=request.param)
    Database.configure(database, max_size=1, alias="admin")
    with scope():
        db().execute("DROP TABLE IF EXISTS rows_of")
        db().execute("CREATE TABLE rows_of (t text)")
        yield db()
    Database.close()


def _changing(count: int, pause: float = 0.0) -> Iterator[list[Any]]:
    for n in range(count):
        if pause:
            time.sleep(pause)
        yield [n if n % 2 else str(n)]


def _nothing_is_left(session: DbSession) -> None:
    assert not session.is_in_transaction
    assert session.query_value("SELECT count(*) FROM rows_of") == 0
    assert session.query_value("SELECT 1") == 1


@pytest.mark.parametrize("pause", [0.0, 0.002, 0.02])
def test_timeout_ends_rows_however_they_come(session: DbSession, pause: float) -> None:
    run(asyncio.sleep(0))  # starts what measures delays
    began = time.monotonic()
    with pytest.raises((errors.QueryCanceled, errors.ConnectionLost)) as caught:
        session.execute_many(INSERT, _changing(10_000_000, pause), timeout=0.3)
    took = time.monotonic() - began
    assert took < 0.3 + 0.25 + allowed_delay(began), took
    assert "timeout=0.3 s" in str(caught.value)
    assert getattr(caught.value, "safe_to_retry", False) is False
    _nothing_is_left(session)


class TooLongError(Exception):
    """What a job queue's soft time limit raises."""


def test_a_signals_handler_ends_rows_and_nothing_is_committed(
    session: DbSession, kind: str
) -> None:
    if kind == "awaited":
        pytest.skip("asyncio catches what is raised in its callbacks; test_random_signals has it")

    def handler(number: int, frame: FrameType | None) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        for delay in (0.02, 0.05, 0.1):
            began = time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, delay)
            with pytest.raises(TooLongError):
                session.execute_many(INSERT, _changing(10_000_000))
            assert time.monotonic() - began < delay + 2
            _nothing_is_left(session)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_connection_lost_between_rows_leaves_no_lost_transaction(session: DbSession) -> None:
    pid = session.query_value("SELECT pg_backend_pid()")

    def kill() -> None:
        from hypern.database import db as blocking  # whatever kind is tested

        time.sleep(0.15)
        with scope("killer"):
            blocking("killer", alias="admin").query("SELECT pg_terminate_backend($1)", [pid])

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(errors.ConnectionLost) as caught:
        session.execute_many(INSERT, _changing(10_000_000), timeout=20)
    thread.join()
    assert not caught.value.safe_to_retry
    _nothing_is_left(session)
