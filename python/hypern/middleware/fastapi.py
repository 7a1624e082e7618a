"""The ASGI middleware, and a request's session as a FastAPI dependency.

    from hypern.middleware.fastapi import AsyncSession, DatabaseMiddleware, Session
    app.add_middleware(DatabaseMiddleware)

    @app.get("/users")
    def users(session: Session) -> list[User]: ...

    @app.get("/orders")
    async def orders(session: AsyncSession) -> list[Order]: ...

See docs/frameworks/fastapi.md.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends
from fastapi.requests import HTTPConnection

from hypern.database import AsyncDbSession, DbSession, adb, db
from hypern.middleware.asgi import DatabaseMiddleware

__all__ = ["AsyncSession", "DatabaseMiddleware", "Session", "async_session", "session"]


def session(alias: str = "default") -> Callable[[HTTPConnection], Coroutine[Any, Any, DbSession]]:
    """The dependency for an alias: `Annotated[DbSession, Depends(session("analytics"))]`."""

    # A coroutine, so that FastAPI calls it on the event loop: opening a session never blocks, and a
    # thread would cost more than the query. With `db` itself as the dependency, FastAPI would take
    # its arguments from the client.
    async def depend(request: HTTPConnection) -> DbSession:
        return db(request, alias)

    return depend


def async_session(
    alias: str = "default",
) -> Callable[[HTTPConnection], Coroutine[Any, Any, AsyncDbSession]]:
    """As `session`, for handlers that are coroutines."""

    async def depend(request: HTTPConnection) -> AsyncDbSession:
        return adb(request, alias)

    return depend


Session = Annotated[DbSession, Depends(session())]
AsyncSession = Annotated[AsyncDbSession, Depends(async_session())]
