"""`AsyncDbSession`: a session whose calls are awaited.

Statements, commit and rollback are the base class's, in C.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, overload

from hypern import _native
from hypern.session.attempts import attempts
from hypern.session.batch import AsyncBatch
from hypern.session.begin import OWN_BEGIN, begin_sql
from hypern.session.copying import chunks_of, copying
from hypern.session.copying_out import CopyPortal, query_of
from hypern.session.names import public_names
from hypern.session.notify import NOTIFY_SQL, notify_params
from hypern.session.settings import local_settings
from hypern.session.steps import later
from hypern.session.stream import AsyncStream, Portal

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterable,
        Awaitable,
        Callable,
        Coroutine,
        Iterable,
        Mapping,
        Sequence,
    )
    from typing import Any, BinaryIO, TypeVar

    from typing_extensions import Self

    from hypern._literals import Isolation
    from hypern.session.copying import Table
    from hypern.sql import Template

    _T = TypeVar("_T")


class AsyncDbSession(_native.AsyncSession):
    """A request's session on one database for coroutines: `DbSession`'s names, awaited.

    `adb()` makes it. `db()` with the same id and alias is the same session underneath: one
    connection, one transaction. Tasks that share it are served one after the other, in order of
    arrival; to run statements concurrently, use several requests or scopes.
    """

    __slots__ = ()
    __dir__ = public_names

    def begin(
        self,
        isolation: Isolation | None = None,
        read_only: bool | None = None,
        deferrable: bool | None = None,
    ) -> Coroutine[Any, Any, Self]:
        """Open a transaction, taking a connection. Arguments and errors are `DbSession.begin`'s."""
        return self._begin(begin_sql(isolation, read_only, deferrable))

    def transaction(
        self,
        isolation: Isolation | None = None,
        read_only: bool | None = None,
        deferrable: bool | None = None,
    ) -> AsyncTransaction:
        """An `async with` block; otherwise as `DbSession.transaction`."""
        return AsyncTransaction(self, begin_sql(isolation, read_only, deferrable))

    def set_local(self, **settings: str) -> Coroutine[Any, Any, Self]:
        """Set settings for the open transaction; otherwise as `DbSession.set_local`."""
        return self._set_local(local_settings(settings))

    async def notify(self, channel: str, payload: str = "") -> None:
        """Send a notification; otherwise as `DbSession.notify`."""
        await self.query_value(NOTIFY_SQL, notify_params(channel, payload))

    @overload
    def stream(
        self,
        sql: str | Template,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        into: type[dict[str, Any]] = ...,
        chunk_rows: int = 1000,
        timeout: float | None = None,
    ) -> AsyncStream[dict[str, Any]]: ...

    @overload
    def stream(
        self,
        sql: str | Template,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        into: type[_T],
        chunk_rows: int = 1000,
        timeout: float | None = None,
    ) -> AsyncStream[_T]: ...

    @overload
    def stream(
        self,
        sql: str | Template,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        into: Callable[..., _T],
        chunk_rows: int = 1000,
        timeout: float | None = None,
    ) -> AsyncStream[_T]: ...

    def stream(
        self,
        sql: str | Template,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        into: Any = dict,
        chunk_rows: int = 1000,
        timeout: float | None = None,
    ) -> AsyncStream[Any]:
        """The rows of a statement one by one, for `async for`; otherwise as `DbSession.stream`.

        A loop that breaks leaves the stream open until the session's next call, or its end. An
        `async with` block around the loop ends it at once.
        """
        return AsyncStream(Portal(self, sql, params, into, chunk_rows, timeout))

    def batch(self, *, timeout: float | None = None) -> AsyncBatch:
        """An `async with` block whose statements are sent together at its end; otherwise as
        `DbSession.batch`. Inside the block nothing is awaited.
        """
        return AsyncBatch(self, timeout)

    def copy_in(
        self,
        table: Table,
        rows: Iterable[Any] | AsyncIterable[Any],
        columns: Sequence[str] | None = None,
        *,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, int]:
        """Insert rows by binary COPY; rows may be an async iterable, otherwise as
        `DbSession.copy_in`.
        """
        return later(copying(self, table, rows, columns, timeout))

    def copy_in_raw(
        self,
        sql: str,
        chunks: bytes | Iterable[bytes] | AsyncIterable[bytes] | BinaryIO,
        *,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, int]:
        """Run a COPY ... FROM STDIN of any format; chunks may be an async iterable, or a file whose
        read() is awaited, otherwise as `DbSession.copy_in_raw`.
        """
        return self._copy_data(sql, chunks_of(chunks), timeout)

    @overload
    def copy_out(
        self,
        table_or_query: Table,
        *,
        into: type[dict[str, Any]] = ...,
        timeout: float | None = None,
    ) -> AsyncStream[dict[str, Any]]: ...

    @overload
    def copy_out(
        self, table_or_query: Table, *, into: type[_T], timeout: float | None = None
    ) -> AsyncStream[_T]: ...

    @overload
    def copy_out(
        self, table_or_query: Table, *, into: Callable[..., _T], timeout: float | None = None
    ) -> AsyncStream[_T]: ...

    def copy_out(
        self, table_or_query: Table, *, into: Any = dict, timeout: float | None = None
    ) -> AsyncStream[Any]:
        """The rows of a table or query by binary COPY, for `async for`; otherwise as
        `DbSession.copy_out`.
        """
        if into is bytes:
            raise TypeError("into=bytes is not a row; copy_out_raw() has the data as it is")
        return AsyncStream(CopyPortal(self, query_of(table_or_query), into, timeout))

    def copy_out_raw(self, sql: str, *, timeout: float | None = None) -> AsyncStream[bytes]:
        """The data of a COPY ... TO STDOUT, for `async for`; otherwise as
        `DbSession.copy_out_raw`.
        """
        return AsyncStream(CopyPortal(self, sql, bytes, timeout))

    async def run(self, fn: Callable[[Self], Awaitable[_T]], retries: int = 3) -> _T:
        """Await fn(session) in a transaction, commit, and return its result. It is repeated as by
        `DbSession.run`.
        """
        for attempt in attempts(retries, is_in_transaction=self.is_in_transaction):
            with attempt:
                async with AsyncTransaction(self, OWN_BEGIN):
                    self.on_commit(attempt.committed)
                    return await fn(self)
            await asyncio.sleep(attempt.pause())
        raise AssertionError("unreachable: the last attempt returns or raises")


class AsyncTransaction(_native.AsyncBlock):
    """The context manager of `AsyncDbSession.transaction()`; as `Transaction`, for tasks."""

    __slots__ = ()
