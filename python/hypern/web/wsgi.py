"""`DatabaseMiddleware` for any WSGI application: one scope per request, ended before its response.

    app.wsgi_app = DatabaseMiddleware(app.wsgi_app)     # Flask; or hypern.middleware.flask
    application = DatabaseMiddleware(application)       # any other

In the application `db()` means the request's session; `db(request)` works with the framework's own
request, whose environ carries the scope. See docs/frameworks/wsgi.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hypern.scope.identify import SCOPE_KEY
from hypern.session.steps import blocking, now
from hypern.web.body import ScopedBody, close_body
from hypern.web.options import FAILED, Options, Verdict, Wrapper
from hypern.web.request import RequestScope, carries_scope

if TYPE_CHECKING:
    from types import TracebackType

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType]

StartResponse = Callable[..., Callable[[bytes], object]]
WSGIApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class DatabaseMiddleware(Wrapper[WSGIApp]):
    """Opens a scope for each request. The options rollback_on and finalize are those of `Options`;
    a body is produced if it is no list, tuple or file and has no Content-Length.
    """

    __module__ = "hypern.middleware.wsgi"

    def method_of(self, carrier: dict[str, Any]) -> str:
        """The request's method."""
        method: str = carrier.get("REQUEST_METHOD", "GET")
        return method

    def header_of(self, carrier: dict[str, Any], name: str) -> str | None:
        """A header of the request."""
        value: str | None = carrier.get(f"HTTP_{name.upper().replace('-', '_')}")
        return value

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if carries_scope(environ):
            return self.app(environ, start_response)
        request = environ[SCOPE_KEY] = RequestScope(
            environ.get("HTTP_X_REQUEST_ID"), (self, environ)
        )
        response = _Response(request, start_response, self)
        body: Iterable[bytes] = ()
        try:
            with request.current():
                body = self.app(environ, response.start)
            return response.pass_on(body, environ.get("wsgi.file_wrapper"))
        except BaseException as error:
            try:
                close_body(body, request)
            finally:
                now(request.abandoning(blocking, error))
            raise


class _Response:
    """The application's response; its start is held back until the sessions have ended."""

    def __init__(self, request: RequestScope, start: StartResponse, options: Options) -> None:
        self._request = request
        self._start = start
        self._options = options
        self._started: tuple[str, list[tuple[str, str]], ExcInfo | None] | None = None
        self._is_sent = False
        self._is_at_end = False  # the sessions live until the body has been sent

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

    def pass_on(self, body: Iterable[bytes], file_wrapper: object) -> Iterable[bytes]:
        """End the sessions if it is time, send the start, and return the body for the server."""
        is_whole = isinstance(body, (list, tuple)) or (
            # Returned as it is, so that the server can send the file in its own way.
            isinstance(file_wrapper, type) and isinstance(body, file_wrapper)
        )
        iterator: Iterator[bytes] | None = None
        if self._started is None:
            # A generator starts its response with its first part, at the latest.
            with self._request.current():
                rest = iter(body)
                iterator = itertools.chain(list(itertools.islice(rest, 1)), rest)
        if not self._is_sent:
            self._send_start(is_whole=is_whole)
        if is_whole:
            if self._is_at_end:  # write() has sent the start
                now(self._request.ending(blocking, self._verdict))
            return body
        return ScopedBody(
            self._request, body, self._verdict, is_at_end=self._is_at_end, iterator=iterator
        )

    @property
    def _verdict(self) -> Verdict:
        return FAILED if self._started is None else self._options.verdict(int(self._started[0][:3]))

    def _send_start(self, *, is_whole: bool) -> Callable[[bytes], object]:
        if self._started is None:
            raise AssertionError("the application returned a body without calling start_response")
        status, headers, exc_info = self._started
        is_produced = all(name.lower() != "content-length" for name, _ in headers)
        self._is_at_end = not is_whole and self._options.outlive_start(is_produced=is_produced)
        now(
            self._request.starting(
                blocking, self._options, self._verdict, is_at_end=self._is_at_end
            )
        )
        self._is_sent = True
        header = self._request.reply(self._options)
        if header is not None:
            headers = [*headers, header]
        if exc_info is None:
            return self._start(status, headers)
        return self._start(status, headers, exc_info)

    def _write(self, data: bytes) -> object:
        """What start_response returns for applications that push their body."""
        if not self._is_sent:
            self._start_write = self._send_start(is_whole=False)
        return self._start_write(data)
