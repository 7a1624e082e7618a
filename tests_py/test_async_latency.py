"""Long results leave the event loop to others, and streams are small."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import wait_until

from hypern.database import Database, adb, scope

LONG = "SELECT n, n::text AS t, now() AS at FROM generate_series(1, 100000) n"


@pytest.fixture(autouse=True)
def released(configured: str) -> Iterator[None]:
    """Afterwards no connection is held."""
    yield
    wait_until(lambda: Database.status().in_use == 0)


async def fetch_at_once(tasks: int) -> list[list[dict[str, Any]]]:
    """The long result, once for each task. Keep them: letting go of one is a long step, too."""

    async def fetch() -> list[dict[str, Any]]:
        async with scope():
            rows: list[dict[str, Any]] = await adb().query(LONG)
            return rows

    results = await asyncio.gather(*(fetch() for _ in range(tasks)))
    assert [len(rows) for rows in results] == [100_000] * tasks
    return results


@pytest.fixture
def no_garbage() -> Iterator[None]:
    """A full collection is not the library's, and takes as long as the heap is large."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage")
def test_debug_mode_finds_no_slow_callback(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0.1
        # Its clock is the time this thread computes, so that a busy machine does not fail the test.
        loop.time = time.thread_time  # type: ignore[method-assign]
        async with scope():
            return len(await adb().query(LONG))

    with caplog.at_level(logging.WARNING, "asyncio"):
        assert asyncio.run(main(), debug=True) == 100_000
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.usefixtures("no_garbage")
def test_long_results_leave_the_loop_to_others() -> None:
    """The longest step is judged by the time this thread computed in it, so that a busy machine
    does not fail the test.
    """
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    async def main() -> None:
        ticker = asyncio.ensure_future(tick())
        fetching = asyncio.ensure_future(fetch_at_once(4))
        await asyncio.wait([ticker, fetching], return_when=asyncio.FIRST_COMPLETED)
        ticker.cancel()
        await fetching

    asyncio.run(main())
    assert 0 < longest < 0.02


class _Watched(asyncio.SelectorEventLoop):
    """A loop that knows how long our callbacks computed, by its turns."""

    def __init__(self) -> None:
        self.turns: list[list[float]] = []
        super().__init__()

    def _run_once(self) -> None:
        self.turns.append([])
        super()._run_once()  # type: ignore[misc]

    def _timed(self, callback: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object) -> None:
            began = time.thread_time()
            callback(*args)
            self.turns[-1].append(time.thread_time() - began)

        return call if type(callback).__name__ == "Reactor" else callback

    def add_reader(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        super().add_reader(fd, self._timed(callback), *args)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        return super().call_soon(self._timed(callback), *args, context=context)


@pytest.mark.usefixtures("no_garbage")
def test_rows_are_decoded_once_in_a_turn_of_the_loop() -> None:
    """Though the sockets are readable, and what had no time in the turn before is due. Once all of
    that is done, what has come since may be decoded in the same turn; that is seldom.
    """
    loop = _Watched()
    loop.run_until_complete(fetch_at_once(8))
    loop.close()
    decoding = [sum(seconds > 0.0002 for seconds in turn) for turn in loop.turns]
    assert decoding.count(1) > 20
    assert sum(count > 1 for count in decoding) < 4


def test_a_stream_holds_a_few_chunks_whatever_the_result() -> None:
    async def peak(count: int) -> int:
        async with scope():
            tracemalloc.start()
            async for _ in adb().stream("SELECT n FROM generate_series(1, $1::int) n", [count]):
                pass
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return most

    small, large = asyncio.run(peak(10_000)), asyncio.run(peak(100_000))
    assert large < small * 1.2
