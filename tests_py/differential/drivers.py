"""Drivers behind one face: read a literal of some type, send back what was read.

Each is used as its documentation tells a beginner to use it: no adapters, codecs or loaders are
registered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Protocol

import asyncpg
import psqlpy
import psycopg

from hypern.database import Database, db, finalize_db

SECONDS = 20.0
"""How long a driver may take for one statement."""


class Driver(Protocol):
    """One driver, connected; statements are outside transactions."""

    name: str

    def value(self, sql: str, *params: Any) -> Any:
        """The only column of a query's only row; whatever the driver raises."""

    def close(self) -> None:
        """Disconnect."""


class Hypern:
    name = "hypern"

    def __init__(self, url: str) -> None:
        Database.configure(url, alias="differences", max_size=1)

    def value(self, sql: str, *params: Any) -> Any:
        return db("differences", "differences").query_value(sql, list(params))

    def close(self) -> None:
        finalize_db("differences")
        Database.close("differences")


class Psycopg:
    name = "psycopg 3"

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)

    def value(self, sql: str, *params: Any) -> Any:
        with psycopg.RawCursor(self.connection) as cursor:
            cursor.execute(sql, params)
            (value,) = cursor.fetchone()
        return value

    def close(self) -> None:
        self.connection.close()


class Loop:
    """An event loop of its own, which runs one coroutine at a time."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, SECONDS))


class Asyncpg(Loop):
    name = "asyncpg"

    def __init__(self, url: str) -> None:
        super().__init__()
        self.connection = self.run(asyncpg.connect(url))

    def value(self, sql: str, *params: Any) -> Any:
        value = self.run(self.connection.fetchval(sql, *params))
        if isinstance(value, list) and "<NULL>" in repr(value):
            # Its arrays in text format hold a null pointer for "": to use one is a crash.
            raise RuntimeError("a list with a null pointer")
        return value

    def close(self) -> None:
        self.run(self.connection.close())
        self.loop.close()


class Psqlpy(Loop):
    name = "psqlpy"

    def __init__(self, url: str) -> None:
        super().__init__()
        self.pool = psqlpy.ConnectionPool(dsn=url, max_db_pool_size=2)
        self.connection = self.run(self._connect())

    async def _connect(self) -> Any:
        return await self.pool.connection()

    async def _value(self, sql: str, params: list[Any]) -> Any:
        (row,) = (await self.connection.fetch(sql, params)).result()
        (value,) = row.values()
        return value

    def value(self, sql: str, *params: Any) -> Any:
        try:
            return self.run(self._value(sql, list(params)))
        except BaseException as error:
            if type(error).__name__ != "PanicException":
                raise
            # It derives from BaseException, and may leave its connection locked.
            self.connection = self.run(self._connect())
            raise RuntimeError(f"panic: {error}") from error

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.pool.close()
        self.loop.close()
