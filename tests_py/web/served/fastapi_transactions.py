"""Transactions of FastAPI's dependencies, to be served by a real server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import JSONResponse

from hypern.database import AsyncDbSession, Database, DbSession
from hypern.middleware.fastapi import (
    AsyncSession,
    AsyncTransaction,
    DatabaseMiddleware,
    Session,
    Transaction,
)

Database.configure(os.environ["DATABASE_URL"], max_size=4)
app = FastAPI()
app.add_middleware(DatabaseMiddleware)

INSERT = "INSERT INTO ledger VALUES ($1)"


def usual(session: Session) -> Iterator[DbSession]:
    """The usual dependency."""
    with session.transaction():
        yield session


async def usual_awaited(session: AsyncSession) -> AsyncIterator[AsyncDbSession]:
    """The same, awaited."""
    async with session.transaction():
        yield session


def _end(how: str) -> JSONResponse:
    if how == "raise":
        raise LookupError("undone")
    if how == "refuse":
        raise HTTPException(409)
    return JSONResponse({}, 409 if how == "return 409" else 200)


def _work(session: DbSession, n: int, how: str) -> JSONResponse:
    session.execute(INSERT, [n])
    session.execute(INSERT, [n if how == "break the commit" else -n])
    return _end(how)


async def _awork(session: AsyncDbSession, n: int, how: str) -> JSONResponse:
    await session.execute(INSERT, [n])
    await session.execute(INSERT, [n if how == "break the commit" else -n])
    return _end(how)


@app.get("/ready/{n}/{how}")
def ready(n: int, how: str, session: Transaction) -> JSONResponse:
    """By the ready dependency."""
    return _work(session, n, how)


@app.get("/ready awaited/{n}/{how}")
async def ready_awaited(n: int, how: str, session: AsyncTransaction) -> JSONResponse:
    """By the ready dependency, awaited."""
    return await _awork(session, n, how)


@app.get("/usual/{n}/{how}")
def by_usual(n: int, how: str, session: Annotated[DbSession, Depends(usual)]) -> JSONResponse:
    """By the usual dependency."""
    return _work(session, n, how)


@app.get("/usual awaited/{n}/{how}")
async def by_usual_awaited(
    n: int, how: str, session: Annotated[AsyncDbSession, Depends(usual_awaited)]
) -> JSONResponse:
    """By the usual dependency, awaited."""
    return await _awork(session, n, how)
