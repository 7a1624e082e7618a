"""The Hypern application: when its sessions end, and its lifespan."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from web.asgi_client import call
from web.hypern_client import ask
from web.ledger import committed, write

from hypern import Hypern
from hypern.app import Context, Request, Response
from hypern.database import Database, db
from hypern.errors import UniqueViolation


@pytest.fixture
def app() -> Hypern:
    return Hypern()


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("status", "kept"), [(200, [1]), (404, [1]), (500, [1])])
def test_a_returned_status_is_a_success_whatever_it_is(
    ledger: str, app: Hypern, status: int, kept: list[int], is_async: bool
) -> None:
    def plain(req: Request, res: Response, ctx: Context) -> None:
        assert write(1) is db(ctx) is db(ctx.request_id)
        res.status(status).text("done")

    async def coroutine(req: Request, res: Response, ctx: Context) -> None:
        plain(req, res, ctx)

    app.get("/")(coroutine if is_async else plain)
    assert ask(app).status == status
    assert committed() == kept


def test_an_exception_rolls_back(ledger: str, app: Hypern) -> None:
    @app.get("/")
    def handler(req: Request, res: Response, ctx: Context) -> None:
        write(1)
        res.json({})
        raise LookupError

    assert ask(app).status == 500
    assert committed() == []


def test_a_commit_that_fails_is_a_500(ledger: str, app: Hypern) -> None:
    @app.get("/twice")
    def twice(req: Request, res: Response, ctx: Context) -> None:
        write(1)
        write(1)
        res.json({})

    @app.get("/aborted")
    async def aborted(req: Request, res: Response, ctx: Context) -> None:
        with pytest.raises(UniqueViolation):
            write(1).execute("DO $$ BEGIN RAISE unique_violation; END $$")
        res.json({})

    assert [ask(app, path).status for path in ("/twice", "/aborted")] == [500, 500]
    assert committed() == []


def test_an_error_over_a_statement_that_failed_is_answered_as_the_handler_says(
    ledger: str, app: Hypern
) -> None:
    @app.get("/")
    def handler(req: Request, res: Response, ctx: Context) -> None:
        try:
            write(1).execute("DO $$ BEGIN RAISE unique_violation; END $$")
        except UniqueViolation:
            res.status(409).json({"error": "there is one already"})

    assert ask(app).status == 409
    assert committed() == []


def test_the_lifespan_calls_start_and_shutdown_functions_and_works_twice(
    ledger: str, app: Hypern
) -> None:
    calls: list[str] = []

    @app.on_startup
    async def start() -> None:
        calls.append("start")

    @app.on_startup
    def start_too() -> None:
        calls.append("start too")

    @app.on_shutdown
    async def stop() -> None:
        calls.append("stop")

    @app.get("/")
    def handler(req: Request, res: Response, ctx: Context) -> None:
        write(len(calls))

    async def live() -> None:
        messages = iter(["lifespan.startup", "lifespan.shutdown"])
        sent: list[Any] = []

        async def receive() -> Any:
            kind = next(messages)
            if kind == "lifespan.shutdown":
                assert (await call(app)).status == 200
            return {"type": kind}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app({"type": "lifespan", "state": {}}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert Database.status().size == 0

    asyncio.run(live())
    asyncio.run(live())
    assert calls == ["start", "start too", "stop"] * 2
    assert committed() == [2, 5]
