"""Pools that are one in the core: their sessions take turns on one connection, which undoes all."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypern.session.awaited import AsyncDbSession
from hypern.testing.pools import TestPools, TestSession

if TYPE_CHECKING:
    from hypern.config.settings import Settings
    from hypern.sql import Template

_Params = Sequence[Any] | Mapping[str, Any]
_Rows = Iterable[_Params]


class NestedSession(TestSession):
    """A session that has the connection for one statement at a time."""

    __slots__ = ()
    takes_turns = True

    def execute_many(
        self, sql: str | Template, params_list: _Rows, *, timeout: float | None = None
    ) -> int:
        return super().execute_many(sql, _at_hand(params_list), timeout=timeout)

    def query_many(
        self, sql: str | Template, rows: _Rows, *, into: Any = dict, timeout: float | None = None
    ) -> Any:
        return super().query_many(sql, _at_hand(rows), into=into, timeout=timeout)


class NestedAsyncSession(AsyncDbSession):
    """The same, awaited."""

    __slots__ = ()

    async def execute_many(
        self,
        sql: str | Template,
        params_list: _Rows | AsyncIterable[_Params],
        *,
        timeout: float | None = None,
    ) -> int:
        if isinstance(params_list, AsyncIterable):
            params_list = [params async for params in params_list]
        return await super().execute_many(sql, _at_hand(params_list), timeout=timeout)

    async def query_many(
        self,
        sql: str | Template,
        rows: _Rows | AsyncIterable[_Params],
        *,
        into: Any = dict,
        timeout: float | None = None,
    ) -> Any:
        if isinstance(rows, AsyncIterable):
            rows = [params async for params in rows]
        return await super().query_many(sql, _at_hand(rows), into=into, timeout=timeout)


class NestedPools(TestPools):
    """Pools whose connection is inside a transaction that is never committed."""

    session_type = NestedSession

    def settings_for(self, own: Settings) -> Settings:
        return replace(
            super().settings_for(own),
            max_size=1,
            min_idle=0,
            idle_timeout_ms=None,
            max_lifetime_ms=None,
            test_before_acquire=False,
            replica=None,  # it would not see what the test has not committed
            nested=os.getpid(),
        )


def _at_hand(rows: _Rows) -> _Rows:
    """An iterator's rows, taken before the connection is: it may need that for another session."""
    return list(rows) if isinstance(rows, Iterator) else rows
