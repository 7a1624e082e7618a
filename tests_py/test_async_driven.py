"""Operations of a loop that stands still: driven by a thread, lost with the loop, late in time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support import wait_until

from hypern import errors
from hypern.database import Database, adb, db, finalize_db


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


async def connect() -> None:
    for request in ("x", "y"):
        await adb(request).query("SELECT pg_sleep($1)", [0.0])


@pytest.mark.parametrize("limits", [(0.3, 0.6), (0.6, 0.3)])
def test_each_of_several_limits_on_one_loop_is_kept(limits: tuple[float, ...]) -> None:
    took: dict[float, float] = {}

    async def sleep(request: str, limit: float) -> None:
        began = time.monotonic()
        with pytest.raises(errors.QueryCanceled):
            await adb(request).query("SELECT pg_sleep(20)", timeout=limit)
        took[limit] = time.monotonic() - began

    async def main() -> None:
        await connect()
        await asyncio.gather(*(sleep(r, s) for r, s in zip("xy", limits, strict=True)))

    asyncio.run(main())
    assert set(took) == {0.3, 0.6}
    assert all(limit <= seconds < limit + 1 for limit, seconds in took.items())
