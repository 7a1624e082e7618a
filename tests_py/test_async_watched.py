"""What a loop keeps watching after a statement: no reason to spin, and not taken for another."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
import uvloop
from proc import sockets, watched
from support import wait_until

from hypern.database import Database, adb, db, scope
from hypern.errors import PoolClosed

_IDLE = 0.3
# A loop that spins takes all of _IDLE; one that sleeps next to nothing of it.
_BUSY = _IDLE / 3


@pytest.fixture(autouse=True)
def one_connection(database: str) -> None:
    Database.close()
    Database.configure(database, max_size=1)


async def pid() -> int:
    async with scope():
        found: int = await adb().query_value("SELECT pg_backend_pid()")
        return found


async def processor_seconds_while_idle() -> float:
    began = time.thread_time()
    await asyncio.sleep(_IDLE)
    return time.thread_time() - began


def in_a_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def end_backend(database: str, number: int) -> None:
    """End the server's process of a connection, and wait until it has gone."""
    Database.configure(database, alias="other", max_size=1)
    with scope():
        other = db(alias="other")
        other.execute("SELECT pg_terminate_backend($1)", [number])
        while other.query_value("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", [number]):
            time.sleep(0.01)


def test_a_connection_that_the_server_closes_while_idle_does_not_keep_the_loop_busy(
    loop: asyncio.AbstractEventLoop, database: str
) -> None:
    async def main() -> None:
        before = await pid()
        in_a_thread(partial(end_backend, database, before))
        assert await processor_seconds_while_idle() < _BUSY
        assert await pid() != before

    loop.run_until_complete(main())


_ONESHOT = 1 << 30  # EPOLLONESHOT


def test_a_socket_stays_watched_until_a_thread_has_used_it(
    loop: asyncio.AbstractEventLoop,
) -> None:
    def request() -> None:
        with scope():
            db().query_value("SELECT 1")

    async def commit() -> None:
        async with scope():
            await adb().begin()
            await adb().query_value("SELECT 1")

    async def main() -> None:
        before = sockets()
        await commit()
        (fd,) = sockets().keys() - before.keys()
        for _ in range(2):
            await commit()
            (events,) = watched(fd)
            assert not events & _ONESHOT
        in_a_thread(request)
        await asyncio.sleep(0.05)
        assert watched(fd) == []
        await commit()
        (events,) = watched(fd)
        assert not events & _ONESHOT

    loop.run_until_complete(main())


def test_a_connection_that_a_thread_uses_next_does_not_keep_the_loop_busy(
    loop: asyncio.AbstractEventLoop,
) -> None:
    stop = threading.Event()

    def statements() -> None:
        while not stop.is_set():
            with scope():
                db().query_value("SELECT 1")
            time.sleep(0.005)

    async def main() -> None:
        for _ in range(3):
            before = await pid()
            stop.clear()
            thread = threading.Thread(target=statements)
            thread.start()
            seconds = await processor_seconds_while_idle()
            stop.set()
            thread.join()
            assert seconds < _BUSY
            assert await pid() == before

    loop.run_until_complete(main())


def test_a_new_connection_with_the_number_of_a_closed_one_is_watched(
    loop: asyncio.AbstractEventLoop, database: str
) -> None:
    async def main() -> None:
        seen = set()
        for _ in range(5):
            number = await pid()
            seen.add(number)
            in_a_thread(partial(end_backend, database, number))
            assert await asyncio.wait_for(pid(), 10) not in seen
            Database.close("other")

    loop.run_until_complete(main())


def test_two_loops_that_use_one_connection_in_turn_both_hear_of_their_answers(
    loop: asyncio.AbstractEventLoop,
) -> None:
    other = uvloop.new_event_loop()

    async def many() -> set[int]:
        return {await asyncio.wait_for(pid(), 10) for _ in range(20)}

    found: set[int] = set()

    def elsewhere() -> None:
        found.update(other.run_until_complete(many()))

    for _ in range(5):
        found |= loop.run_until_complete(many())
        in_a_thread(elsewhere)
    other.close()
    assert len(found) == 1


def test_long_results_and_short_ones_share_the_loop(
    loop: asyncio.AbstractEventLoop, database: str
) -> None:
    """Between two chunks a socket is readable while nobody waits for it."""
    Database.close()
    Database.configure(database, max_size=4)

    async def rows() -> int:
        async with scope():
            found = await adb().query("SELECT repeat('x', 100) FROM generate_series(1, 30000)")
            return len(found)

    async def main() -> list[int]:
        work = (*(rows() for _ in range(3)), *(pid() for _ in range(20)))
        return await asyncio.wait_for(asyncio.gather(*work), 60)

    assert loop.run_until_complete(main())[:3] == [30000] * 3


def test_a_child_that_is_forked_while_a_pool_closes_does_not_keep_the_loop_busy(
    loop: asyncio.AbstractEventLoop, database: str
) -> None:
    def hold() -> None:
        with scope(), pytest.raises(PoolClosed):
            db().query("SELECT pg_sleep(30)")

    def fork() -> int:
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
        return child

    async def main() -> None:
        await asyncio.gather(*(pid() for _ in range(100)))  # more than there are spare events
        holder = threading.Thread(target=hold)
        holder.start()
        wait_until(lambda: Database.status().in_use == 1)
        closer = threading.Thread(target=Database.close)
        closer.start()
        children: list[int] = []
        try:
            while closer.is_alive() and len(children) < 20:
                children.append(fork())
            closer.join()
            holder.join()
            assert await processor_seconds_while_idle() < _BUSY
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)

    loop.run_until_complete(main())
