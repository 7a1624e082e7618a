"""What type checkers know of results: `make lint` has mypy and pyright check this, nothing runs it.

An `assert_type` that is wrong is an error of either. `Any` passes for any type but in assert_type.
"""

from __future__ import annotations

import asyncio
from typing import Any

from typing_extensions import assert_type

from hypern.database import (
    AsyncDbSession,
    AsyncTransaction,
    Database,
    DbSession,
    Holder,
    PoolStatus,
    Scope,
    State,
    Transaction,
    adb,
    db,
    scope,
)

Row = dict[str, Any]


def blocking(session: DbSession) -> None:
    assert_type(db("r1"), DbSession)
    assert_type(db(), DbSession)
    assert_type(session.request_id, str)
    assert_type(session.state, State)
    assert_type(session.is_in_transaction, bool)
    assert_type(session.query("SELECT $1", [1], timeout=1.5), list[Row])
    assert_type(session.query_one("SELECT 1"), Row)
    assert_type(session.query_one_or_none("SELECT 1"), Row | None)
    assert_type(session.query_value("SELECT 1"), Any)
    assert_type(session.execute("SELECT 1"), int)
    assert_type(session.execute_many("SELECT $1", [[1], (2,)]), int)
    assert_type(session.begin(isolation="serializable"), DbSession)
    session.begin("seriasizable")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert_type(session.commit(), DbSession)
    assert_type(session.rollback(), DbSession)
    assert_type(session.set_auto_commit(False), DbSession)
    assert_type(session.set_error(), DbSession)
    assert_type(session.on_commit(print), DbSession)
    assert_type(session.run(lambda inner: inner.execute("SELECT 1")), int)
    assert_type(session.transaction(), Transaction)
    with session.transaction() as inner:
        assert_type(inner, DbSession)
    for row in session.stream("SELECT 1", chunk_rows=10):
        assert_type(row, Row)
    with session.stream("SELECT 1") as rows:
        assert_type(next(rows), Row)
    with scope("r2") as opened:
        assert_type(opened, Scope)
    assert_type(Database.status(), PoolStatus)
    assert_type(Database.status().holders, tuple[Holder, ...])


async def awaited(session: AsyncDbSession) -> None:
    assert_type(adb("r1"), AsyncDbSession)
    assert_type(adb(), AsyncDbSession)
    assert_type(session.request_id, str)
    assert_type(session.state, State)
    assert_type(session.is_in_transaction, bool)
    assert_type(await session.query("SELECT $1", [1], timeout=1.5), list[Row])
    assert_type(await session.query_one("SELECT 1"), Row)
    assert_type(await session.query_one_or_none("SELECT 1"), Row | None)
    assert_type(await session.query_value("SELECT 1"), Any)
    assert_type(await session.execute("SELECT 1"), int)
    assert_type(await session.execute_many("SELECT $1", [[1], (2,)]), int)
    assert_type(await session.begin(isolation="serializable"), AsyncDbSession)
    assert_type(await session.commit(), AsyncDbSession)
    assert_type(await session.rollback(), AsyncDbSession)
    assert_type(session.set_auto_commit(False), AsyncDbSession)
    assert_type(session.set_error(), AsyncDbSession)
    assert_type(session.on_commit(print), AsyncDbSession)
    assert_type(await session.run(count), int)
    assert_type(session.transaction(), AsyncTransaction)
    async with session.transaction() as inner:
        assert_type(inner, AsyncDbSession)
    async for row in session.stream("SELECT 1", chunk_rows=10):
        assert_type(row, Row)
    async with session.stream("SELECT 1") as rows:
        assert_type(await anext(rows), Row)
    async with scope("r2") as opened:
        assert_type(opened, Scope)


async def count(session: AsyncDbSession) -> int:
    return await session.execute("SELECT 1")


async def together(session: AsyncDbSession) -> None:
    """What asyncio's own functions make of an operation."""
    first, second = await asyncio.gather(session.query("SELECT 1"), session.query("SELECT 2"))
    assert_type(first, list[Row])
    assert_type(second, list[Row])
    assert_type(await asyncio.wait_for(session.query_one("SELECT 1"), 1), Row)
    assert_type(await asyncio.create_task(session.execute("SELECT 1")), int)
