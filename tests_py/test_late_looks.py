"""A thread or an event loop that could not run for a while: what has come meanwhile counts."""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections.abc import Callable

import pytest
import uvloop
from support import wait_until

from hypern import errors
from hypern.database import Database, adb, db, scope

# Ends a second after its beginning if it is cancelled, however often it is asked.
_RELUCTANT = """
DO $$ DECLARE patience timestamptz := clock_timestamp() + interval '1 s'; BEGIN
    PERFORM pg_sleep(30);
EXCEPTION WHEN query_canceled THEN
    WHILE clock_timestamp() < patience LOOP
        BEGIN PERFORM pg_sleep(0.1); EXCEPTION WHEN query_canceled THEN NULL; END;
    END LOOP;
    RAISE;
END $$
"""
# Longer than a cancelled statement's end is waited for, from between the request to cancel (after
# 0.05 s) and the end of that wait (0.2 s later) on.
_AWAY_AFTER, _AWAY = 0.15, 4.0
# A loop that leaves later than this after its statements may have looked at the end of the wait.
_LATEST = 0.2

_OPERATIONS = 36  # an event loop takes in 32 at one time


@pytest.fixture
def many_connections(database: str) -> None:
    """A connection for each operation."""
    Database.close()
    Database.configure(database, max_size=_OPERATIONS)
    Database.configure(database, max_size=1, alias="watch")


def _running() -> int:
    """How many have not sent their whole answer: a backend is idle a moment before it has."""
    with scope():
        count: int = db(alias="watch").query_value(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%patience%' "
            "AND wait_event IS DISTINCT FROM 'ClientRead' AND pid <> pg_backend_pid()"
        )
    return count


@pytest.mark.usefixtures("many_connections")
def test_a_thread_kept_from_the_gil_takes_the_answer_to_its_cancelled_statement() -> None:
    keep_gil = ctypes.PyDLL(None).usleep  # unlike time.sleep, which lets others run

    def keep_others_out() -> None:
        time.sleep(_AWAY_AFTER)
        keep_gil(int(_AWAY * 1e6))

    other = threading.Thread(target=keep_others_out)
    with scope():
        before = db().query_value("SELECT pg_backend_pid()")
        other.start()
        began = time.monotonic()
        with pytest.raises(errors.QueryCanceled):
            db().execute(_RELUCTANT, timeout=0.05)
        assert time.monotonic() - began > _AWAY  # else nothing was late
        assert db().query_value("SELECT pg_backend_pid()") == before
    other.join()


@pytest.mark.usefixtures("many_connections")
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_event_loop_that_was_busy_takes_the_answers_to_its_cancelled_statements(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    everybody, go = asyncio.Semaphore(0), asyncio.Event()

    async def request() -> tuple[str, bool]:
        async with scope():
            session = adb()
            before = await session.query_value("SELECT pg_backend_pid()")
            everybody.release()
            await go.wait()
            try:
                await session.execute(_RELUCTANT, timeout=0.05)
            except errors.Error as error:
                outcome = type(error).__name__
            return outcome, await session.query_value("SELECT pg_backend_pid()") == before

    async def main() -> tuple[bool, list[tuple[str, bool]]]:
        tasks = [asyncio.ensure_future(request()) for _ in range(_OPERATIONS)]
        for _ in tasks:
            await everybody.acquire()
        go.set()
        began = time.monotonic()
        await asyncio.sleep(_AWAY_AFTER)
        in_time = time.monotonic() - began < _LATEST
        time.sleep(_AWAY)  # in the loop's own thread
        wait_until(lambda: _running() == 0)
        go.clear()
        return in_time, await asyncio.gather(*tasks)

    loop = new_loop()
    try:
        for _ in range(5):  # on a busy machine the loop may have left too late to prove anything
            in_time, outcomes = loop.run_until_complete(main())
            if in_time:
                break
        assert in_time, "this machine was too busy in each of five trials"
        assert outcomes == [("QueryCanceled", True)] * _OPERATIONS
    finally:
        loop.close()
