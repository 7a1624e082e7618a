"""`Stream` and `AsyncStream`: the rows of a result one by one, in bounded memory."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hypern.errors import Error, InterfaceError
from hypern.session.names import public_names
from hypern.session.steps import later, now

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping, Sequence

    from hypern import _native
    from hypern._result import Column
    from hypern.session.steps import Steps
    from hypern.sql import Template

_T = TypeVar("_T")

_log = logging.getLogger("hypern")


class Portal:
    """The server's side of a stream, which the generator of its rows shares with the object that
    closes it.

    A generator that ends early leaves the portal open: a generator that is collected cannot raise,
    so the error of a COMMIT sent from there would be lost. The session's next call, or its end,
    closes the portal and raises that error.
    """

    __slots__ = (
        "_chunk_rows",
        "_columns",
        "_into",
        "_number",
        "_params",
        "_session",
        "_sql",
        "_timeout",
        "is_finished",
    )

    def __init__(
        self,
        session: _native.Session | _native.AsyncSession,
        sql: str | Template,
        params: Sequence[Any] | Mapping[str, Any] | None,
        into: Any,
        chunk_rows: int,
        timeout: float | None,
    ) -> None:
        if not isinstance(chunk_rows, int) or isinstance(chunk_rows, bool):
            raise TypeError(f"chunk_rows must be an int, not {type(chunk_rows).__name__}")
        if not 1 <= chunk_rows <= 2**31 - 1:
            raise ValueError("chunk_rows must be 1 or more, and below 2**31")
        self._session = session
        self._sql = sql
        self._params = params
        self._into = into
        self._chunk_rows = chunk_rows
        self._timeout = timeout
        self._columns: tuple[Column, ...] | None = None  # None before the first chunk
        self._number = 0  # 0 if it is not open
        self.is_finished = False

    def receive(self) -> Any:
        """Call the session for the next chunk. Its result, awaited if need be, is for `rows_of`."""
        if self._number:
            return self._session._stream_fetch(
                self._number, self._into, self._chunk_rows, self._timeout
            )
        return self._session._stream_open(
            self._sql, self._params, self._into, self._chunk_rows, self._timeout
        )

    @property
    def columns(self) -> tuple[Column, ...]:
        """The result's columns, once the first chunk is here."""
        if self._columns is None:
            raise InterfaceError(
                "the stream has not begun: its columns are there from the first row on, or after "
                "the loop if there is none; describe() has them before"
            )
        return self._columns

    def rows_of(self, chunk: tuple[list[Any], int, tuple[Column, ...]]) -> list[Any]:
        """The rows of a chunk, after which the portal is open or finished."""
        rows, self._number, self._columns = chunk
        self.is_finished = not self._number
        return rows

    def closing(self, error: BaseException | None = None) -> Steps[None]:
        """Close the portal. An error that is leaving a block must stay the one that is raised."""
        if not self._number:
            return
        try:
            yield self._session._stream_close(self._number)
            self._number = 0
        except Error:
            if error is None:
                raise
            _log.exception("ending a stream after an error failed")


class Stream(Generic[_T]):
    """The iterator of `DbSession.stream()`; as a context manager it closes itself at the block's
    end.
    """

    __slots__ = ("_portal", "_rows")
    __dir__ = public_names

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._rows = _rows(portal)

    def __iter__(self) -> Generator[_T, None, None]:
        # The generator itself, which saves a call for each row.
        return self._rows

    def __next__(self) -> _T:
        row: _T = next(self._rows)
        return row

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the rows, as `DbSession.result` has them. Raises InterfaceError before the
        first row has been fetched.
        """
        return self._portal.columns

    def close(self) -> None:
        """End the stream, with rows left or not. A second call does nothing."""
        self.__exit__(None, None, None)

    def __enter__(self) -> Stream[_T]:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._rows.close()
        now(self._portal.closing(error))


def _rows(portal: Portal) -> Generator[Any, None, None]:
    # No name holds a chunk, so that it is freed before the next one is received.
    while not portal.is_finished:
        yield from portal.rows_of(portal.receive())


class AsyncStream(Generic[_T]):
    """The async iterator of `AsyncDbSession.stream()`; as an async context manager it closes itself
    at the block's end.
    """

    __slots__ = ("_portal", "_rows")
    __dir__ = public_names

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._rows = _arows(portal)

    def __aiter__(self) -> AsyncGenerator[_T, None]:
        # The generator itself, which saves a call for each row.
        return self._rows

    async def __anext__(self) -> _T:
        row: _T = await anext(self._rows)
        return row

    @property
    def columns(self) -> tuple[Column, ...]:
        """As `Stream.columns`."""
        return self._portal.columns

    async def aclose(self) -> None:
        """End the stream, with rows left or not. A second call does nothing."""
        await self.__aexit__(None, None, None)

    async def __aenter__(self) -> AsyncStream[_T]:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        await self._rows.aclose()
        await later(self._portal.closing(error))


async def _arows(portal: Portal) -> AsyncGenerator[Any, None]:
    while not portal.is_finished:
        for row in portal.rows_of(await portal.receive()):
            yield row
