"""`Stream` and `AsyncStream`: the rows of a result too large to be held at once, one by one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence
    from types import TracebackType

    from hypern import _native

_log = logging.getLogger("hypern")


class Stream:
    """The iterator of `DbSession.stream()`; in a `with` block it is closed at the block's end."""

    __slots__ = ("_rows",)

    def __init__(
        self,
        session: _native.Session,
        sql: str,
        params: Sequence[Any] | None,
        chunk_rows: int,
        timeout: float | None,
    ) -> None:
        check_chunk_rows(chunk_rows)
        self._rows = _rows(session, sql, params, chunk_rows, timeout)

    def __iter__(self) -> Generator[dict[str, Any], None, None]:
        # The generator itself: a loop that breaks lets go of it, which closes the stream.
        return self._rows

    def __next__(self) -> dict[str, Any]:
        return next(self._rows)

    def close(self) -> None:
        """End the stream, with rows left or not; closing again is fine."""
        self._rows.close()

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
        except Exception:
            if exc is None:
                raise
            _log.exception("ending a stream after an error failed")  # which must stay the one seen


def _rows(
    session: _native.Session,
    sql: str,
    params: Sequence[Any] | None,
    chunk_rows: int,
    timeout: float | None,
) -> Generator[dict[str, Any], None, None]:
    rows, number = session._stream_open(sql, params, chunk_rows, timeout)
    try:
        while number:
            yield from rows
            del rows  # one chunk at a time
            rows, number = session._stream_fetch(number, chunk_rows, timeout)
    finally:
        if number:
            session._stream_close(number)
    yield from rows


class AsyncStream:
    """The async iterator of `AsyncDbSession.stream()`; in an `async with` block it is closed at the
    block's end.
    """

    __slots__ = ("_rows",)

    def __init__(
        self,
        session: _native.AsyncSession,
        sql: str,
        params: Sequence[Any] | None,
        chunk_rows: int,
        timeout: float | None,
    ) -> None:
        check_chunk_rows(chunk_rows)
        self._rows = _arows(session, sql, params, chunk_rows, timeout)

    def __aiter__(self) -> AsyncGenerator[dict[str, Any], None]:
        # The generator itself: of one that a loop lets go of, the event loop sees to the closing.
        return self._rows

    async def __anext__(self) -> dict[str, Any]:
        return await anext(self._rows)

    async def aclose(self) -> None:
        """End the stream, with rows left or not; closing again is fine."""
        await self._rows.aclose()

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
        except Exception:
            if exc is None:
                raise
            _log.exception("ending a stream after an error failed")  # which must stay the one seen


async def _arows(
    session: _native.AsyncSession,
    sql: str,
    params: Sequence[Any] | None,
    chunk_rows: int,
    timeout: float | None,
) -> AsyncGenerator[dict[str, Any], None]:
    rows, number = await session._stream_open(sql, params, chunk_rows, timeout)
    try:
        while number:
            for row in rows:
                yield row
            del rows  # one chunk at a time
            rows, number = await session._stream_fetch(number, chunk_rows, timeout)
    finally:
        if number:
            await session._stream_close(number)
    for row in rows:
        yield row


def check_chunk_rows(chunk_rows: object) -> None:
    """Raise unless it can be the number of rows of a chunk."""
    if not isinstance(chunk_rows, int) or isinstance(chunk_rows, bool):
        raise TypeError(f"chunk_rows must be an int, not {type(chunk_rows).__name__}")
    if not 1 <= chunk_rows <= 2**31 - 1:
        raise ValueError("chunk_rows must be 1 or more, and below 2**31")
