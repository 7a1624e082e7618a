"""What is no HTTP request: websockets, and the lifespan, whose end disconnects the pools."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from web.asgi_client import Scope, call, whole
from web.ledger import committed, write

from hypern.database import Database, db, scope
from hypern.errors import SessionClosed
from hypern.middleware.asgi import ASGIApp, DatabaseMiddleware, Message, Receive, Send

pytestmark = pytest.mark.usefixtures("ledger")


def websocket(app: ASGIApp) -> Scope:
    """Run an application on a websocket; its scope."""
    scope: Scope = {"type": "websocket", "path": "/", "headers": []}

    async def receive() -> Message:
        return {"type": "websocket.disconnect"}

    async def send(message: Message) -> None:
        """Nobody listens."""

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return scope


def test_a_websocket_is_one_scope_committed_at_its_end() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        write(1)
        await send({"type": "websocket.accept"})
        assert db(scope) is db()
        assert committed() == []

    connection = websocket(DatabaseMiddleware(app))
    assert committed() == [1]
    with pytest.raises(SessionClosed):
        db(connection)


def test_a_websocket_whose_handler_raises_rolls_back() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        write(1)
        raise LookupError

    with pytest.raises(LookupError):
        websocket(DatabaseMiddleware(app))
    assert committed() == []


def test_a_websocket_may_have_a_scope_per_message() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        async with scope():
            write(1)
        assert committed() == [1]
        async with scope():
            write(2).set_error()

    websocket(DatabaseMiddleware(app))
    assert committed() == [1]


def lifespan(app: ASGIApp) -> list[str]:
    """Start an application and shut it down; what it has sent."""
    sent: list[str] = []
    steps = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> Message:
        return {"type": next(steps)}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    asyncio.run(app({"type": "lifespan"}, receive, send))  # type: ignore[arg-type]
    return sent


async def _life(scope: Any, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


def test_the_end_of_the_lifespan_disconnects_the_pools_and_keeps_the_settings() -> None:
    app = DatabaseMiddleware(whole(200, lambda: write(len(committed()))))
    for _ in range(2):
        sent = lifespan(DatabaseMiddleware(_life))
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert Database.status().size == 0
        assert asyncio.run(call(app)).status == 200
        assert Database.status().size > 0
    assert committed() == [0, 1]


def test_an_application_without_a_lifespan_says_so_to_the_server() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        raise NotImplementedError("no lifespan here")

    with pytest.raises(NotImplementedError, match="no lifespan here"):
        lifespan(DatabaseMiddleware(app))
