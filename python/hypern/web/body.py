"""A response's body that the server iterates, within the scope of its request."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from hypern.session.steps import awaited, blocking, later, now

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypern.session.steps import Steps, View
    from hypern.web.options import Verdict
    from hypern.web.request import RequestScope

_END: Final = object()  # in place of a part, after the last one


class _Parts:
    """The parts of a body: `db()` means the request while each of them is produced.

    is_at_end: bool, the request's sessions end with the body; otherwise they have ended already.
    verdict: what the response means for its request. iterator: of the body, if it has been begun.
    """

    def __init__(
        self,
        request: RequestScope,
        body: Iterable[bytes] | AsyncIterable[bytes],
        verdict: Verdict,
        *,
        is_at_end: bool = True,
        iterator: Iterator[bytes] | None = None,
    ) -> None:
        self._request = request
        self._body = body
        self._iterator: Any = iterator
        self._verdict = verdict
        self._is_at_end = is_at_end

    def _stepping(
        self, view: View, begin: Callable[[Any], Any], advance: Callable[[Any], Any]
    ) -> Steps[Any]:
        """The next part, or `_END` once the sessions have ended. begin, advance: iter and next, or
        aiter and anext.
        """
        with self._request.current():
            try:
                if self._iterator is None:
                    self._iterator = begin(self._body)
                return (yield advance(self._iterator))
            except (StopIteration, StopAsyncIteration):
                pass
            except BaseException as error:
                self._is_at_end = False
                yield from self._request.abandoning(view, error)
                raise
        if self._is_at_end:
            self._is_at_end = False
            # If this raises, the server leaves the response cut short.
            yield from self._request.ending(view, self._verdict)
        return _END


class ScopedBody(_Parts):
    """The body of a WSGI response, or of a synchronous StreamingHttpResponse of Django's."""

    def __iter__(self) -> ScopedBody:
        return self

    def __next__(self) -> bytes:
        part = now(self._stepping(blocking, iter, next))
        if part is _END:
            raise StopIteration
        return cast("bytes", part)

    def close(self) -> None:
        """Called by the server in any case: after the last part, or when the client has gone."""
        if not self._request.ended:
            close_body(self._body, self._request)
            now(self._request.abandoning(blocking, GeneratorExit()))
            return
        self._request.open_background()
        close_body(self._body, self._request)
        now(self._request.ending_background(blocking))


def close_body(body: object, request: RequestScope) -> None:
    """Call the body's close(), if it has one, within the request. An exception rolls back."""
    close = getattr(body, "close", None)
    if close is None:
        return
    with request.current():
        try:
            close()
        except BaseException as error:
            now(request.abandoning(blocking, error))
            raise


class AsyncScopedBody(_Parts):
    """The body of an asynchronous StreamingHttpResponse of Django's."""

    def __aiter__(self) -> AsyncScopedBody:
        return self

    async def __anext__(self) -> bytes:
        part = await later(self._stepping(awaited, aiter, anext))
        if part is _END:
            raise StopAsyncIteration
        return cast("bytes", part)

    async def aclose(self) -> None:
        """Called if the rest of the body is not needed."""
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            with self._request.current():
                await close()
        self.close()

    def close(self) -> None:
        """Called by the server in any case, after the body."""
        if not self._request.ended:
            now(self._request.abandoning(blocking, GeneratorExit()))
