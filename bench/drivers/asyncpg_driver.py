"""asyncpg on uvloop: prepared statements, records turned into dicts, json parsed as by the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import uvloop

from bench.drivers.base import Driver, Row, Timed, arrivals, key, time_tasks
from bench.drivers.copying import CLEAR, COLUMNS, repeat_cleared, some_items, tuples
from bench.row_classes import BY_WORD


async def parse_json(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
    )


class Asyncpg(Driver):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.loop = uvloop.new_event_loop()
        self.connection: Any = self.loop.run_until_complete(asyncpg.connect(url))
        self.loop.run_until_complete(parse_json(self.connection))

    def rows(self, sql: str) -> list[Row]:
        records = self.loop.run_until_complete(self.connection.fetch(sql))
        return [dict(record) for record in records]

    def one(self, statements: Sequence[str], keyed: bool) -> Timed:
        # A PreparedStatement is the faster of the two documented ways; only its connection's own
        # cache makes sense where there are more statements than a user would hold.
        if len(statements) == 1:
            return self.one_prepared(statements[0], keyed)

        async def body(i: int) -> Row:
            sql = statements[i % len(statements)]
            return dict(await self.connection.fetchrow(sql, *((key(i),) if keyed else ())))

        return lambda loops: self.loop.run_until_complete(time_tasks(body, loops))

    def one_prepared(self, sql: str, keyed: bool) -> Timed:
        statement = self.loop.run_until_complete(self.connection.prepare(sql))

        async def keyed_body(i: int) -> Row:
            return dict(await statement.fetchrow(key(i)))

        async def plain_body(_: int) -> Row:
            return dict(await statement.fetchrow())

        body = keyed_body if keyed else plain_body
        return lambda loops: self.loop.run_until_complete(time_tasks(body, loops))

    def all(self, sql: str) -> Timed:
        statement = self.loop.run_until_complete(self.connection.prepare(sql))

        async def body(_: int) -> list[Row]:
            return [dict(record) for record in await statement.fetch()]

        return lambda loops: self.loop.run_until_complete(time_tasks(body, loops))

    def into(self, sql: str, word: str) -> Timed:
        # A record_class must be a Record, so it cannot be one of these classes.
        statement = self.loop.run_until_complete(self.connection.prepare(sql))
        cls = BY_WORD[word]

        async def by_position(_: int) -> list[Any]:
            return [cls(*record) for record in await statement.fetch()]

        async def by_name(_: int) -> list[Any]:
            return [cls(**record) for record in await statement.fetch()]

        async def tuples(_: int) -> list[Any]:
            return [tuple(record) for record in await statement.fetch()]

        body = {"tuple": tuples, "pydantic": by_name}.get(word, by_position)
        return lambda loops: self.loop.run_until_complete(time_tasks(body, loops))

    def copy(self, way: str, count: int) -> Timed:
        rows, wait = tuples(self.rows(some_items(count))), self.loop.run_until_complete

        def body() -> None:
            wait(self.connection.copy_records_to_table("copied", records=rows, columns=COLUMNS))

        return repeat_cleared(body, lambda: wait(self.connection.execute(CLEAR)))

    def pool(self, size: int) -> Any:
        async def create() -> Any:
            return await asyncpg.create_pool(self.url, min_size=size, max_size=size)

        return self.loop.run_until_complete(create())

    def request(self, select: str, update: str, count: int, connections: int) -> Timed:
        pool = self.pool(connections)

        async def body(i: int) -> None:
            async with pool.acquire() as connection, connection.transaction():
                dict(await connection.fetchrow(select, key(i)))
                await connection.execute(update, key(i))

        return lambda loops: self.loop.run_until_complete(time_tasks(body, loops, count))

    def many(self, insert: str, clear: str, count: int) -> Timed:
        rows = arrivals(count)

        async def body(_: int) -> None:
            await self.connection.executemany(insert, rows)

        def run(loops: int) -> float:
            measured: float = self.loop.run_until_complete(time_tasks(body, loops))
            self.loop.run_until_complete(self.connection.execute(clear))
            return measured

        return run

    def crowd(self, sql: str, count: int, connections: int) -> Timed:
        pool = self.pool(connections)

        async def body(i: int) -> None:
            async with pool.acquire() as connection:
                dict(await connection.fetchrow(sql, key(i)))

        return lambda loops: self.loop.run_until_complete(time_tasks(body, loops, count))


driver: Callable[[str], Driver] = Asyncpg
