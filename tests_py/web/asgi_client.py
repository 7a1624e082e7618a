"""A client of ASGI applications that shows what a server would see, message by message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from hypern.middleware.asgi import ASGIApp, Message, Receive, Send

Scope = MutableMapping[str, Any]


@dataclass
class Answer:
    """What an application has sent."""

    messages: list[Message] = field(default_factory=list)
    complete: bool = False

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.messages[1:])


def http_scope(path: str = "/", headers: dict[str, str] | None = None) -> Scope:
    """The scope of a GET."""
    pairs = [(k.lower().encode(), v.encode("latin-1")) for k, v in (headers or {}).items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": pairs,
        "server": ("test", 80),
        "client": ("test", 1),
    }


async def call(
    app: ASGIApp,
    scope: Scope | None = None,
    on_send: Callable[[Message], object] | None = None,
    answer: Answer | None = None,
) -> Answer:
    """Make a request. `on_send` is called with each message that reaches the server."""
    answer = Answer() if answer is None else answer

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if on_send is not None:
            on_send(message)
        answer.messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            answer.complete = True

    await app(http_scope() if scope is None else scope, receive, send)
    return answer


def whole(status: int, work: Callable[[], object]) -> ASGIApp:
    """An application that does some work and then sends a response of known length."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        work()
        await respond(send, status, b"done")

    return app


async def respond(send: Send, status: int, body: bytes) -> None:
    """Send a response of known length."""
    length = str(len(body)).encode()
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-length", length)]}
    )
    await send({"type": "http.response.body", "body": body})


def produced(
    handler: Callable[[], object], *steps: Callable[[], object], after: Callable[[], Any] = bool
) -> ASGIApp:
    """An application whose body is produced part by part, by the steps, and then goes on."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        handler()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for step in steps:
            step()
            await send({"type": "http.response.body", "body": b"part ", "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        outcome = after()
        if isinstance(outcome, Awaitable):
            await outcome

    return app
