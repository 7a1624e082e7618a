"""Applications of each framework whose handlers are in a query for as long as a test likes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import flask
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from web.ledger import write

from hypern import Hypern
from hypern.app import Context, Request, Response
from hypern.database import DbSession, adb, db
from hypern.middleware.asgi import ASGIApp
from hypern.middleware.fastapi import DatabaseMiddleware
from hypern.middleware.flask import init_app

WAIT_FOR_THE_TEST = "SELECT pg_advisory_xact_lock(1)"

# What became of the handlers' queries: "done", or the exception's name.
outcomes: list[str] = []


def work(session: DbSession | None = None) -> None:
    """What a handler does: it writes, is in a query for as long as the test likes, and writes."""
    session = write(1, session)
    try:
        session.query(WAIT_FOR_THE_TEST)
        write(2, session)
    except BaseException as error:
        outcomes.append(type(error).__name__)
        raise
    outcomes.append("done")


async def awork() -> None:
    """The same, awaited."""
    session = adb()
    await session.begin()
    await session.execute("INSERT INTO ledger VALUES (1)")
    try:
        await session.query(WAIT_FOR_THE_TEST)
        await session.execute("INSERT INTO ledger VALUES (2)")
    except BaseException as error:
        outcomes.append(type(error).__name__)
        raise
    outcomes.append("done")


def fastapi_app() -> ASGIApp:
    app = FastAPI()
    app.add_middleware(DatabaseMiddleware)

    @app.get("/plain")
    def plain() -> None:
        work()

    @app.get("/awaited")
    async def awaited() -> None:
        await awork()

    @app.get("/plain/stream")
    def plain_stream() -> StreamingResponse:
        db().execute("INSERT INTO ledger VALUES (3)")

        def body() -> Iterator[str]:
            yield "one"
            work()
            yield "two"

        return StreamingResponse(body())

    @app.get("/awaited/stream")
    async def awaited_stream() -> StreamingResponse:
        await adb().execute("INSERT INTO ledger VALUES (3)")

        async def body() -> AsyncIterator[str]:
            yield "one"
            await awork()
            yield "two"

        return StreamingResponse(body())

    return app


def hypern_app() -> ASGIApp:
    app = Hypern()

    @app.get("/plain")
    def plain(req: Request, res: Response, ctx: Context) -> None:
        work(db(ctx))

    @app.get("/awaited")
    async def awaited(req: Request, res: Response, ctx: Context) -> None:
        await awork()

    return app


def flask_app() -> flask.Flask:
    app = flask.Flask(__name__)
    init_app(app)

    @app.get("/plain")
    def plain() -> str:
        work()
        return "done"

    @app.get("/plain/stream")
    def stream() -> flask.Response:
        db().execute("INSERT INTO ledger VALUES (3)")

        def body() -> Iterator[str]:
            yield "one"
            work()
            while True:  # until the server notices
                yield "more"
                time.sleep(0.01)

        return flask.Response(flask.stream_with_context(body()))

    return app


def django_app() -> ASGIApp:
    application: Any = get_asgi_application()
    served: ASGIApp = application
    return served


def django_plain(request: HttpRequest) -> HttpResponse:
    work()
    return HttpResponse()


async def django_awaited(request: HttpRequest) -> HttpResponse:
    await awork()
    return HttpResponse()
