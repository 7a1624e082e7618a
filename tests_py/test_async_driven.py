"""Operations of a loop that stands still: driven by a thread, lost with the loop, late in time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import wait_until

from hypern import errors
from hypern.database import Database, adb, db, finalize_db, scope


@pytest.fixture(autouse=True)
def released(configured: str) -> Iterator[None]:
    """Afterwards no connection is held."""
    yield
    for request in ("r", "x", "y"):
        finalize_db(request)
    wait_until(lambda: Database.status().in_use == 0)


def test_a_loop_closed_while_a_thread_drives_its_operation_leaves_that_to_the_thread() -> None:
    loop = asyncio.new_event_loop()
    outcome: list[object] = []

    async def begin() -> asyncio.Task[Any]:
        task = asyncio.ensure_future(adb("r").query("SELECT pg_sleep(1)"))
        await asyncio.sleep(0.1)
        return task

    def drive() -> None:
        try:
            outcome.append(db("r").query_value("SELECT 1"))
        except errors.Error as error:
            outcome.append(error)

    task = loop.run_until_complete(begin())
    thread = threading.Thread(target=drive)
    thread.start()
    time.sleep(0.3)  # it is in the middle of the sleep
    loop.close()
    thread.join(10)
    assert not thread.is_alive()
    assert outcome == [1]
    assert not task.done()  # nobody can tell it
    task._log_destroy_pending = False  # type: ignore[attr-defined]


class _Meanwhile(asyncio.SelectorEventLoop):
    """A loop in whose call_later something else happens, as a signal's handler may."""

    meanwhile: Callable[[], object] | None = None

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if getattr(callback, "__name__", "") == "expire" and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            handle = super().call_later(delay, callback, *args, **kwargs)
            meanwhile()
            return handle
        return super().call_later(delay, callback, *args, **kwargs)


async def connect() -> None:
    for request in ("x", "y"):
        await adb(request).query("SELECT pg_sleep($1)", [0.0])


def test_of_two_times_set_within_each_other_the_earlier_one_counts() -> None:
    loop = _Meanwhile()

    async def main() -> float:
        await connect()
        began = time.monotonic()
        inner = adb("y").query("SELECT pg_sleep($1)", [20.0], timeout=0.3)
        loop.meanwhile = lambda: inner.send(None)  # its first step, as a task's
        outer = asyncio.ensure_future(adb("x").query("SELECT pg_sleep($1)", [1.0], timeout=10))
        while "running" in repr(inner) and time.monotonic() - began < 5:
            await asyncio.sleep(0.02)
        took = time.monotonic() - began
        inner.close()
        await outer
        return took

    assert loop.run_until_complete(main()) < 3
    loop.close()


def test_a_loop_timer_that_cannot_be_set_anew_keeps_the_others_time() -> None:
    loop = _Meanwhile()

    def interrupt() -> None:
        raise KeyboardInterrupt

    async def main() -> float:
        await connect()
        began = time.monotonic()
        with scope():
            first = asyncio.ensure_future(adb("x").query("SELECT pg_sleep(5)", timeout=0.2))
            second = asyncio.ensure_future(adb("y").query("SELECT pg_sleep(20)", timeout=1))
            await asyncio.sleep(0)
            loop.meanwhile = interrupt  # when the first time expires, and the second one's is set
            await asyncio.wait([first, second])
        assert isinstance(second.exception(), errors.QueryCanceled)
        first.exception()
        return time.monotonic() - began

    task = loop.create_task(main())
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(asyncio.wait([task]))
    assert loop.run_until_complete(task) < 4
    loop.close()
