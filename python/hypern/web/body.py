"""A response's body that is iterated by the server, within the scope of its request."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypern.middleware._request import RequestScope, Verdict


class ScopedBody:
    """An iterable of bytes in whose steps, and in its close(), `db()` means the request.

    at_end: bool, the request's sessions end with the body; else they have ended already.
    verdict: what the response's status says of how they end.
    """

    __slots__ = ("_at_end", "_body", "_iterator", "_request", "_verdict")

    def __init__(
        self,
        request: RequestScope,
        body: Iterable[bytes],
        iterator: Iterator[bytes] | None = None,
        *,
        at_end: bool,
        verdict: Verdict,
    ) -> None:
        self._request = request
        self._body = body
        self._iterator = iterator
        self._at_end = at_end
        self._verdict = verdict

    def __iter__(self) -> ScopedBody:
        return self

    def __next__(self) -> bytes:
        with self._request.current():
            try:
                if self._iterator is None:
                    self._iterator = iter(self._body)
                return next(self._iterator)
            except StopIteration:
                pass
            except BaseException as error:
                self._at_end = False
                self._request.abandon(error)
                raise
        self._end()
        raise StopIteration

    def _end(self) -> None:
        if self._at_end:
            self._at_end = False
            # Where this raises, the server leaves the response cut short.
            self._request.end(self._verdict)

    def close(self) -> None:
        """Called by the server in any case: after the last part, or where the client has gone."""
        if not self._request.ended:
            close_body(self._body, self._request)
            self._request.abandon(GeneratorExit())
            return
        self._request.open_background()
        close_body(self._body, self._request)
        self._request.end_background()


def close_body(body: object, request: RequestScope) -> None:
    """Call the body's close(), if it has one, within the request. What it raises rolls back."""
    close = getattr(body, "close", None)
    if close is None:
        return
    with request.current():
        try:
            close()
        except BaseException as error:
            request.abandon(error)
            raise


class AsyncScopedBody:
    """`ScopedBody` for an async iterable, whose sessions live until the end of the body."""

    __slots__ = ("_body", "_iterator", "_request", "_verdict")

    def __init__(
        self, request: RequestScope, body: AsyncIterable[bytes], *, verdict: Verdict
    ) -> None:
        self._request = request
        self._body = body
        self._iterator: AsyncIterator[bytes] | None = None
        self._verdict = verdict

    def __aiter__(self) -> AsyncScopedBody:
        return self

    async def __anext__(self) -> bytes:
        with self._request.current():
            try:
                if self._iterator is None:
                    self._iterator = aiter(self._body)
                return await anext(self._iterator)
            except StopAsyncIteration:
                pass
            except BaseException as error:
                await self._request.aabandon(error)
                raise
        if not self._request.ended:
            await self._request.aend(self._verdict)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Called where the rest of the body is not wanted."""
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            with self._request.current():
                await close()
        if not self._request.ended:
            await self._request.aabandon(GeneratorExit())

    def close(self) -> None:
        """Called by the server in any case, after the body."""
        if not self._request.ended:
            self._request.abandon(GeneratorExit())
