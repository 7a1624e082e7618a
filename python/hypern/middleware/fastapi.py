"""The ASGI middleware, and a request's session or transaction as a FastAPI dependency.

    from hypern.middleware.fastapi import AsyncTransaction, DatabaseMiddleware, Session
    app.add_middleware(DatabaseMiddleware)

    @app.get("/users")
    def users(session: Session) -> list[User]: ...

    @app.post("/orders")
    async def create_order(session: AsyncTransaction) -> Order: ...

See docs/frameworks/fastapi.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends
from fastapi.requests import HTTPConnection

from hypern._literals import Isolation
from hypern.database import AsyncDbSession, DbSession, adb, db
from hypern.database import AsyncTransaction as AsyncBlock
from hypern.errors import InterfaceError
from hypern.middleware.asgi import DatabaseMiddleware
from hypern.scope.asked import RequestOptions
from hypern.scope.identify import identify
from hypern.web.request import RequestScope

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hypern.scope.asked import Asked

__all__ = [
    "AsyncSession",
    "AsyncTransaction",
    "DatabaseMiddleware",
    "Session",
    "Transaction",
    "async_session",
    "async_transaction",
    "session",
    "transaction",
]


def session(
    alias: str = "default", **options: Unpack[Asked]
) -> Callable[[HTTPConnection], Coroutine[Any, Any, DbSession]]:
    """The dependency for an alias: `Annotated[DbSession, Depends(session("analytics"))]`.

    options: those of `scope()`, as DatabaseMiddleware takes them, on top of the middleware's: for
    the request's session on this alias, also where `db()` means it. They are given before anything
    opens that session, or the request fails (InterfaceError). Raises ConfigurationError for options
    that cannot work.
    """
    RequestOptions(options)  # raises now what cannot work in any request

    # A coroutine, so that FastAPI calls it on the event loop: opening a session never blocks, and a
    # thread would cost more than the query. With `db` itself as the dependency, FastAPI would take
    # its arguments from the client.
    async def depend(request: HTTPConnection) -> DbSession:
        if options:
            _narrow(request, alias, options)
        return db(request, alias)

    return depend


def async_session(
    alias: str = "default", **options: Unpack[Asked]
) -> Callable[[HTTPConnection], Coroutine[Any, Any, AsyncDbSession]]:
    """As `session`, for handlers that are coroutines."""
    RequestOptions(options)

    async def depend(request: HTTPConnection) -> AsyncDbSession:
        if options:
            _narrow(request, alias, options)
        return adb(request, alias)

    return depend


def _narrow(request: HTTPConnection, alias: str, options: Asked) -> None:
    _, owner = identify(request)
    if not isinstance(owner, RequestScope):
        raise InterfaceError("session() with options needs DatabaseMiddleware around the request")
    owner.narrow(alias, options, request.scope)


def transaction(
    alias: str = "default",
    isolation: Isolation | None = None,
    read_only: bool | None = None,
    deferrable: bool | None = None,
) -> Callable[[HTTPConnection], AsyncIterator[DbSession]]:
    """The dependency for an alias whose session is inside a `transaction()` block while the request
    is handled. It is committed before the response's first byte is sent, so that a failed commit is
    a 500, and rolled back if the handler raises or the response's status is in rollback_on.

    The other arguments are those of `DbSession.begin`.
    """

    # The connection and COMMIT are awaited, though the handler's own statements block.
    async def depend(request: HTTPConnection) -> AsyncIterator[DbSession]:
        async with _left_by_the_request(
            adb(request, alias).transaction(isolation, read_only, deferrable)
        ):
            yield db(request, alias)

    return depend


def async_transaction(
    alias: str = "default",
    isolation: Isolation | None = None,
    read_only: bool | None = None,
    deferrable: bool | None = None,
) -> Callable[[HTTPConnection], AsyncIterator[AsyncDbSession]]:
    """As `transaction`, for handlers that are coroutines."""

    async def depend(request: HTTPConnection) -> AsyncIterator[AsyncDbSession]:
        async with _left_by_the_request(
            adb(request, alias).transaction(isolation, read_only, deferrable)
        ) as session:
            yield session

    return depend


@asynccontextmanager
async def _left_by_the_request(block: AsyncBlock) -> AsyncIterator[AsyncDbSession]:
    """A block that an exception rolls back, and that otherwise the end of the request leaves, which
    knows what the response's status means: FastAPI may resume a dependency before that.
    """
    session = await block.__aenter__()
    try:
        yield session
    except BaseException as error:
        await block.__aexit__(type(error), error, error.__traceback__)
        raise


Session = Annotated[DbSession, Depends(session())]
AsyncSession = Annotated[AsyncDbSession, Depends(async_session())]
Transaction = Annotated[DbSession, Depends(transaction())]
AsyncTransaction = Annotated[AsyncDbSession, Depends(async_transaction())]
