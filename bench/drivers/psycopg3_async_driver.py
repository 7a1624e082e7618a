"""psycopg 3's asynchronous connections on uvloop; else as psycopg3_driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import uvloop
from psycopg_pool import AsyncConnectionPool

from bench.drivers.base import AsyncDriver, Row, Timed, key
from bench.drivers.psycopg3_driver import OPTIONS, placeholders


class Psycopg3Async(AsyncDriver):
    def __init__(self, url: str) -> None:
        super().__init__(url, uvloop.new_event_loop())
        self.connection: Any = self.wait(psycopg.AsyncConnection.connect(url, **OPTIONS))
        self.cursor = self.connection.cursor(binary=True)

    def rows(self, sql: str) -> list[Row]:
        return self.wait(self.fetch(placeholders(sql)))

    async def fetch(self, text: bytes) -> list[Row]:
        await self.cursor.execute(text)
        rows: list[Row] = await self.cursor.fetchall()
        return rows

    def one(self, statements: Sequence[str], keyed: bool) -> Timed:
        text = placeholders(statements[0])

        async def body(i: int) -> None:
            await self.cursor.execute(text, (key(i),) if keyed else None)
            await self.cursor.fetchone()

        return self.timed(body)

    def all(self, sql: str) -> Timed:
        text = placeholders(sql)
        return self.timed(lambda _: self.fetch(text))

    def pool(self, size: int, autocommit: bool) -> AsyncConnectionPool[Any]:
        options = OPTIONS | {"autocommit": autocommit}

        async def create() -> AsyncConnectionPool[Any]:
            pool = AsyncConnectionPool(
                self.url, min_size=size, max_size=size, kwargs=options, open=False
            )
            await pool.open(wait=True)
            return pool

        return self.wait(create())

    def request(self, select: str, update: str, count: int, connections: int) -> Timed:
        pool = self.pool(connections, autocommit=False)
        first, second = placeholders(select), placeholders(update)

        async def body(i: int) -> None:
            async with pool.connection() as connection:
                cursor = connection.cursor(binary=True)
                await cursor.execute(first, (key(i),))
                await cursor.fetchone()
                await cursor.execute(second, (key(i),))

        return self.timed(body, count)

    def crowd(self, sql: str, count: int, connections: int) -> Timed:
        pool = self.pool(connections, autocommit=True)
        text = placeholders(sql)

        async def body(i: int) -> None:
            async with pool.connection() as connection:
                cursor = connection.cursor(binary=True)
                await cursor.execute(text, (key(i),))
                await cursor.fetchone()

        return self.timed(body, count)


driver: Callable[[str], AsyncDriver] = Psycopg3Async
