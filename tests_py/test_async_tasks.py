"""What asyncio brings with it: eager tasks, groups, timeouts, context variables; and that neither
memory nor files grow with the number of statements."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import sys
import weakref
from collections.abc import Awaitable, Generator, Iterator
from typing import Any

import pytest
from support import numbers_seen_by_others, wait_until

from hypern import errors
from hypern.database import Database, adb, afinalize_db, scope
from hypern.session.steps import later

pytestmark = pytest.mark.usefixtures("numbers")

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


async def ask(n: int) -> int:
    """A request of its own."""
    async with scope(), adb().transaction() as session:
        value: int = await session.query_value("SELECT $1::int FROM pg_sleep(0.001)", [n])
    return value


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks(configured: str) -> None:
    async def main() -> None:
        factory: Any = vars(asyncio)["eager_task_factory"]
        asyncio.get_running_loop().set_task_factory(factory)
        tasks = [asyncio.ensure_future(ask(n)) for n in range(40)]
        assert await asyncio.gather(*tasks) == list(range(40))
        shared = adb("shared")
        one = asyncio.ensure_future(shared.query_value("SELECT 1 FROM pg_sleep(0.1)"))
        two = asyncio.ensure_future(shared.query_value("SELECT 2"))
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        assert await two == 2
        await afinalize_db("shared")

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup came with Python 3.11")
def test_a_task_group_that_fails_ends_the_others_on_the_server(configured: str) -> None:
    async def insert(n: int) -> None:
        async with scope(), adb().transaction() as session:
            await session.execute("INSERT INTO numbers VALUES ($1)", [n])
            await session.query("SELECT pg_sleep(30)")

    async def fail() -> None:
        await asyncio.sleep(0.1)
        async with scope():
            await adb().query("SELECT 1 / 0")

    async def main() -> None:
        group_type: Any = vars(asyncio)["TaskGroup"]
        async with group_type() as group:
            group.create_task(insert(1))
            group.create_task(insert(2))
            group.create_task(fail())

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group, which 3.10 has not
        asyncio.run(asyncio.wait_for(main(), 10))
    raised: Any = caught.value
    assert [type(e) for e in raised.exceptions] == [errors.DivisionByZero]
    assert numbers_seen_by_others() == []
    wait_until(lambda: Database.status().in_use == 1)  # the fixture's


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout came with Python 3.11")
def test_a_timeout_ends_the_statement_and_leaves_the_session(configured: str) -> None:
    async def main() -> None:
        timeout: Any = vars(asyncio)["timeout"]
        async with scope():
            pid = await adb().query_value("SELECT pg_backend_pid()")
            with pytest.raises(asyncio.TimeoutError):
                async with timeout(0.1):
                    await adb().query("SELECT pg_sleep(30)")
            assert await adb().query_value("SELECT pg_backend_pid()") == pid

    asyncio.run(asyncio.wait_for(main(), 10))


def test_what_the_library_calls_sees_the_tasks_context(configured: str) -> None:
    seen: list[str] = []

    def rows() -> Iterator[list[int]]:
        seen.append(tenant.get())
        yield [len(seen)]

    async def hook() -> None:
        await asyncio.sleep(0)
        seen.append(tenant.get())

    async def request(name: str) -> None:
        tenant.set(name)
        async with scope(), adb().transaction() as session:
            session.on_commit(hook)
            session.on_commit(lambda: seen.append(tenant.get()))
            # Its turn comes in a callback of the loop, which has the context of whoever was first.
            await asyncio.gather(
                session.query("SELECT pg_sleep(0.01)"),
                session.execute_many("INSERT INTO numbers VALUES ($1)", rows()),
            )
        assert tenant.get() == name

    async def main() -> None:
        await request("a")
        await asyncio.gather(asyncio.ensure_future(request("b")))
        assert tenant.get() == "a"

    asyncio.run(main())
    assert seen == ["a"] * 3 + ["b"] * 3


def _resident() -> int:
    """Bytes of memory of this process."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer keeps what is given back"
)
def test_memory_and_files_do_not_grow_with_the_number_of_statements(configured: str) -> None:
    """`make test/reliability` runs a hundred thousand."""
    times = 100_000 if os.environ.get("HYPERN_RELIABILITY") == "full" else 4_000

    async def statements(count: int) -> None:
        for first in range(0, count, 50):
            async with scope():
                session = adb()
                batch: list[Awaitable[Any]] = [
                    session.query("SELECT $1::int AS n, 'text' AS t", [n])
                    for n in range(first, first + 50)
                ]
                assert [rows[0]["n"] for rows in await asyncio.gather(*batch)] == list(
                    range(first, first + 50)
                )

    async def main() -> None:
        await statements(2_000)
        gc.collect()
        files, resident = len(os.listdir("/proc/self/fd")), _resident()
        await statements(times)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) <= files
        assert _resident() - resident < 4 * 2**20

    asyncio.run(main())


_SLOW_COMMIT = """
    CREATE TEMP TABLE slow (n int);
    CREATE FUNCTION pg_temp.wait() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION pg_temp.wait()"""


def test_a_coroutine_dropped_while_its_scope_ends_ends_every_session(
    database: str, configured: str
) -> None:
    """The first COMMIT goes on by itself; what has not begun to end is rolled back."""
    Database.configure(database, alias="second")
    held = Database.status().in_use

    async def work() -> None:
        async with scope():
            for alias in ("default", "second"):
                session = adb(alias=alias)
                await session.execute_script(_SLOW_COMMIT)
                await session.begin()
                await session.execute("INSERT INTO slow VALUES (1)")

    async def main() -> None:
        coroutine = work()
        while True:  # as a task would, until something takes as long as the COMMIT
            future = coroutine.send(None)
            for _ in range(50):
                await asyncio.sleep(0.01)
                if future.done():
                    break
            else:
                coroutine.close()
                await asyncio.sleep(1)
                return

    asyncio.run(main())
    wait_until(lambda: (Database.status().in_use, Database.status("second").in_use) == (held, 0))
    Database.close("second")


class _LeftError(Exception):
    pass


def test_an_exception_that_leaves_a_course_of_steps_is_no_garbage() -> None:
    async def fail() -> None:
        raise _LeftError

    def course() -> Generator[Any, Any, None]:
        yield fail()

    async def main() -> weakref.ref[_LeftError]:
        try:
            await later(course())
        except _LeftError as error:
            return weakref.ref(error)
        raise AssertionError

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(main())() is None
    finally:
        gc.enable()
