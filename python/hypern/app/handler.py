"""One route's handler as an ASGI application: receives the body, calls the handler, responds."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import anyio.to_thread
from starlette.exceptions import HTTPException

from hypern.app.context import Context
from hypern.app.request import Request
from hypern.app.response import Response
from hypern.scope.identify import SCOPE_KEY

if TYPE_CHECKING:
    import msgspec

    from hypern.web.asgi import ASGIScope, Receive, Send
    from hypern.web.request import RequestScope

Handler = Callable[[Request, Response, Context], Any]


class Owner(Protocol):
    """What an endpoint uses of its application."""

    encoder: msgspec.json.Encoder
    max_body_bytes: int

    def threads(self) -> anyio.CapacityLimiter:
        """The limit on handlers that run in threads."""


class Endpoint:
    """Calls a handler: a coroutine function on the event loop, any other function in a thread."""

    def __init__(self, app: Owner, handler: Handler) -> None:
        self._app = app
        self._handler = handler
        self._is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004 - an object may be a handler
        )

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        request_scope: RequestScope = scope[SCOPE_KEY]
        body = await _receive_body(scope, receive, self._app.max_body_bytes)
        if body is None:
            return  # the client has disconnected
        response = Response(self._app.encoder)
        arguments = (
            Request(scope, body),
            response,
            Context(request_scope.request_id, request_scope.client_id),
        )
        if self._is_async:
            result = await self._handler(*arguments)
        else:
            result = await anyio.to_thread.run_sync(
                self._handler, *arguments, limiter=self._app.threads()
            )
        if result is not None and result is not response:
            raise TypeError(
                f"the handler of {scope['path']} returned {type(result).__name__}; a handler "
                "responds through res, as in res.json(...)"
            )
        await send(response.start_message())
        await send({"type": "http.response.body", "body": response.body})


async def _receive_body(scope: ASGIScope, receive: Receive, most: int) -> bytes | None:
    """The whole body; None if the client disconnected before it had sent it."""
    parts = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise HTTPException(413, f"the body is larger than {most} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
