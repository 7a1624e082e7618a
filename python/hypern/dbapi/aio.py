"""`hypern.dbapi`, awaited: its names, with `connect`, `AsyncConnection` and `AsyncCursor`.

async with await hypern.dbapi.aio.connect("postgresql://app@db.example/app") as connection:
    cursor = await connection.execute("SELECT * FROM users WHERE id = %s", [7])
    rows = await cursor.fetchall()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hypern import dbapi
from hypern.dbapi import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    Binary,
    Column,
    DatabaseError,
    DataError,
    Date,
    DateFromTicks,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
    Warning,
    Xid,
    quote_identifier,
    quote_literal,
)
from hypern.dbapi.async_connection import AsyncConnection
from hypern.dbapi.async_cursor import AsyncCursor, AsyncServerCursor
from hypern.dbapi.opening import opened
from hypern.session.awaited import AsyncDbSession
from hypern.session.steps import later

if TYPE_CHECKING:
    from hypern.dbapi.pools import SharedPool
    from hypern.session.blocking import DbSession

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "AsyncConnection",
    "AsyncCursor",
    "AsyncServerCursor",
    "Binary",
    "Column",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "Xid",
    "apilevel",
    "connect",
    "paramstyle",
    "quote_identifier",
    "quote_literal",
    "threadsafety",
]

apilevel: Final = dbapi.apilevel
threadsafety: Final = dbapi.threadsafety
paramstyle: Final = dbapi.paramstyle


async def connect(
    url: str | None = None,
    *,
    alias: str | None = None,
    autocommit: bool = False,
    paramstyle: str = "pyformat",
    **settings: Any,
) -> AsyncConnection:
    """A connection of a pool; as `hypern.dbapi.connect`, awaited."""
    connection = opened(_make, url, alias, autocommit, paramstyle, settings)
    try:
        await later(connection._connecting())
    except BaseException:
        await connection.close()
        raise
    return connection


def _make(
    session: DbSession, pool: SharedPool, *, autocommit: bool, paramstyle: str
) -> AsyncConnection:
    return AsyncConnection(
        AsyncDbSession(session), pool, autocommit=autocommit, paramstyle=paramstyle
    )


for _cls in (AsyncConnection, AsyncCursor, AsyncServerCursor):
    _cls.__module__ = __name__  # where users import them
