"""The ASGI middleware, and a request's session as a FastAPI dependency.

    from hypern.middleware.fastapi import DatabaseMiddleware, Session
    app.add_middleware(DatabaseMiddleware)

    @app.get("/users")
    def users(session: Session) -> list[User]: ...

See docs/frameworks/fastapi.md.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends
from fastapi.requests import HTTPConnection

from hypern.database import DbSession, db
from hypern.middleware.asgi import DatabaseMiddleware

__all__ = ["DatabaseMiddleware", "Session", "session"]


def session(alias: str = "default") -> Callable[[HTTPConnection], Coroutine[Any, Any, DbSession]]:
    """The dependency for an alias: `Annotated[DbSession, Depends(session("analytics"))]`."""

    # A coroutine, so that FastAPI calls it on the loop: opening a session waits for nothing, and a
    # thread would cost more than the query. `db` itself would take its arguments from the client.
    async def depend(request: HTTPConnection) -> DbSession:
        return db(request, alias)

    return depend


Session = Annotated[DbSession, Depends(session())]
