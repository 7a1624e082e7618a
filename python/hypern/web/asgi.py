"""`DatabaseMiddleware` for any ASGI application: one scope per request, ended before its response.

    app.add_middleware(DatabaseMiddleware)      # Starlette, FastAPI
    app = DatabaseMiddleware(app)               # any other

In the application `db()` means the request's session; `db(request)` works with the framework's own
request, whose ASGI scope carries it. See docs/frameworks/asgi.md.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hypern.pool import registry
from hypern.pool.off_loop import off_loop
from hypern.scope.identify import SCOPE_KEY
from hypern.session.steps import awaited, later
from hypern.web.options import FAILED, SUCCEEDED, Options, Wrapper
from hypern.web.request import RequestScope, carries_scope

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIScope = MutableMapping[str, Any]
ASGIApp = Callable[[ASGIScope, Receive, Send], Awaitable[None]]

_DISCONNECT_SECS = 5.0

# The messages after which a response's body is complete, unless they have "more_body".
_BODIES = frozenset(("http.response.body", "http.response.pathsend", "http.response.zerocopysend"))


class DatabaseMiddleware(Wrapper[ASGIApp]):
    """Opens a scope for each HTTP request and websocket, and disconnects the pools at shutdown. The
    options rollback_on and finalize are those of `Options`; a body is produced if the response has
    no Content-Length.
    """

    __module__ = "hypern.middleware.asgi"

    def request_of(self, carrier: ASGIScope) -> object:
        """Starlette's request in Starlette's applications and FastAPI's, else the ASGI scope."""
        applications = sys.modules.get("starlette.applications")
        if applications is None or not isinstance(carrier.get("app"), applications.Starlette):
            return carrier
        return sys.modules["starlette.requests"].HTTPConnection(carrier)

    def method_of(self, carrier: ASGIScope) -> str:
        """The request's method; a websocket begins with GET."""
        method: str = carrier.get("method", "GET")
        return method

    def route_of(self, carrier: ASGIScope) -> str | None:
        """The template of the route that Starlette or FastAPI has found."""
        path = getattr(carrier.get("route"), "path", None)
        return path if isinstance(path, str) else None

    def header_of(self, carrier: ASGIScope, name: str) -> str | None:
        """A header of the request; several of one name are joined as cookies are."""
        wanted = name.lower().encode()
        found = [
            value.decode("latin-1") for header, value in carrier["headers"] if header == wanted
        ]
        return "; ".join(found) if found else None

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Serve one request, websocket or lifespan."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, _disconnecting(send))
            return
        if scope["type"] not in ("http", "websocket") or carries_scope(scope):
            await self.app(scope, receive, send)
            return
        request = scope[SCOPE_KEY] = RequestScope(_client_id(scope), (self, scope))
        response = _Response(request, send, self) if scope["type"] == "http" else None
        with request.current():
            try:
                await self.app(scope, receive, send if response is None else response.send)
            except BaseException as error:
                await later(request.abandoning(awaited, error))
                if response is not None and isinstance(error, Exception):
                    response.raise_failure()
                raise
        if response is None:
            await later(request.ending(awaited, SUCCEEDED))
        else:
            await response.end()


class _Response:
    """What the application sends, and the end of the request's sessions in the right place."""

    def __init__(self, request: RequestScope, send: Send, options: Options) -> None:
        self._request = request
        self._send = send
        self._options = options
        self._verdict = FAILED  # until the status is known
        self._is_at_end = False  # the sessions live until the body has been sent
        self._is_complete = False
        self._failure: BaseException | None = None  # what made a commit fail

    async def send(self, message: Message) -> None:
        """Pass a message of the application on."""
        kind = message["type"]
        if kind == "http.response.start":
            await self._start(message)
        is_last = kind in _BODIES and not message.get("more_body", False)
        if is_last and self._is_at_end:
            # Before the last part, so that a failed commit leaves the response cut short.
            await later(self._request.ending(awaited, self._verdict))
        await self._send(message)
        if is_last and not self._is_complete:
            self._is_complete = True
            self._request.open_background()

    async def _start(self, message: Message) -> None:
        """End what must have ended before the first byte."""
        self._verdict = self._options.verdict(message["status"])
        if self._failure is not None:
            # The application has seen that its commit failed, and may respond with an error.
            if message["status"] < 400:
                raise self._failure
            self._failure = None
            return
        self._is_at_end = self._options.outlive_start(is_produced=_is_produced(message))
        try:
            await later(
                self._request.starting(
                    awaited, self._options, self._verdict, is_at_end=self._is_at_end
                )
            )
        except BaseException as error:
            self._is_at_end = False
            self._failure = error
            raise
        header = self._request.reply(self._options)
        if header is not None:
            name, value = (text.encode("latin-1") for text in header)
            message["headers"] = [*message.get("headers", ()), (name.lower(), value)]

    async def end(self) -> None:
        """The application has returned."""
        self.raise_failure()
        if self._is_complete:
            await later(self._request.ending_background(awaited))
        else:
            # The server will find the response incomplete, so the request has failed.
            await later(self._request.ending(awaited, FAILED))

    def raise_failure(self) -> None:
        """Raise what made a commit fail, unless the client has been sent an error."""
        if self._failure is not None:
            raise self._failure


def _is_produced(start: Message) -> bool:
    """Whether the body is produced while it is sent: its length is not known beforehand."""
    if start["status"] in (204, 304):
        return False
    return all(name.lower() != b"content-length" for name, _ in start.get("headers", ()))


def _client_id(scope: ASGIScope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            return text
    return None


def _disconnecting(send: Send) -> Send:
    async def send_lifespan(message: Message) -> None:
        if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            await off_loop(registry.disconnect, _DISCONNECT_SECS)
        await send(message)

    return send_lifespan
