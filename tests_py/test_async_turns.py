"""What short statements, one after the other, must not cost a loop: its turns, cancellation,
concurrency, the processor."""

from __future__ import annotations

import asyncio
import time
import types
from collections.abc import Coroutine, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from support import wait_until

from hypern.database import AsyncDbSession, Database, adb, afinalize_db, finalize_db, scope

if TYPE_CHECKING:
    pass


@pytest.fixture(autouse=True)
def released(configured: str) -> Iterator[None]:
    """Afterwards no connection is held."""
    yield
    finalize_db("r")
    wait_until(lambda: Database.status().in_use == 0)


@types.coroutine
def watched(operation: Coroutine[Any, Any, Any], waits: list[bool]) -> Generator[Any, None, Any]:
    """Await an operation, and note whether its task had to wait."""
    inner = operation.__await__()
    waited = False
    while True:
        try:
            future = inner.send(None)
        except StopIteration as over:
            waits.append(waited)
            return over.value
        waited = True
        yield future


async def ask(session: AsyncDbSession, times: int) -> list[bool]:
    """Short statements one after the other: which of them the task waited for."""
    waits: list[bool] = []
    for n in range(times):
        assert await watched(session.query_value("SELECT $1::int", [n]), waits) == n
    return waits


def test_a_loop_with_other_work_is_not_kept_from_it(loop: asyncio.AbstractEventLoop) -> None:
    turns = 0

    def work() -> None:
        nonlocal turns
        turns += 1
        until = time.perf_counter() + 0.0002
        while time.perf_counter() < until:
            pass
        loop.call_soon(work)

    async def main() -> None:
        loop.call_soon(work)
        waits = await ask(adb("r"), 300)
        assert sum(waits) > 150  # all, but for a machine that takes the processor away meanwhile
        assert turns >= sum(waits)
        await afinalize_db("r")

    loop.run_until_complete(main())


def test_timers_have_their_turn_beside_a_task_that_always_asks(
    loop: asyncio.AbstractEventLoop,
) -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        loop.call_later(0.001, tick)

    async def main() -> None:
        loop.call_later(0.001, tick)
        session = adb("r")
        began = time.monotonic()
        while time.monotonic() - began < 0.5:
            await ask(session, 20)
        assert ticks > 50  # of 500; none would come if the task never let the loop go on
        await afinalize_db("r")

    loop.run_until_complete(main())


def test_a_task_that_always_asks_can_be_cancelled(loop: asyncio.AbstractEventLoop) -> None:
    async def endless() -> None:
        async with scope():
            while True:
                await adb().query("SELECT 1")

    async def main() -> None:
        began = time.monotonic()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(endless(), 0.2)
        assert time.monotonic() - began < 2

    loop.run_until_complete(main())


def test_tasks_run_side_by_side_after_short_statements(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def one(n: int) -> None:
        async with scope():
            await ask(adb(), 3)
            await adb().query("SELECT pg_sleep(0.3)")

    async def main() -> None:
        began = time.monotonic()
        await asyncio.gather(*(one(n) for n in range(4)))
        assert time.monotonic() - began < 1

    loop.run_until_complete(main())


def test_a_long_statement_is_slept_through(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        session = adb("r")
        await ask(session, 50)
        began, busy = time.monotonic(), time.thread_time()
        for _ in range(20):
            await ask(session, 1)
            await session.query("SELECT pg_sleep(0.01)")
        assert time.thread_time() - busy < (time.monotonic() - began) / 3
        await afinalize_db("r")

    loop.run_until_complete(main())
