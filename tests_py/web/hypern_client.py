"""A client of Hypern applications."""

from __future__ import annotations

import asyncio
from typing import Any

from web.asgi_client import Answer, http_scope

from hypern import Hypern


def ask(
    app: Hypern,
    path: str = "/",
    method: str = "GET",
    body: bytes = b"",
    query: str = "",
    **headers: str,
) -> Answer:
    """Make a request of an application."""
    scope = http_scope(path, {k.replace("_", "-"): v for k, v in headers.items()})
    scope.update(method=method, query_string=query.encode())
    parts = iter([body[: len(body) // 2], body[len(body) // 2 :]])
    answer = Answer()

    async def receive() -> dict[str, Any]:
        part = next(parts)
        return {"type": "http.request", "body": part, "more_body": part != body[len(body) // 2 :]}

    async def send(message: Any) -> None:
        answer.messages.append(message)

    asyncio.run(app(scope, receive, send))
    return answer
