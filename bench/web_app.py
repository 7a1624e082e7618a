"""The specification's `/users/:id` handler on FastAPI, once per way to reach the database.

Run by uvicorn as `bench.web_app:NAME` with `--factory`; BENCH_URL says where the database is,
BENCH_HANDLER whether the handler logs ("whole") or only reads ("query"). As
`python -m bench.web_app` it prints what the middleware alone costs a request, in microseconds.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

URL = os.environ.get("BENCH_URL", "")
LOGS = os.environ.get("BENCH_HANDLER") == "whole"  # else it only reads the user
POOL_SIZE = 16
USER = "SELECT * FROM users WHERE id = {}"
LOG = "INSERT INTO access_logs (user_id, action, timestamp) VALUES ({}, {}, {})"


def _app(lifespan: Any = None) -> FastAPI:
    from fastapi import FastAPI

    return FastAPI(lifespan=lifespan)


def bare_def() -> Any:
    """No database."""
    app = _app()

    @app.get("/users/{number}")
    def user(number: int) -> dict[str, Any]:
        return {"id": number, "name": "Ann", "email": "ann@example.com", "active": True}

    return app


def bare_async() -> Any:
    """No database."""
    app = _app()

    @app.get("/users/{number}")
    async def user(number: int) -> dict[str, Any]:
        return {"id": number, "name": "Ann", "email": "ann@example.com", "active": True}

    return app


def floor_def() -> Any:
    """A full reset and the query, as bytes made beforehand; nothing is made of the answer.

    No driver can be faster: what is left is FastAPI, its threads, and the server's work.
    """
    from bench.wire import await_ready, connection, conversation

    ask = conversation()
    idle: list[Any] = []
    app = _app()

    @app.get("/users/{number}")
    def user(number: int) -> dict[str, Any]:
        held = idle.pop() if idle else connection(URL, USER.format(7))
        held.sendall(ask)
        await_ready(held)
        idle.append(held)
        return {"id": number, "name": "Ann", "email": "ann@example.com", "active": True}

    return app


def sqlalchemy_def() -> Any:
    """SQLAlchemy Core on psycopg 3."""
    from sqlalchemy import create_engine, text

    url = URL.replace("postgresql://", "postgresql+psycopg://")
    users, logs = (create_engine(url, pool_size=POOL_SIZE) for _ in range(2))
    read = text(USER.format(":id"))
    log = text(LOG.format(":id", ":action", ":timestamp"))
    app = _app()

    @app.get("/users/{number}")
    def user(number: int) -> dict[str, Any]:
        with users.connect() as connection:
            row = dict(connection.execute(read, {"id": number}).mappings().one())
        if LOGS:
            with logs.begin() as connection:
                values = {"id": number, "action": "view_user", "timestamp": "NOW()"}
                connection.execute(log, values)
        return row

    return app


def psycopg_def() -> Any:
    """psycopg_pool alone."""
    from psycopg.rows import dict_row
    from psycopg_pool import ConnectionPool

    def pool() -> Any:
        options = {"row_factory": dict_row}
        return ConnectionPool(
            URL, min_size=POOL_SIZE, max_size=POOL_SIZE, kwargs=options, open=True
        )

    users, logs = pool(), pool()
    read, log = USER.format("%s"), LOG.format("%s", "%s", "%s")
    app = _app()

    @app.get("/users/{number}")
    def user(number: int) -> dict[str, Any]:
        with users.connection() as connection:
            row = connection.execute(read, [number]).fetchone()
        if LOGS:
            with logs.connection() as connection:
                connection.execute(log, [number, "view_user", "NOW()"])
        return dict(row or {})

    return app


def asyncpg_async() -> Any:
    """asyncpg's pool."""
    import asyncpg

    users: Any = None
    logs: Any = None

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        nonlocal users, logs
        users = await asyncpg.create_pool(URL, min_size=POOL_SIZE, max_size=POOL_SIZE)
        logs = await asyncpg.create_pool(URL, min_size=POOL_SIZE, max_size=POOL_SIZE)
        yield
        await users.close()
        await logs.close()

    read = USER.format("$1")
    log = LOG.format("$1", "$2", "NOW()")  # it takes no text for a timestamp
    app = _app(lifespan)

    @app.get("/users/{number}")
    async def user(number: int) -> dict[str, Any]:
        row = await users.fetchrow(read, number)
        if LOGS:
            await logs.execute(log, number, "view_user")
        return dict(row)

    return app


def hypern_def() -> Any:
    """hypern, blocking."""
    from hypern.database import Database, db
    from hypern.middleware.asgi import DatabaseMiddleware

    Database.configure(URL, max_size=POOL_SIZE)
    Database.configure(URL, max_size=POOL_SIZE, alias="logging")
    read, log = USER.format("$1"), LOG.format("$1", "$2", "$3")
    app = _app()
    app.add_middleware(DatabaseMiddleware)

    @app.get("/users/{number}")
    def user(number: int) -> dict[str, Any]:
        row: dict[str, Any] = db().query_one(read, [number])
        if LOGS:
            db(alias="logging").execute(log, [number, "view_user", "NOW()"])
        return row

    return app


def hypern_async() -> Any:
    """hypern, awaited."""
    from hypern.database import Database, adb
    from hypern.middleware.asgi import DatabaseMiddleware

    Database.configure(URL, max_size=POOL_SIZE)
    Database.configure(URL, max_size=POOL_SIZE, alias="logging")
    read, log = USER.format("$1"), LOG.format("$1", "$2", "$3")
    app = _app()
    app.add_middleware(DatabaseMiddleware)

    @app.get("/users/{number}")
    async def user(number: int) -> dict[str, Any]:
        row: dict[str, Any] = await adb().query_one(read, [number])
        if LOGS:
            await adb(alias="logging").execute(log, [number, "view_user", "NOW()"])
        return row

    return app


async def _serve(app: Callable[..., Any], requests: int) -> float:
    """Seconds for a request of an application that answers at once."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        """Nobody listens."""

    headers = [(b"host", b"localhost"), (b"accept", b"*/*")]
    began = time.perf_counter()
    for _ in range(requests):
        await app({"type": "http", "path": "/", "headers": headers}, receive, send)
    return (time.perf_counter() - began) / requests


def main() -> None:
    """The least of several rounds, with the middleware and without it."""
    from hypern.middleware.asgi import DatabaseMiddleware

    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    covered = DatabaseMiddleware(answer)
    rounds = [
        (asyncio.run(_serve(answer, 2_000)), asyncio.run(_serve(covered, 2_000))) for _ in range(15)
    ]
    bare, whole = (min(figures) for figures in zip(*rounds, strict=True))
    print(f"{(whole - bare) * 1e6:.1f}")


if __name__ == "__main__":
    main()
