"""Awaited sessions over TLS, where Go reads the socket: what it has read already makes no
descriptor readable, and what is to be sent may have to wait for the server.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop
from reliability.own_server import PASSWORD, OwnServer
from support import wait_until

from hypern import errors
from hypern.database import AsyncDbSession, Database, adb, db, scope

PROMPTLY = 0.5
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(scope="module")
def tls_server() -> Iterator[OwnServer]:
    """A server with TLS, and with the table `numbers`."""
    server = OwnServer(tls=True)
    server.psql("CREATE TABLE numbers (n int PRIMARY KEY)")
    yield server
    server.remove()


@pytest.fixture(autouse=True)
def configured(tls_server: OwnServer) -> Iterator[None]:
    """It is "default", with four connections; afterwards none is held, and each is encrypted."""
    Database.close()
    url = tls_server.url(sslmode="require")
    Database.configure(url, password=PASSWORD, max_size=4, acquire_timeout_secs=10)
    yield
    wait_until(lambda: Database.status().in_use == 0)
    with scope():
        sql = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
        assert db().query_value(sql + "WHERE usename = 'alice'") is True
        db().execute("TRUNCATE numbers")
    Database.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on a loop of this kind; within a minute, since what hangs would hang here."""

    def on_loop(work: Coroutine[Any, Any, None]) -> None:
        new = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        loop = new()
        try:
            loop.run_until_complete(asyncio.wait_for(work, 60))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    return on_loop


async def backend(session: AsyncDbSession) -> int:
    pid: int = await session.query_value("SELECT pg_backend_pid()")
    return pid


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task that runs; the error must come at once."""
    assert not task.done()
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < PROMPTLY


def test_statements_and_transactions(run: Run) -> None:
    async def main() -> None:
        async with scope():
            session = adb()
            sql = "SELECT n, repeat('x', n % 300) AS t FROM generate_series(1, $1::int) n"
            for count in (0, 1, 20_000):
                rows = await session.query(sql, [count])
                assert [row["n"] for row in rows] == list(range(1, count + 1))
                assert all(len(row["t"]) == row["n"] % 300 for row in rows)
            insert = "INSERT INTO numbers VALUES ($1)"
            async with session.transaction():
                assert await session.execute_many(insert, ([n] for n in range(5000))) == 5000
            with pytest.raises(errors.UniqueViolation) as caught:
                await session.execute_many(insert, [[5000], [7]])
            assert caught.value.row == 1
            await session.begin()
            await session.execute("DELETE FROM numbers")
            await session.rollback()
            assert await session.query_value("SELECT count(*) FROM numbers") == 5000
            with pytest.raises(errors.QueryCanceled):
                await session.query("SELECT pg_sleep(30)", timeout=0.05)
            assert await session.query_value("SELECT 1") == 1

    run(main())


@pytest.mark.parametrize("chunk_rows", [1, 700, 50_000])
def test_a_stream(run: Run, chunk_rows: int) -> None:
    sql = "SELECT n, repeat('x', n % 50) AS t FROM generate_series(1, $1::int) n"
    count = 500 if chunk_rows == 1 else 20_000

    async def main() -> None:
        async with scope():
            rows = adb().stream(sql, [count], chunk_rows=chunk_rows)
            assert [row["n"] async for row in rows] == list(range(1, count + 1))
            async with adb().stream(sql, [count], chunk_rows=chunk_rows) as rows:
                async for row in rows:
                    if row["n"] == count // 2:
                        break
            assert await adb().query_value("SELECT 1") == 1
            assert adb().state == "connected"

    run(main())


def test_large_parameters_of_several_tasks_while_their_results_come(run: Run) -> None:
    async def one(n: int) -> None:
        big = str(n) * (3_000_000 + n)
        async with scope():
            assert await adb().query_value("SELECT $1::text", [big]) == big
            both = await adb().query("SELECT $1::text AS a, g FROM generate_series(1, 3) g", [big])
            assert [(row["a"], row["g"]) for row in both] == [(big, g) for g in (1, 2, 3)]

    async def main() -> None:
        await asyncio.gather(*(one(n) for n in range(1, 7)))

    run(main())


def test_a_cancelled_statement_ends_on_the_server_and_the_connection_stays(run: Run) -> None:
    async def main() -> None:
        async with scope():
            pid = await backend(adb())
            sleeping = asyncio.ensure_future(adb().query("SELECT pg_sleep(30)"))
            await asyncio.sleep(0.1)
            await cancel(sleeping)
            assert await backend(adb()) == pid
            sql = "SELECT n FROM generate_series(1, 100000000) n"
            coming = asyncio.ensure_future(adb().execute(sql))
            await asyncio.sleep(0.1)
            await cancel(coming)
            assert await backend(adb()) == pid

    run(main())


def test_cancelled_amid_a_stream_and_amid_rows_to_be_sent(run: Run) -> None:
    async def endless() -> AsyncIterator[list[int]]:
        n = 0
        while True:
            n += 1
            yield [n]

    async def read() -> None:
        sql = "SELECT n FROM generate_series(1, 100000000) n"
        async for _ in adb("r").stream(sql, chunk_rows=10):
            await asyncio.sleep(0)

    async def main() -> None:
        insert = adb("r").execute_many("INSERT INTO numbers VALUES ($1)", endless())
        for work in (read(), insert):
            task = asyncio.ensure_future(work)
            await asyncio.sleep(0.2)
            await cancel(task)
            assert await adb("r").query_value("SELECT count(*) FROM numbers") == 0
        async with scope("r"):
            pass

    run(main())


def test_cancelled_at_random_points_no_answer_is_wrong(run: Run) -> None:
    chance = random.Random(7)

    async def request(n: int) -> str:
        async with scope():
            text = "x" * (n * 1009 % 100_000)
            rows = await adb().query("SELECT $1::int AS n, $2::text AS t", [n, text])
            assert rows == [{"n": n, "t": text}]
            many = await adb().query("SELECT $1::int + g AS n FROM generate_series(1, 2000) g", [n])
            assert [row["n"] for row in many] == list(range(n + 1, n + 2001))
        return "answered"

    async def main() -> None:
        outcomes = {"answered": 0, "cancelled": 0}
        for n in range(150):
            task = asyncio.ensure_future(request(n))
            await asyncio.sleep(chance.random() * 0.008)
            task.cancel()
            try:
                outcomes[await task] += 1
            except asyncio.CancelledError:
                outcomes["cancelled"] += 1
        assert outcomes["cancelled"] > 0
        await asyncio.gather(*(request(n) for n in range(20)))

    run(main())
