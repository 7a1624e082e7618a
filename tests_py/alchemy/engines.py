"""Engines for tests that run twice: blocking, and asynchronous ones called as those are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from hypern import sqlalchemy as hypern_sqlalchemy


class Kind:
    """Which engines a test uses. Its body is blocking code: `run` has it run in the greenlet that
    an async engine runs it in.
    """

    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async
        self._engines: list[Engine | AsyncEngine] = []

    def engine(self, url: str, **options: Any) -> Engine:
        url = url.replace("postgresql://", "postgresql+hypern://", 1)
        return self._keep((create_async_engine if self.is_async else create_engine)(url, **options))

    def of_request(self, alias: str = "default", **options: Any) -> Engine:
        name = "async_engine" if self.is_async else "engine"
        return self._keep(getattr(hypern_sqlalchemy, name)(alias, **options))

    def run(self, body: Callable[[], Any]) -> Any:
        if not self.is_async:
            return body()
        return asyncio.run(self._run(body))

    async def _run(self, body: Callable[[], Any]) -> Any:
        return await greenlet_spawn(body)

    def _keep(self, made: Any) -> Engine:
        self._engines.append(made)
        engine: Engine = made.sync_engine if self.is_async else made
        return engine

    def close(self) -> None:
        for engine in self._engines:
            (engine.sync_engine if isinstance(engine, AsyncEngine) else engine).dispose()


@contextmanager
def admin(url: str) -> Iterator[Callable[[str], Any]]:
    """Statements on a connection of their own, each committed."""
    engine = create_engine(
        url.replace("postgresql://", "postgresql+hypern://", 1), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        yield lambda sql: connection.execute(text(sql))
    engine.dispose()
