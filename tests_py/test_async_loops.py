"""Event loops of every kind, several of them, closed too early, after a fork; that none is kept
waiting is in test_async_latency.py."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support import wait_until

from hypern import errors
from hypern.database import AsyncDbSession, Database, adb, afinalize_db, db, finalize_db, scope

LONG = "SELECT n, n::text AS t, now() AS at FROM generate_series(1, 100000) n"


@pytest.fixture(autouse=True)
def released(configured: str) -> Iterator[None]:
    """Afterwards no connection is held."""
    yield
    finalize_db("r")
    wait_until(lambda: Database.status().in_use == 0)


async def ask(n: int) -> int:
    """A request of two statements."""
    async with scope():
        async with adb().transaction() as session:
            await session.query("SELECT 1 FROM pg_sleep(0.001)")
            value: int = await session.query_value("SELECT $1::int", [n])
        return value


def test_uvloop() -> None:
    import uvloop

    async def main() -> list[int]:
        return await asyncio.gather(*(ask(n) for n in range(50)))

    assert uvloop.run(main()) == list(range(50))


def test_anyio_on_asyncio() -> None:
    import anyio

    seen: list[int] = []

    async def one(n: int) -> None:
        seen.append(await ask(n))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(one, n)
        with anyio.move_on_after(0.1) as cancelled:
            async with scope():
                await adb().query("SELECT pg_sleep(30)")
        assert cancelled.cancelled_caught

    anyio.run(main)
    assert sorted(seen) == list(range(20))


def test_trio_is_told_what_to_do() -> None:
    import trio

    async def main() -> None:
        with pytest.raises(errors.InterfaceError, match="asyncio"):
            await adb("r").query("SELECT 1")

    trio.run(main)


def test_a_loop_that_watches_no_sockets_is_refused_with_a_sentence() -> None:
    class Proactor(asyncio.SelectorEventLoop):
        def add_reader(self, *args: object) -> None:
            raise NotImplementedError

    loop = Proactor()
    # The loop's own wake-up needs a reader, which it added before this class could refuse.
    with pytest.raises(errors.InterfaceError, match=r"Proactor.*add_reader"):
        loop.run_until_complete(adb("r").query("SELECT 1"))
    loop.close()


def test_several_loops_in_several_threads_share_the_pool() -> None:
    async def main(first: int) -> list[int]:
        return await asyncio.gather(*(ask(n) for n in range(first, first + 40)))

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda first: asyncio.run(main(first)), range(0, 160, 40)))
    assert [n for part in answers for n in part] == list(range(160))
    assert Database.status().size <= 4


def test_loops_share_a_session() -> None:
    async def main() -> int:
        total = 0
        for _ in range(50):
            total += await adb("shared").query_value("SELECT 1")
        return total

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: asyncio.run(main()), range(4))) == [50] * 4
    asyncio.run(afinalize_db("shared"))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_loop_closed_with_statements_running_gives_all_back() -> None:
    loop = asyncio.new_event_loop()

    async def begin() -> list[asyncio.Future[object]]:
        running = [
            asyncio.ensure_future(adb(f"r{n}").query("SELECT pg_sleep(30)")) for n in range(6)
        ]  # two of them wait for a connection
        await asyncio.sleep(0.2)
        return running  # type: ignore[return-value]

    running = loop.run_until_complete(begin())
    assert Database.status().in_use == 4
    for task in running:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task
    running.clear()
    loop.close()
    del loop
    gc.collect()

    async def end() -> None:
        for n in range(6):
            await afinalize_db(f"r{n}")
        assert await asyncio.gather(*(ask(n) for n in range(8))) == list(range(8))

    asyncio.run(end())


def test_a_loop_closed_while_a_cancelled_scope_waits_for_its_statement() -> None:
    sessions: list[AsyncDbSession] = []

    async def request() -> None:
        async with scope():
            sessions.append(adb())
            await sessions[0].execute(
                "DO $$ BEGIN PERFORM pg_sleep(30); "
                "EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(30); END $$"
            )

    async def cancel_twice() -> None:
        task = asyncio.ensure_future(request())
        await asyncio.sleep(0.2)
        task.cancel()  # the statement ends in the background, and the finalize behind it
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    loop = asyncio.new_event_loop()
    loop.run_until_complete(cancel_twice())
    loop.close()
    del loop
    gc.collect()
    wait_until(lambda: sessions[0].state == "closed")


def test_a_forked_child_has_a_loop_and_a_pool_of_its_own() -> None:
    asyncio.run(ask(1))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = int(asyncio.run(ask(2)) != 2)
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert asyncio.run(ask(3)) == 3


@pytest.mark.parametrize("how", ["break", "cancel", "raise"])
def test_a_stream_that_is_left_frees_its_connection(how: str) -> None:
    async def main() -> None:
        async def read() -> None:
            async for row in adb("r").stream(LONG, chunk_rows=10):
                if row["n"] == 15 and how == "break":
                    break
                if row["n"] == 15 and how == "raise":
                    raise ZeroDivisionError
                if row["n"] == 15:
                    await asyncio.sleep(30)

        task = asyncio.ensure_future(read())
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await adb("r").query_value("SELECT 1") == 1
        assert adb("r").state == "connected"
        await afinalize_db("r")
        assert Database.status().in_use == 0

    asyncio.run(main())


def test_nothing_is_left_of_a_loop_or_of_its_statements() -> None:
    async def main(times: int) -> None:
        async with scope():
            for n in range(times):
                await adb().query_value("SELECT $1::int", [n])

    def left() -> tuple[int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), len(gc.get_objects())

    for _ in range(3):
        asyncio.run(main(50))
    files, objects = left()
    for _ in range(20):
        asyncio.run(main(100))
    assert left()[0] <= files
    assert left()[1] - objects < 200


@pytest.mark.parametrize("kind_of_loop", ["asyncio", "uvloop"])
def test_what_waits_behind_a_thread_is_late_in_time(kind_of_loop: str) -> None:
    """A loop's clock may be ahead of ours: a timer that came early must not have been the last."""
    import uvloop

    async def late(milliseconds: float) -> None:
        with pytest.raises(errors.QueryCanceled, match="was not begun"):
            await adb("r").query("SELECT 1", timeout=milliseconds / 1000)

    async def main() -> None:
        held = asyncio.create_task(asyncio.to_thread(db("r").query, "SELECT pg_sleep(30)"))
        while Database.status().in_use == 0:
            await asyncio.sleep(0.01)
        for n in range(20):  # one after the other: each has the only timer
            await asyncio.wait_for(late(10.1 + n / 20), 5)
        await afinalize_db("r")  # it waits for a second, then cancels
        with pytest.raises(errors.QueryCanceled):
            await held

    run = uvloop.run if kind_of_loop == "uvloop" else asyncio.run
    run(asyncio.wait_for(main(), 20))


def test_a_thread_that_holds_the_session_is_no_deadlock() -> None:
    """A loop in one thread and calls of another, on one session, in every order."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            assert db("shared").query_value("SELECT 2") == 2

    thread = threading.Thread(target=work)
    thread.start()

    async def main() -> None:
        for n in range(200):
            assert await adb("shared").query_value("SELECT $1::int", [n]) == n
            if n % 10 == 0:
                assert db("shared").query_value("SELECT 3") == 3

    try:
        asyncio.run(asyncio.wait_for(main(), 30))
    finally:
        stop.set()
        thread.join(10)
    asyncio.run(afinalize_db("shared"))


class Forgetful(asyncio.SelectorEventLoop):
    """Loses one call that hypern has asked for, as when a signal handler raises in the loop."""

    lost_at = 0.0

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        handle = super().call_soon(callback, *args, context=context)
        if self.lost_at == 0 and type(callback).__name__ == "Reactor":
            self.lost_at = time.monotonic()
            handle.cancel()
        return handle


def test_a_call_that_the_loop_has_lost_is_made_up_for() -> None:
    async def main() -> set[asyncio.Task[int]]:
        session = adb("r")
        first = asyncio.ensure_future(session.query_value("SELECT 1"))
        second = asyncio.ensure_future(session.query_value("SELECT 2"))  # its turn comes by a call
        assert await first == 1
        assert loop.lost_at > 0
        while time.monotonic() - loop.lost_at < 0.2:
            await asyncio.sleep(0.01)
        assert not second.done()
        third = asyncio.ensure_future(adb("s").query_value("SELECT 3"))  # wakes the loop's reactor
        done, waiting = await asyncio.wait([second, third], timeout=10)
        for task in waiting:
            task.cancel()
        return done

    loop = Forgetful()
    try:
        done = loop.run_until_complete(main())
    finally:
        loop.close()
    assert sorted(task.result() for task in done) == [2, 3]
    finalize_db("s")
