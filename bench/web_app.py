"""The specification's `/users/:id` handler on FastAPI, once per way to reach the database.

Run by uvicorn as `bench.web_app:NAME` with `--factory`; BENCH_URL says where the database is. As
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
POOL_SIZE = 16
USER = "SELECT id, name, email, active FROM items WHERE id = {}"
LOG = "INSERT INTO access_logs (user_id, action) VALUES ({}, {})"


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


def sqlalchemy_def() -> Any:
    """SQLAlchemy Core on psycopg 3."""
    from sqlalchemy import create_engine, text

    engine = create_engine(
        URL.replace("postgresql://", "postgresql+psycopg://"), pool_size=POOL_SIZE
    )
    read = text(USER.format(":id"))
    log = text(LOG.format(":id", ":action"))
    app = _app()

    @app.get("/users/{number}")
    def user(number: int) -> dict[str, Any]:
        with engine.begin() as connection:
            row = dict(connection.execute(read, {"id": number}).mappings().one())
            connection.execute(log, {"id": number, "action": "view_user"})
        return row

    return app


def psycopg_def() -> Any:
    """psycopg_pool alone."""
    from psycopg.rows import dict_row
    from psycopg_pool import ConnectionPool

    pool = ConnectionPool(
        URL, min_size=POOL_SIZE, max_size=POOL_SIZE, kwargs={"row_factory": dict_row}, open=True
    )
    read, log = USER.format("%s"), LOG.format("%s", "%s")
    app = _app()

    @app.get("/users/{number}")
    def user(number: int) -> dict[str, Any]:
        with pool.connection() as connection:
            row = connection.execute(read, [number]).fetchone()
            connection.execute(log, [number, "view_user"])
        return dict(row or {})

    return app


def asyncpg_async() -> Any:
    """asyncpg's pool."""
    import asyncpg

    pool: Any = None

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        nonlocal pool
        pool = await asyncpg.create_pool(URL, min_size=POOL_SIZE, max_size=POOL_SIZE)
        yield
        await pool.close()

    read, log = USER.format("$1"), LOG.format("$1", "$2")
    app = _app(lifespan)

    @app.get("/users/{number}")
    async def user(number: int) -> dict[str, Any]:
        async with pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(read, number)
            await connection.execute(log, number, "view_user")
        return dict(row)

    return app


def hypern_def() -> Any:
    """hypern, blocking."""
    from hypern.database import Database
    from hypern.middleware.fastapi import DatabaseMiddleware, Session

    Database.configure(URL, max_size=POOL_SIZE)
    read, log = USER.format("$1"), LOG.format("$1", "$2")
    app = _app()
    app.add_middleware(DatabaseMiddleware)

    def user(number: int, session: Any) -> dict[str, Any]:
        session.begin()
        row: dict[str, Any] = session.query_one(read, [number])
        session.execute(log, [number, "view_user"])
        return row

    user.__annotations__["session"] = Session  # annotations of this file are text
    app.get("/users/{number}")(user)
    return app


def hypern_async() -> Any:
    """hypern, awaited."""
    from hypern.database import Database
    from hypern.middleware.fastapi import AsyncSession, DatabaseMiddleware

    Database.configure(URL, max_size=POOL_SIZE)
    read, log = USER.format("$1"), LOG.format("$1", "$2")
    app = _app()
    app.add_middleware(DatabaseMiddleware)

    async def user(number: int, session: Any) -> dict[str, Any]:
        await session.begin()
        row: dict[str, Any] = await session.query_one(read, [number])
        await session.execute(log, [number, "view_user"])
        return row

    user.__annotations__["session"] = AsyncSession
    app.get("/users/{number}")(user)
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
