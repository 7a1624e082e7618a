"""What ends a COPY in the middle: a lost connection, a signal, a cancelled task, a fork."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from hypern import database, errors
from hypern.database import DbSession

SERIES = "SELECT generate_series(1, 100000000) AS n, repeat('x', 100) AS x"


class AlarmError(Exception):
    pass


@pytest.fixture(autouse=True)
def items(session: DbSession) -> Iterator[None]:
    session.execute("CREATE TABLE items (id int, x text)")
    yield
    with database.scope():
        database.db().execute("DROP TABLE IF EXISTS items")


def count() -> int:
    with database.scope():
        found: int = database.db().query_value("SELECT count(*) FROM items")
        return found


def end_backend(pid: int) -> None:
    with database.scope():
        database.db().query("SELECT pg_terminate_backend($1)", [pid])


def terminated(pid: int) -> Iterator[int]:
    """Numbers without an end, while the backend is ended from another connection."""
    for n in itertools.count():
        if n == 1000:
            thread = threading.Thread(target=end_backend, args=(pid,))
            thread.start()
            thread.join()
        yield n


@pytest.mark.usefixtures("kind")
def test_a_lost_connection_is_reported_and_nothing_is_kept(session: DbSession) -> None:
    pid = session.query_value("SELECT pg_backend_pid()")
    with pytest.raises(errors.Error) as caught:
        session.copy_in("items", ((n, "x") for n in terminated(pid)))
    assert isinstance(caught.value, errors.ConnectionLost)
    pid = session.query_value("SELECT pg_backend_pid()")
    with pytest.raises(errors.ConnectionLost):
        session.copy_in_raw("COPY items FROM STDIN", (b"%d\tx\n" % n for n in terminated(pid)))
    pid = session.query_value("SELECT pg_backend_pid()")
    stream = session.copy_out(SERIES)
    next(stream)
    end_backend(pid)
    with pytest.raises(errors.ConnectionLost):
        for _ in stream:
            pass
    assert session.query_value("SELECT 1") == 1
    assert count() == 0


@pytest.mark.usefixtures("kind")
def test_a_copy_that_is_left_open_on_a_lost_connection(session: DbSession) -> None:
    pid = session.query_value("SELECT pg_backend_pid()")
    next(session.copy_out(SERIES))
    end_backend(pid)
    with pytest.raises(errors.ConnectionLost):
        session.query_value("SELECT 1")
    assert session.query_value("SELECT 1") == 1


def test_a_signal_handler_that_raises_ends_a_copy(session: DbSession) -> None:
    def handler(*_: Any) -> None:
        raise AlarmError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        copies: tuple[Callable[[], object], ...] = (
            lambda: session.copy_in("items", ((n, "x") for n in itertools.count())),
            lambda: session.copy_in_raw("COPY items FROM STDIN", itertools.repeat(b"1\tx\n")),
            lambda: sum(1 for _ in session.copy_out(SERIES)),
        )
        for copy in copies:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(AlarmError):
                copy()
            assert session.query_value("SELECT 1") == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert count() == 0


def test_a_cancelled_task_ends_its_copy(session: DbSession) -> None:
    async def rows() -> AsyncIterator[tuple[int, str]]:
        for n in itertools.count():
            yield n, "x"
            if n % 1000 == 0:
                await asyncio.sleep(0)

    async def out(awaited: database.AsyncDbSession) -> None:
        async for _ in awaited.copy_out(SERIES):
            await asyncio.sleep(0)

    async def work() -> None:
        awaited = database.adb("the test")
        for copy in (lambda: awaited.copy_in("items", rows()), lambda: out(awaited)):
            task = asyncio.ensure_future(copy())
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await awaited.query_value("SELECT 1") == 1

    asyncio.run(work())
    assert count() == 0


@pytest.mark.usefixtures("kind")
def test_a_table_that_is_dropped_meanwhile_waits(session: DbSession) -> None:
    def rows() -> Iterator[tuple[int, str]]:
        for n in range(5000):
            if n == 2000:
                thread = threading.Thread(target=refused)
                thread.start()
                thread.join()
            yield n, "x"

    seen: list[type[Exception]] = []

    def refused() -> None:
        with database.scope():
            try:
                database.db().execute("SET lock_timeout = '50ms'")
                database.db().execute("DROP TABLE items")
            except errors.Error as error:
                seen.append(type(error))

    assert session.copy_in("items", rows()) == 5000
    assert seen == [errors.LockNotAvailable]
    assert count() == 5000
    session.execute("DROP TABLE items")
    with pytest.raises(errors.UndefinedTable):
        session.copy_in("items", [(1, "x")])
    session.execute("CREATE TABLE items ()")


def test_a_forked_child_has_no_part_in_a_copy(session: DbSession) -> None:
    stream = session.copy_out(SERIES)
    next(stream)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for _ in stream:
                pass
        except errors.InterfaceError:
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(list(itertools.islice(stream, 5000))) == 5000
    stream.close()
    assert session.query_value("SELECT 1") == 1


def test_the_end_of_a_request_leaves_no_copy(session: DbSession) -> None:
    with database.scope():
        next(database.db().copy_out_raw(f"COPY ({SERIES}) TO STDOUT"))
    assert database.Database.status().in_use <= 1
