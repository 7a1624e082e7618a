"""`DatabaseMiddleware` for any ASGI application: one scope per request, over before its response.

    app.add_middleware(DatabaseMiddleware)      # Starlette, FastAPI
    app = DatabaseMiddleware(app)               # any other

In the application `db()` means the request's session; `db(request)` works with the framework's own
request, whose ASGI scope carries the key. See docs/frameworks/asgi.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, MutableMapping
from typing import Any

from hypern import _pools
from hypern._off_loop import off_loop
from hypern._scope import SCOPE_KEY
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

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_DISCONNECT_SECS = 5.0

# The messages after which a response's body is complete, if they do not say "more_body".
_BODIES = frozenset(("http.response.body", "http.response.pathsend", "http.response.zerocopysend"))


class DatabaseMiddleware:
    """Opens a scope for each HTTP request and websocket, and disconnects the pools at shutdown.

    rollback_on: status codes (anything with `in`) whose response rolls back what is still open, for
        frameworks turn exceptions into responses; a commit() of the handler stands
    finalize: "auto": before the first byte, but where the response has no Content-Length the
        sessions live until the body has been sent, its transactions settled before the first byte;
        "start": always before the first byte; "end": always after the body, transactions too
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        rollback_on: Container[int] = FAILURES,
        finalize: Finalize = "auto",
    ) -> None:
        check_options(rollback_on, finalize)
        self.app = app
        self.rollback_on = rollback_on
        self.finalize = finalize

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, websocket or lifespan."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, _disconnecting(send))
        elif scope["type"] not in ("http", "websocket") or carries_scope(scope):
            await self.app(scope, receive, send)
        else:
            request = scope[SCOPE_KEY] = RequestScope(_client_id(scope))
            if scope["type"] == "http":
                await self._serve_http(request, scope, receive, send)
            else:
                await self._serve_websocket(request, scope, receive, send)

    async def _serve_http(
        self,
        request: RequestScope,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
    ) -> None:
        response = _Response(request, send, self.rollback_on, self.finalize)
        with request.current():
            try:
                await self.app(scope, receive, response.send)
            except BaseException as error:
                await request.aabandon(error)
                if isinstance(error, Exception):
                    response.raise_failure()
                raise
        response.raise_failure()
        if response.complete:
            await request.aend_background()
        else:
            # The server will find out that the response is not whole: it has not succeeded.
            await request.aend(FAILED)

    async def _serve_websocket(
        self,
        request: RequestScope,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
    ) -> None:
        with request.current():
            try:
                await self.app(scope, receive, send)
            except BaseException as error:
                await request.aabandon(error)
                raise
        await request.aend(Verdict(failed=False, is_success=True))


class _Response:
    """What the application sends, and the end of the request's sessions in the right place."""

    __slots__ = ("_at_end", "_failure", "_options", "_request", "_send", "_verdict", "complete")

    def __init__(
        self,
        request: RequestScope,
        send: Send,
        rollback_on: Container[int],
        finalize: Finalize,
    ) -> None:
        self._request = request
        self._send = send
        self._options = (rollback_on, finalize)
        self._verdict = FAILED  # going by its status, once that is known
        self._at_end = False  # the sessions live until the body has been sent
        self._failure: BaseException | None = None  # what made a commit fail
        self.complete = False

    async def send(self, message: Message) -> None:
        """Pass a message of the application on."""
        kind = message["type"]
        if kind == "http.response.start":
            await self._before_first_byte(message)
        is_last = kind in _BODIES and not message.get("more_body", False)
        if is_last and self._at_end:
            # Before the last part, so that a commit that fails leaves the response cut short.
            await self._request.aend(self._verdict)
        await self._send(message)
        if is_last and not self.complete:
            self.complete = True
            self._request.open_background()

    async def _before_first_byte(self, message: Message) -> None:
        rollback_on, finalize = self._options
        self._verdict = verdict_of(message["status"], rollback_on)
        if self._failure is not None:
            # The application has seen that its commit failed. It may answer that with an error.
            if message["status"] < 400:
                raise self._failure
            self._failure = None
            return
        self._at_end = finalize == "end" or (finalize == "auto" and _is_produced(message))
        try:
            if not self._at_end:
                await self._request.aend(self._verdict)
            elif finalize == "auto":
                await self._request.asettle(self._verdict)
        except BaseException as error:
            self._at_end = False
            self._failure = error
            raise

    def raise_failure(self) -> None:
        """Raise what made a commit fail, unless the client has been told."""
        if self._failure is not None:
            raise self._failure


def _is_produced(start: Message) -> bool:
    """Whether the body is produced while it is sent: its length is not known beforehand."""
    if start["status"] in (204, 304):
        return False
    return all(name.lower() != b"content-length" for name, _ in start.get("headers", ()))


def _client_id(scope: MutableMapping[str, Any]) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            return text
    return None


def _disconnecting(send: Send) -> Send:
    async def send_lifespan(message: Message) -> None:
        if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            await off_loop(_pools.disconnect, _DISCONNECT_SECS)
        await send(message)

    return send_lifespan
