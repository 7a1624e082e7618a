"""The ASGI middleware and the event loop: it goes on while a slow COMMIT is waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support import wait_until
from web.asgi_client import Answer, Scope, call, produced, respond
from web.ledger import committed

from hypern import Hypern
from hypern.app import Context, Request, Response
from hypern.database import Database, adb, db, scope
from hypern.middleware.asgi import ASGIApp, DatabaseMiddleware, Receive, Send

COMMIT_SECS = 0.4
TICK_SECS = 0.01


@pytest.fixture(autouse=True)
def slow_commit(ledger: str) -> Iterator[None]:
    """Have each COMMIT of a row take a while, in a trigger that is deferred to it."""
    with scope():
        db().execute(
            f"""
            CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep({COMMIT_SECS}); RETURN NULL; END $$
            """
        )
        db().execute(
            """
            CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON ledger
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()
            """
        )
    yield
    with scope():
        db().execute("DROP FUNCTION wait() CASCADE")


async def awrite(n: int) -> None:
    """Add a number in a transaction that is left open."""
    await adb().begin()
    await adb().execute("INSERT INTO ledger VALUES ($1)", [n])


async def whole(scope: Scope, receive: Receive, send: Send) -> None:
    """Write, and answer with a response of known length."""
    await awrite(1)
    await respond(send, 200, b"done")


async def whole_written_by_a_blocking_session(scope: Scope, receive: Receive, send: Send) -> None:
    """The same, through db() in a thread."""
    await asyncio.to_thread(lambda: db().begin().execute("INSERT INTO ledger VALUES (1)"))
    await respond(send, 200, b"done")


async def streamed(scope: Scope, receive: Receive, send: Send) -> None:
    """Write, and answer with a body that is produced."""
    await awrite(1)
    await produced(bool, bool)(scope, receive, send)


async def in_the_background(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer, and write after the response."""
    await respond(send, 200, b"done")
    await awrite(1)


def hypern_app() -> Hypern:
    """A Hypern application with a handler that is a coroutine."""
    app = Hypern()

    @app.get("/")
    async def handler(req: Request, res: Response, ctx: Context) -> None:
        await adb(ctx).begin()
        await adb(ctx).execute("INSERT INTO ledger VALUES (1)")
        res.text("done")

    return app


async def longest_gap(request: Any) -> float:
    """The longest that the loop stood still while a request was served, in seconds."""
    task = asyncio.ensure_future(request)
    longest, last = 0.0, time.monotonic()
    while not task.done():
        await asyncio.sleep(TICK_SECS)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    await task
    return longest


@pytest.mark.parametrize(
    "app",
    [
        DatabaseMiddleware(whole),
        DatabaseMiddleware(whole_written_by_a_blocking_session),
        DatabaseMiddleware(streamed),
        DatabaseMiddleware(streamed, finalize="end"),
        DatabaseMiddleware(in_the_background),
        hypern_app(),
    ],
    ids=["whole", "blocking session", "streamed", "streamed, end", "background", "Hypern"],
)
def test_the_loop_goes_on_while_a_commit_takes_its_time(app: ASGIApp) -> None:
    began = time.monotonic()
    assert asyncio.run(longest_gap(call(app))) < COMMIT_SECS / 2
    assert time.monotonic() - began >= COMMIT_SECS
    assert committed() == [1]


def test_a_task_that_is_cancelled_in_its_commit_leaves_that_to_the_background() -> None:
    answer = Answer()

    async def run() -> None:
        task = asyncio.create_task(call(DatabaseMiddleware(whole), answer=answer))
        await asyncio.sleep(COMMIT_SECS / 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while Database.status().in_use:
            await asyncio.sleep(TICK_SECS)

    asyncio.run(run())
    assert answer.messages == []
    assert committed() in ([], [1])  # whole or not at all; its connection has been given back


def test_a_client_that_goes_while_a_statement_is_awaited_rolls_back() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await awrite(1)
        await adb().execute("SELECT pg_sleep(30)")

    async def run() -> None:
        task = asyncio.create_task(call(DatabaseMiddleware(app)))
        await asyncio.sleep(0.2)
        task.cancel()  # as servers do
        with pytest.raises(asyncio.CancelledError):
            await task
        while Database.status().in_use:
            await asyncio.sleep(TICK_SECS)

    began = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - began < 10
    assert committed() == []
    wait_until(lambda: Database.status().in_use == 0)
