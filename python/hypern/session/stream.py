"""`Stream` and `AsyncStream`: the rows of a result too large to be held at once, one by one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hypern._pep249 import Error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence
    from types import TracebackType

    from hypern import _native

_log = logging.getLogger("hypern")


class _Portal:
    """What a stream's generator shares with the object that closes it: the number of the open
    stream, 0 if there is none.

    The generators leave the stream open when they end early. A generator that is collected cannot
    raise, so that a COMMIT sent from there would lose its error. The session's next statement, or
    its end, ends the stream and reports that.
    """

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


class Stream:
    """The iterator of `DbSession.stream()`; in a `with` block it is closed at the block's end."""

    __slots__ = ("_portal", "_rows", "_session")

    def __init__(
        self,
        session: _native.Session,
        sql: str,
        params: Sequence[Any] | None,
        chunk_rows: int,
        timeout: float | None,
    ) -> None:
        check_chunk_rows(chunk_rows)
        self._session = session
        self._portal = _Portal()
        self._rows = _rows(self._portal, session, sql, params, chunk_rows, timeout)

    def __iter__(self) -> Generator[dict[str, Any], None, None]:
        # The generator itself, which spares a call for each row.
        return self._rows

    def __next__(self) -> dict[str, Any]:
        return next(self._rows)

    def close(self) -> None:
        """End the stream, with rows left or not; closing again is fine."""
        self._rows.close()
        if self._portal.number:
            self._session._stream_close(self._portal.number)
            self._portal.number = 0

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except Error:
            if exc is None:
                raise
            _log.exception("ending a stream after an error failed")  # which must stay the one seen


def _rows(
    portal: _Portal,
    session: _native.Session,
    sql: str,
    params: Sequence[Any] | None,
    chunk_rows: int,
    timeout: float | None,
) -> Generator[dict[str, Any], None, None]:
    rows, portal.number = session._stream_open(sql, params, chunk_rows, timeout)
    while portal.number:
        yield from rows
        del rows  # one chunk at a time
        rows, portal.number = session._stream_fetch(portal.number, chunk_rows, timeout)
    yield from rows


class AsyncStream:
    """The async iterator of `AsyncDbSession.stream()`; in an `async with` block it is closed at the
    block's end.
    """

    __slots__ = ("_portal", "_rows", "_session")

    def __init__(
        self,
        session: _native.AsyncSession,
        sql: str,
        params: Sequence[Any] | None,
        chunk_rows: int,
        timeout: float | None,
    ) -> None:
        check_chunk_rows(chunk_rows)
        self._session = session
        self._portal = _Portal()
        self._rows = _arows(self._portal, session, sql, params, chunk_rows, timeout)

    def __aiter__(self) -> AsyncGenerator[dict[str, Any], None]:
        # The generator itself, which spares a call for each row.
        return self._rows

    async def __anext__(self) -> dict[str, Any]:
        return await anext(self._rows)

    async def aclose(self) -> None:
        """End the stream, with rows left or not; closing again is fine."""
        await self._rows.aclose()
        if self._portal.number:
            await self._session._stream_close(self._portal.number)
            self._portal.number = 0

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.aclose()
        except Error:
            if exc is None:
                raise
            _log.exception("ending a stream after an error failed")  # which must stay the one seen


async def _arows(
    portal: _Portal,
    session: _native.AsyncSession,
    sql: str,
    params: Sequence[Any] | None,
    chunk_rows: int,
    timeout: float | None,
) -> AsyncGenerator[dict[str, Any], None]:
    rows, portal.number = await session._stream_open(sql, params, chunk_rows, timeout)
    while portal.number:
        for row in rows:
            yield row
        del rows  # one chunk at a time
        rows, portal.number = await session._stream_fetch(portal.number, chunk_rows, timeout)
    for row in rows:
        yield row


def check_chunk_rows(chunk_rows: object) -> None:
    """Raise unless it can be the number of rows of a chunk."""
    if not isinstance(chunk_rows, int) or isinstance(chunk_rows, bool):
        raise TypeError(f"chunk_rows must be an int, not {type(chunk_rows).__name__}")
    if not 1 <= chunk_rows <= 2**31 - 1:
        raise ValueError("chunk_rows must be 1 or more, and below 2**31")
