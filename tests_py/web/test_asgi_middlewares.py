"""Exceptions in an ASGI middleware above ours, and in one below it: what stands, what is undone.

What counts is where the exception is when the sessions end: they end before the first byte leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from web.asgi_client import Answer, Scope, call, respond, whole
from web.ledger import committed, write

from hypern.database import Database, db
from hypern.errors import UniqueViolation
from hypern.middleware.asgi import ASGIApp, DatabaseMiddleware, Message, Receive, Send

pytestmark = pytest.mark.usefixtures("ledger")

Wrap = Callable[[ASGIApp], ASGIApp]
Middleware = Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]


class BrokenError(Exception):
    """What the other middleware raises."""


def middleware(serve: Middleware) -> Wrap:
    """A function as a middleware, which is given the application too."""

    def wrap(app: ASGIApp) -> ASGIApp:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            await serve(app, scope, receive, send)

        return wrapped

    return wrap


@middleware
async def before(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    raise BrokenError


@middleware
async def after(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)
    raise BrokenError


@middleware
async def in_receive(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    async def broken() -> Message:
        raise BrokenError

    await app(scope, broken, send)


@middleware
async def at_the_start(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    async def broken(message: Message) -> None:
        raise BrokenError

    await app(scope, receive, broken)


@middleware
async def at_the_last_part(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    async def broken(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise BrokenError
        await send(message)

    await app(scope, receive, broken)


async def writes(scope: Scope, receive: Receive, send: Send) -> None:
    """The handler: it writes, reads the request, and answers."""
    write(1)
    await receive()
    await respond(send, 200, b"done")


def serve_and_fail(app: ASGIApp) -> tuple[list[str], list[int]]:
    """What was sent, and what is committed, after a request that raised."""
    answer = Answer()
    with pytest.raises(BrokenError):
        asyncio.run(call(app, answer=answer))
    assert Database.status().in_use == 0
    return [message["type"].rpartition(".")[2] for message in answer.messages], committed()


@pytest.mark.parametrize(
    ("broken", "sent", "kept"),
    [
        (before, [], []),
        (in_receive, [], []),
        # The sessions have ended by now: a commit is not taken back.
        (at_the_start, [], [1]),
        (at_the_last_part, ["start"], [1]),
        (after, ["start", "body"], [1]),
    ],
    ids=["before", "in receive", "at the start", "at the last part", "after"],
)
def test_a_middleware_above_that_raises(broken: Wrap, sent: list[str], kept: list[int]) -> None:
    assert serve_and_fail(broken(DatabaseMiddleware(writes))) == (sent, kept)


@pytest.mark.parametrize(
    ("broken", "sent", "kept"),
    [
        (before, [], []),
        (in_receive, [], []),
        # The start has not reached us yet, so the sessions are open.
        (at_the_start, [], []),
        (at_the_last_part, ["start"], [1]),
        (after, ["start", "body"], [1]),
    ],
    ids=["before", "in receive", "at the start", "at the last part", "after"],
)
def test_a_middleware_below_that_raises(broken: Wrap, sent: list[str], kept: list[int]) -> None:
    assert serve_and_fail(DatabaseMiddleware(broken(writes))) == (sent, kept)


def test_what_a_middleware_below_wrote_before_it_raised_is_undone() -> None:
    @middleware
    async def broken(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        write(1)
        raise BrokenError

    assert serve_and_fail(DatabaseMiddleware(broken(writes))) == ([], [])


def test_what_a_middleware_below_wrote_after_the_response_before_it_raised_is_undone() -> None:
    @middleware
    async def broken(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        write(2)
        raise BrokenError

    assert serve_and_fail(DatabaseMiddleware(broken(writes))) == (["start", "body"], [1])


def answering(status: int) -> Wrap:
    """A middleware that answers every exception with one status."""

    @middleware
    async def answer(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception:
            await respond(send, status, b"sorry")

    return answer


def fail() -> None:
    write(1)
    raise BrokenError


def test_an_exception_that_a_middleware_above_answers_is_rolled_back() -> None:
    app = answering(500)(DatabaseMiddleware(whole(200, fail)))
    assert asyncio.run(call(app)).status == 500
    assert (Database.status().in_use, committed()) == (0, [])


def test_a_commit_that_fails_is_answered_by_a_middleware_above() -> None:
    def twice() -> None:
        write(1)
        write(1)

    app = answering(500)(DatabaseMiddleware(whole(200, twice)))
    answer = asyncio.run(call(app))
    assert (answer.status, answer.body) == (500, b"sorry")
    assert (Database.status().in_use, committed()) == (0, [])


@pytest.mark.parametrize(("status", "kept"), [(500, []), (409, []), (200, [1])])
def test_an_exception_that_a_middleware_below_answers_is_what_its_answer_says(
    status: int, kept: list[int]
) -> None:
    app = DatabaseMiddleware(answering(status)(whole(200, fail)))
    assert asyncio.run(call(app)).status == status
    assert (Database.status().in_use, committed()) == (0, kept)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize("is_above", [True, False], ids=["above", "below"])
def test_a_base_exception_of_another_middleware_rolls_back(
    error: type[BaseException], is_above: bool
) -> None:
    @middleware
    async def broken(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        async def raising() -> Message:
            raise error

        await app(scope, raising, send)

    app = broken(DatabaseMiddleware(writes)) if is_above else DatabaseMiddleware(broken(writes))

    async def run() -> Any:
        with pytest.raises(error):
            await call(app)

    asyncio.run(run())
    assert (Database.status().in_use, committed()) == (0, [])


def test_a_middleware_below_that_hides_a_failed_statement_gets_no_success() -> None:
    def violate() -> None:
        with pytest.raises(UniqueViolation):
            write(1).execute("DO $$ BEGIN RAISE unique_violation; END $$")
        assert db().is_in_transaction
        raise BrokenError

    app = answering(500)(DatabaseMiddleware(answering(200)(whole(200, violate))))
    assert asyncio.run(call(app)).status == 500
    assert (Database.status().in_use, committed()) == (0, [])
