"""Tasks and threads that outlive their request, or never knew it: the errors say what to do."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

import pytest

from hypern.database import adb, db, scope
from hypern.errors import InterfaceError, SessionClosed

pytestmark = pytest.mark.usefixtures("configured")

OWN_SCOPE = r"needs a scope of its own: `with scope\(\):` or `async with scope\(\):`"


def test_a_task_that_outlives_its_scope() -> None:
    async def run() -> None:
        ended = asyncio.Event()

        async def work() -> int:
            kept = adb()
            assert await kept.query_value("SELECT 1") == 1
            await ended.wait()
            with pytest.raises(SessionClosed, match=r"in a scope\(\) of its own"):
                await kept.query_value("SELECT 2")
            with pytest.raises(SessionClosed, match=OWN_SCOPE):
                adb()
            async with scope():  # what the text says
                value: int = await adb().query_value("SELECT 3")
                return value

        async with scope():
            task = asyncio.create_task(work())
            await asyncio.sleep(0)
        ended.set()
        assert await task == 3

    asyncio.run(run())


def test_a_thread_that_outlives_its_scope() -> None:
    with ThreadPoolExecutor(1) as pool:
        with scope():
            kept = db()
            kept.query("SELECT 1")
            context = contextvars.copy_context()
        for use in (kept.query, kept.execute):
            with pytest.raises(SessionClosed, match=r"in a scope\(\) of its own"):
                pool.submit(use, "SELECT 2").result()
        for setter in (kept.set_error, lambda: kept.on_commit(print)):
            with pytest.raises(SessionClosed, match=r"in a scope\(\) of its own"):
                pool.submit(setter).result()
        with pytest.raises(SessionClosed, match=OWN_SCOPE):
            pool.submit(context.run, db).result()

        def work() -> int:
            with scope():
                value: int = db().query_value("SELECT 3")
                return value

        assert pool.submit(context.run, work).result() == 3


def test_run_in_executor_loses_the_request() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        async with scope():
            for lost in (loop.run_in_executor(None, db),):
                with pytest.raises(InterfaceError, match=r"contextvars\.copy_context\(\)\.run"):
                    await lost
            # What the text says:
            assert await asyncio.to_thread(db) is db()
            kept = contextvars.copy_context().run
            assert await loop.run_in_executor(None, kept, db) is db()

    asyncio.run(run())


def test_an_executors_thread_loses_the_request() -> None:
    with ThreadPoolExecutor(1) as pool, scope():
        with pytest.raises(InterfaceError, match=r"contextvars\.copy_context\(\)\.run"):
            pool.submit(db).result()
        assert pool.submit(contextvars.copy_context().run, db).result() is db()
