"""`DatabaseMiddleware` for any WSGI application: one scope per request, over before its response.

    app.wsgi_app = DatabaseMiddleware(app.wsgi_app)     # Flask; or hypern.middleware.flask
    application = DatabaseMiddleware(application)       # any other

In the application `db()` means the request's session; `db(request)` works with the framework's own
request, whose environ carries the key. See docs/frameworks/wsgi.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hypern._scope import SCOPE_KEY
from hypern.middleware._body import ScopedBody, close_body
from hypern.middleware._request import (
    FAILED,
    FAILURES,
    Finalize,
    RequestScope,
    Verdict,
    carries_scope,
    check_options,
    verdict_of,
)

if TYPE_CHECKING:
    from types import TracebackType

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType]

StartResponse = Callable[..., Callable[[bytes], object]]
WSGIApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class DatabaseMiddleware:
    """Opens a scope for each request.

    rollback_on: status codes (anything with `in`) whose response rolls back what is still open, for
        frameworks turn exceptions into responses; a commit() of the handler stands
    finalize: "auto": before the first byte, but where the body has no known length the sessions
        live until it has been sent, its transactions settled before the first byte; "start": always
        before the first byte; "end": always after the body, transactions too
    """

    def __init__(
        self,
        app: WSGIApp,
        *,
        rollback_on: Container[int] = FAILURES,
        finalize: Finalize = "auto",
    ) -> None:
        check_options(rollback_on, finalize)
        self.app = app
        self.rollback_on = rollback_on
        self.finalize = finalize

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if carries_scope(environ):
            return self.app(environ, start_response)
        request = environ[SCOPE_KEY] = RequestScope(environ.get("HTTP_X_REQUEST_ID"))
        response = _Response(request, start_response, self.rollback_on, self.finalize)
        body: Iterable[bytes] = ()
        try:
            with request.current():
                body = self.app(environ, response.start)
            return response.passed_on(body, environ.get("wsgi.file_wrapper"))
        except BaseException as error:
            try:
                close_body(body, request)
            finally:
                request.abandon(error)
            raise


class _Response:
    """What the application starts, held back until the request's sessions have ended."""

    __slots__ = (
        "_at_end",
        "_finalize",
        "_is_sent",
        "_request",
        "_rollback_on",
        "_start",
        "_start_write",
        "_started",
    )

    def __init__(
        self,
        request: RequestScope,
        start: StartResponse,
        rollback_on: Container[int],
        finalize: Finalize,
    ) -> None:
        self._request = request
        self._start = start
        self._rollback_on = rollback_on
        self._finalize = finalize
        self._started: tuple[str, list[tuple[str, str]], ExcInfo | None] | None = None
        self._is_sent = False
        self._at_end = False

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """The application's start_response."""
        if self._is_sent:
            return self._start(status, headers, exc_info)  # raises exc_info
        if self._started is not None and exc_info is None:
            raise AssertionError("start_response was called twice without exc_info")
        self._started = (status, headers, exc_info)
        return self._write

    def passed_on(self, body: Iterable[bytes], file_wrapper: object) -> Iterable[bytes]:
        """End the sessions where they have to end by now, send the start, and give the body."""
        is_whole = isinstance(body, (list, tuple)) or (
            # Left as it is, so that the server can send the file by itself.
            isinstance(file_wrapper, type) and isinstance(body, file_wrapper)
        )
        iterator: Iterator[bytes] | None = None
        if self._started is None:
            # A generator starts its response with its first part, at the latest.
            with self._request.current():
                rest = iter(body)
                iterator = itertools.chain(list(itertools.islice(rest, 1)), rest)
        if not self._is_sent:
            self._send_start(is_whole)
        if is_whole:
            if self._at_end:  # write() has sent the start
                self._request.end(self._verdict)
            return body
        return ScopedBody(self._request, body, iterator, at_end=self._at_end, verdict=self._verdict)

    @property
    def _verdict(self) -> Verdict:
        if self._started is None:
            return FAILED
        return verdict_of(int(self._started[0][:3]), self._rollback_on)

    def _send_start(self, is_whole: bool) -> Callable[[bytes], object]:
        if self._started is None:
            raise AssertionError("the application gave a body without calling start_response")
        status, headers, exc_info = self._started
        self._at_end = not is_whole and (
            self._finalize == "end"
            or (
                self._finalize == "auto"
                and all(name.lower() != "content-length" for name, _ in headers)
            )
        )
        if not self._at_end:
            self._request.end(self._verdict)
        elif self._finalize == "auto":
            self._request.settle(self._verdict)
        self._is_sent = True
        if exc_info is None:
            return self._start(status, headers)
        return self._start(status, headers, exc_info)

    def _write(self, data: bytes) -> object:
        """What start_response returns for applications that push their body."""
        if not self._is_sent:
            self._start_write = self._send_start(is_whole=False)
        return self._start_write(data)
