"""What only an awaited session does: one session with the blocking one, tasks that share it, async
iterables and callables. What both kinds do is tested with either.py."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from support import insert, numbers_seen_by_others

from hypern import errors
from hypern.database import AsyncDbSession, Database, adb, afinalize_db, db, finalize_db, scope

pytestmark = pytest.mark.usefixtures("numbers")


def test_both_kinds_are_one_session_underneath(configured: str) -> None:
    async def main() -> None:
        awaited, blocking = adb("r"), db("r")
        assert adb("r") is awaited
        pid = await awaited.query_value("SELECT pg_backend_pid()")
        assert blocking.query_value("SELECT pg_backend_pid()") == pid
        await awaited.begin()
        assert blocking.is_in_transaction
        insert(blocking, 1)
        assert await awaited.query_value("SELECT count(*) FROM numbers") == 1
        await awaited.rollback()
        assert blocking.state == "rolled_back"
        await afinalize_db("r")
        assert awaited.state == "closed"
        with pytest.raises(errors.SessionClosed):
            await awaited.query("SELECT 1")
        assert adb("r") is not awaited
        finalize_db("r")

    asyncio.run(main())
    assert numbers_seen_by_others() == []
    assert Database.status().in_use == 1  # the fixture's


def test_tasks_take_turns_on_one_session(configured: str) -> None:
    async def main() -> list[int]:
        session = adb("shared")

        async def work(n: int) -> int:
            value: int = await session.query_value("SELECT $1::int FROM pg_sleep(0.01)", [n])
            return value

        answers = await asyncio.gather(*(work(n) for n in range(20)))
        await afinalize_db("shared")
        return answers

    assert asyncio.run(main()) == list(range(20))


def test_the_loop_goes_on_while_a_statement_is_awaited(configured: str) -> None:
    async def main() -> int:
        ticks = 0
        async with scope():
            statement = asyncio.ensure_future(adb().query("SELECT pg_sleep(0.3)"))
            while not statement.done():
                await asyncio.sleep(0.01)
                ticks += 1
            await statement
        return ticks

    assert asyncio.run(main()) > 10


def test_a_blocking_call_on_the_loops_thread_drives_the_awaited_statement(configured: str) -> None:
    async def main() -> None:
        session = adb("r")
        first = asyncio.ensure_future(session.query_value("SELECT 1 FROM pg_sleep(0.2)"))
        second = asyncio.ensure_future(session.query_value("SELECT 2"))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        assert db("r").query_value("SELECT 3") == 3  # behind both
        assert 0.05 < time.monotonic() - began < 5
        assert (await first, await second) == (1, 2)
        await afinalize_db("r")

    asyncio.run(main())


def test_a_blocking_call_of_another_thread_waits_for_its_turn(configured: str) -> None:
    async def main() -> None:
        session = adb("r")
        awaited = asyncio.ensure_future(session.query_value("SELECT 1 FROM pg_sleep(0.2)"))
        await asyncio.sleep(0.05)
        assert await asyncio.to_thread(db("r").query_value, "SELECT 2") == 2
        assert awaited.done()
        assert await awaited == 1
        await afinalize_db("r")

    asyncio.run(main())


def test_an_awaited_call_waits_for_a_thread(configured: str) -> None:
    async def main() -> None:
        blocking = db("r")
        thread = threading.Thread(target=blocking.query, args=("SELECT pg_sleep(0.2)",))
        thread.start()
        await asyncio.sleep(0.05)
        assert await adb("r").query_value("SELECT 1") == 1
        thread.join(5)
        thread = threading.Thread(target=blocking.query, args=("SELECT pg_sleep(1)",))
        thread.start()
        while "SELECT pg_sleep(1)" not in [h.sql for h in Database.status().holders]:
            await asyncio.sleep(0.01)
        with pytest.raises(errors.QueryCanceled, match="not begun"):
            await adb("r").query_value("SELECT 1", timeout=0.05)
        thread.join(5)
        await afinalize_db("r")

    asyncio.run(main())


async def count_up(last: int, *, fails: bool = False) -> AsyncIterator[list[int]]:
    for n in range(last):
        if n % 100 == 0:
            await asyncio.sleep(0)
        yield [n]
    if fails:
        raise ZeroDivisionError


def test_execute_many_takes_an_async_iterable(configured: str) -> None:
    sql = "INSERT INTO numbers VALUES ($1)"

    async def main() -> None:
        async with scope():
            session = adb()
            assert await session.execute_many(sql, count_up(2500)) == 2500
            with pytest.raises(errors.UniqueViolation) as caught:
                await session.execute_many(sql, count_up(10))
            assert caught.value.row == 0
            await session.execute("DELETE FROM numbers")
            with pytest.raises(ZeroDivisionError):
                await session.execute_many(sql, count_up(1500, fails=True))
            assert await session.query_value("SELECT count(*) FROM numbers") == 0

    asyncio.run(main())


@pytest.mark.parametrize("cleanup", [0.0, 0.1])
def test_execute_many_stops_an_async_iterable_that_takes_too_long(
    configured: str, cleanup: float
) -> None:
    ended = []

    async def endless() -> AsyncIterator[list[int]]:
        try:
            yield [1]
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(cleanup)
            ended.append(True)

    async def main() -> None:
        async with scope():
            await adb().query("SELECT 1")  # the short time is not spent on connecting
            began = time.monotonic()
            with pytest.raises(errors.QueryCanceled):
                await adb().execute_many("INSERT INTO numbers VALUES ($1)", endless(), timeout=0.1)
            assert time.monotonic() - began < 5
            assert ended == [True]
            assert await adb().query_value("SELECT count(*) FROM numbers") == 0

    asyncio.run(main())


def test_execute_many_that_is_cancelled_tells_an_async_iterable(configured: str) -> None:
    ended = []

    async def endless() -> AsyncIterator[list[int]]:
        try:
            yield [1]
            await asyncio.sleep(30)
        finally:
            ended.append(True)

    async def main() -> None:
        sql = "INSERT INTO numbers VALUES ($1)"
        task = asyncio.ensure_future(adb("r").execute_many(sql, endless(), timeout=20))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == [True]
        assert await adb("r").query_value("SELECT count(*) FROM numbers") == 0
        await afinalize_db("r")

    asyncio.run(main())


def test_a_session_used_by_its_own_iterable_is_refused_not_waited_for(configured: str) -> None:
    async def main() -> None:
        async with scope():
            session = adb()

            async def rows() -> AsyncIterator[list[int]]:
                yield [await session.query_value("SELECT 1")]

            def plain_rows() -> Iterator[list[int]]:
                yield [db().query_value("SELECT 1")]

            with pytest.raises(errors.InterfaceError, match="in the middle of"):
                await session.execute_many("INSERT INTO numbers VALUES ($1)", rows())
            with pytest.raises(errors.InterfaceError, match="in the middle of"):
                await session.execute_many("INSERT INTO numbers VALUES ($1)", plain_rows())
            assert await session.query_value("SELECT 1") == 1

    asyncio.run(main())


def test_on_commit_functions_may_be_coroutine_functions(configured: str) -> None:
    called: list[str] = []

    async def later() -> None:
        await asyncio.sleep(0)
        called.append("later")

    async def main() -> None:
        async with scope():
            async with adb().transaction() as session:
                await session.execute("INSERT INTO numbers VALUES (1)")
                session.on_commit(lambda: called.append("first")).on_commit(later)
                assert called == []
            assert called == ["first", "later"]
            await session.begin()
            session.on_commit(later)
            await session.execute("INSERT INTO numbers VALUES (2)")
            await session.rollback()
            await session.begin()
            await session.execute("INSERT INTO numbers VALUES (3)")
            session.on_commit(later)
        assert called == ["first", "later", "later"]  # by the end of the scope

    asyncio.run(main())
    assert numbers_seen_by_others() == [1, 3]


def test_run_awaits_its_function_and_repeats_it(configured: str) -> None:
    attempts: list[int] = []

    async def work(session: AsyncDbSession) -> str:
        attempts.append(1)
        await session.execute("INSERT INTO numbers VALUES ($1)", [len(attempts)])
        if len(attempts) < 3:
            await session.execute("DO $$ BEGIN RAISE 'once more' USING ERRCODE = '40001'; END $$")
        return "done"

    async def main() -> str:
        async with scope():
            return await adb().run(work)

    assert asyncio.run(main()) == "done"
    assert numbers_seen_by_others() == [3]


def test_what_is_never_awaited_never_runs_and_says_so(configured: str) -> None:
    session = adb("r")
    with pytest.warns(RuntimeWarning, match=r"execute\(\) of request 'r' was never awaited"):
        session.execute("INSERT INTO numbers VALUES (1)")  # type: ignore[unused-coroutine]
    finalize_db("r")
    assert numbers_seen_by_others() == []


def test_awaiting_twice_and_outside_a_loop_are_errors(configured: str) -> None:
    async def main() -> None:
        operation = adb("r").query_value("SELECT 1")
        assert await operation == 1
        with pytest.raises(RuntimeError, match="already"):
            await operation
        await afinalize_db("r")

    asyncio.run(main())
    with pytest.raises(errors.InterfaceError, match="no asyncio event loop"):
        adb("r").query_value("SELECT 1").send(None)
    finalize_db("r")


def test_aclose_closes_under_a_running_statement(configured: str) -> None:
    Database.configure(configured, max_size=1, alias="closing")

    async def main() -> None:
        statement = asyncio.ensure_future(adb("r", "closing").query("SELECT pg_sleep(30)"))
        await asyncio.sleep(0.1)
        await Database.aclose("closing")
        with pytest.raises(errors.PoolClosed):
            await statement
        await afinalize_db("r")

    asyncio.run(main())
