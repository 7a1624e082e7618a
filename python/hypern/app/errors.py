"""The outermost layer of the application: exceptions as JSON responses."""

from __future__ import annotations

import logging
import traceback
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.exceptions import HTTPException

from hypern.scope.identify import SCOPE_KEY
from hypern.scope.scope import Scope

if TYPE_CHECKING:
    from hypern.web.asgi import ASGIApp, ASGIScope, Message, Receive, Send

_log = logging.getLogger("hypern.app")


class ErrorResponses:
    """Responds for an application that has raised: to an HTTPException with its status and detail,
    to any other exception with a 500 and the request's id.

    debug: bool, show the traceback in the 500
    """

    def __init__(self, app: ASGIApp, *, debug: bool) -> None:
        self._app = app
        self._debug = debug

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        is_started = False

        async def note(message: Message) -> None:
            nonlocal is_started
            is_started = is_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note)
        except HTTPException as error:
            if is_started:
                raise
            await _send(send, error.status_code, {"error": error.detail}, error.headers)
        except Exception as error:
            request = scope.get(SCOPE_KEY)
            request_id = request.request_id if isinstance(request, Scope) else None
            _log.exception("%s %s failed, %r", scope["method"], scope["path"], request)
            if is_started:
                raise
            body: dict[str, Any] = {
                "error": HTTPStatus.INTERNAL_SERVER_ERROR.phrase,
                "request_id": request_id,
            }
            if self._debug:
                body["detail"] = "".join(traceback.format_exception(error))
            await _send(send, 500, body, None)


async def _send(send: Send, status: int, body: dict[str, Any], headers: Any) -> None:
    data = msgspec.json.encode(body)
    pairs = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in (headers or {}).items()]
    pairs += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": data})
