"""Awaited sessions where memory is short, or an object is about to go: nobody waits for ever, and
nobody is given what is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support import RunPython

from hypern.database import Database, adb, afinalize_db, scope

pytestmark = pytest.mark.usefixtures("configured")


class ShortOfMemory(asyncio.SelectorEventLoop):
    """Has no memory for the next `failing` calls that hypern asks for."""

    failing = 0
    failed = 0

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> Any:
        ours = type(callback).__module__ == "hypern._native" or (
            args and type(args[0]).__module__ == "hypern._native"
        )
        if self.failing and ours:
            self.failing -= 1
            self.failed += 1
            raise MemoryError
        return super().call_soon(callback, *args, context=context)


def run(work: Callable[[ShortOfMemory], Any], debug: bool) -> ShortOfMemory:
    loop = ShortOfMemory()
    loop.set_debug(debug)
    try:
        loop.run_until_complete(asyncio.wait_for(work(loop), 20))
        loop.run_until_complete(Database.aclose())
    finally:
        loop.close()
    return loop


@pytest.mark.parametrize("failing", [1, 2, 7])
def test_a_task_that_could_not_be_told_is_told_all_the_same(failing: int) -> None:
    """In debug mode each task is told by the loop."""

    async def work(loop: ShortOfMemory) -> None:
        async with scope():
            for n in range(20):
                loop.failing = failing
                assert await adb().query_value("SELECT $1::int", [n]) == n

    assert run(work, debug=True).failed >= 20


@pytest.mark.parametrize("debug", [True, False])
def test_tasks_that_could_not_be_scheduled_go_on(debug: bool) -> None:
    """A long result takes several turns of the loop, a queue for one session a call for each."""

    async def long(n: int) -> int:
        return len(await adb(f"long {n}").query("SELECT generate_series(1, 100000)"))

    async def short(n: int) -> int:
        value: int = await adb("shared").query_value("SELECT $1::int", [n])
        return value

    async def work(loop: ShortOfMemory) -> None:
        tasks = [asyncio.ensure_future(long(n)) for n in range(2)]
        tasks += [asyncio.ensure_future(short(n)) for n in range(20)]
        while not all(task.done() for task in tasks):
            loop.failing = 2
            await asyncio.sleep(0.001)
        loop.failing = 0
        assert [task.result() for task in tasks] == [100_000] * 2 + list(range(20))
        for name in ("long 0", "long 1", "shared"):
            await afinalize_db(name)

    assert run(work, debug).failed > 0


def test_a_cancellation_that_failed_can_be_repeated() -> None:
    async def work(loop: ShortOfMemory) -> None:
        async def ask() -> None:
            await adb("cancelled").query("SELECT pg_sleep(30)")

        task = asyncio.ensure_future(ask())
        await asyncio.sleep(0.1)
        loop.failing = 1
        with pytest.raises(MemoryError):
            task.cancel()
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await afinalize_db("cancelled")

    run(work, debug=False)


DYING = """
import sys
from hypern.database import Database, adb, afinalize_db

Database.configure(sys.argv[1])
got = []

class Asks:
    __slots__ = ()

    def __del__(self):
        got.append(adb("r"))

# Deallocations that are nested too deep are put off: at some depth this is the session's.
for depth in range(1, 120):
    nested = [Asks(), adb("r")]
    for _ in range(depth):
        nested = [nested]
    del nested
    session = got.pop()
    others = [[str(n)] for n in range(100)]  # what has been freed is used again
    assert type(session).__name__ == "AsyncDbSession", type(session)
    assert session.request_id == "r"
    assert adb("r") is session
    del session
"""


def test_a_session_without_references_is_not_handed_out(
    run_python: RunPython, configured: str
) -> None:
    run_python(DYING, configured, options=("-X", "dev"))
