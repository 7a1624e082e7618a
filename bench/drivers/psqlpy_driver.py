"""psqlpy, an asynchronous driver in Rust, on uvloop, with statements prepared by the driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import psqlpy
import uvloop

from bench.drivers.base import Driver, Row, Timed, arrivals, key, time_tasks
from bench.row_classes import BY_WORD


class Psqlpy(Driver):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.loop = uvloop.new_event_loop()
        self.held = self.pool(1)
        self.connection: Any = self.loop.run_until_complete(self.held.connection())

    def pool(self, size: int) -> Any:
        # It refuses a pool of one.
        return psqlpy.ConnectionPool(dsn=self.url, max_db_pool_size=max(size, 2))

    def rows(self, sql: str) -> list[Row]:
        async def fetch() -> list[Row]:
            result: list[Row] = (await self.connection.fetch(sql)).result()
            return result

        rows: list[Row] = self.loop.run_until_complete(fetch())
        return rows

    def one(self, statements: Sequence[str], keyed: bool) -> Timed:
        async def body(i: int) -> Row:
            sql = statements[i % len(statements)]
            result = await self.connection.fetch_row(sql, [key(i)] if keyed else None)
            row: Row = result.result()
            return row

        return lambda loops: self.loop.run_until_complete(time_tasks(body, loops))

    def all(self, sql: str) -> Timed:
        async def body(_: int) -> list[Row]:
            rows: list[Row] = (await self.connection.fetch(sql)).result()
            return rows

        return lambda loops: self.loop.run_until_complete(time_tasks(body, loops))

    def into(self, sql: str, word: str) -> Timed:
        cls = BY_WORD[word]

        async def objects(_: int) -> list[Any]:
            made: list[Any] = (await self.connection.fetch(sql)).as_class(cls)
            return made

        async def tuples(_: int) -> list[Any]:
            result = await self.connection.fetch(sql)
            return [tuple(row.values()) for row in result.result()]

        body = tuples if word == "tuple" else objects
        return lambda loops: self.loop.run_until_complete(time_tasks(body, loops))

    def request(self, select: str, update: str, count: int, connections: int) -> Timed:
        pool = self.pool(connections)

        async def body(i: int) -> None:
            async with pool.acquire() as connection, connection.transaction() as transaction:
                (await transaction.fetch_row(select, [key(i)])).result()
                await transaction.execute(update, [key(i)])

        return lambda loops: self.loop.run_until_complete(time_tasks(body, loops, count))

    def many(self, insert: str, clear: str, count: int) -> Timed:
        rows = [list(row) for row in arrivals(count)]

        # In a transaction: by itself it commits every row, and takes twice as long.
        async def body(_: int) -> None:
            async with self.connection.transaction() as transaction:
                await transaction.execute_many(insert, rows)

        async def clean() -> None:
            await self.connection.execute(clear)

        def run(loops: int) -> float:
            measured: float = self.loop.run_until_complete(time_tasks(body, loops))
            self.loop.run_until_complete(clean())
            return measured

        return run

    def crowd(self, sql: str, count: int, connections: int) -> Timed:
        pool = self.pool(connections)

        async def body(i: int) -> None:
            async with pool.acquire() as connection:
                (await connection.fetch_row(sql, [key(i)])).result()

        return lambda loops: self.loop.run_until_complete(time_tasks(body, loops, count))


driver: Callable[[str], Driver] = Psqlpy
