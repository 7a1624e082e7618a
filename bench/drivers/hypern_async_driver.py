"""hypern's awaited sessions on uvloop, with every default: the full reset among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import uvloop

from bench.drivers.base import AsyncDriver, Row, Timed, key
from hypern.database import Database, adb, afinalize_db


class HypernAsync(AsyncDriver):
    def __init__(self, url: str) -> None:
        super().__init__(url, uvloop.new_event_loop())
        self.aliases = 0
        self.session: Any = adb("held for the whole run", self.pool(1))

    def pool(self, size: int) -> str:
        """A pool of its own for each kind of work, as the peers have."""
        self.aliases += 1
        alias = f"pool {self.aliases}"
        Database.configure(self.url, max_size=size, alias=alias)
        return alias

    def rows(self, sql: str) -> list[Row]:
        async def fetch() -> list[Row]:
            rows: list[Row] = await self.session.query(sql)
            return rows

        return self.wait(fetch())

    def one(self, statements: Sequence[str], keyed: bool) -> Timed:
        async def body(i: int) -> None:
            await self.session.query_one(statements[0], [key(i)] if keyed else None)

        return self.timed(body)

    def all(self, sql: str) -> Timed:
        async def body(_: int) -> None:
            await self.session.query(sql)

        return self.timed(body)

    def request(self, select: str, update: str, count: int, connections: int) -> Timed:
        alias = self.pool(connections)

        async def body(i: int) -> None:
            request_id = f"request {i}"
            session = adb(request_id, alias)
            await session.begin()
            await session.query_one(select, [key(i)])
            await session.execute(update, [key(i)])
            await afinalize_db(request_id)  # commits, as at the end of every request

        return self.timed(body, count)

    def crowd(self, sql: str, count: int, connections: int) -> Timed:
        alias = self.pool(connections)

        async def body(i: int) -> None:
            request_id = f"request {i}"
            await adb(request_id, alias).query_one(sql, [key(i)])
            await afinalize_db(request_id)

        return self.timed(body, count)


driver: Callable[[str], AsyncDriver] = HypernAsync
