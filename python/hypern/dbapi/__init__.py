"""PEP 249 (DB-API 2.0) over hypern's pools; `hypern.dbapi.aio` is the same, awaited.

with hypern.dbapi.connect("postgresql://app@db.example/app") as connection:
    rows = connection.execute("SELECT * FROM users WHERE id = %s", [7]).fetchall()
"""

from __future__ import annotations

from typing import Any, Final

from hypern._pep249 import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from hypern.dbapi.connection import Connection
from hypern.dbapi.cursor import Cursor
from hypern.dbapi.opening import opened
from hypern.dbapi.quoting import quote_identifier, quote_literal
from hypern.dbapi.server_cursor import ServerCursor
from hypern.dbapi.types import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    Binary,
    Column,
    Date,
    DateFromTicks,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
    Warning,
)
from hypern.dbapi.xid import Xid
from hypern.session.steps import now

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "Column",
    "Connection",
    "Cursor",
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
    "ServerCursor",
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

apilevel: Final = "2.0"
threadsafety: Final = 2  # threads may share the module and connections
paramstyle: Final = "pyformat"


def connect(
    url: str | None = None,
    *,
    alias: str | None = None,
    autocommit: bool = False,
    paramstyle: str = "pyformat",
    **settings: Any,
) -> Connection:
    """A connection of a pool, which it goes back to when it is closed.

    url: str, as `Database.configure` takes it; connections with equal settings share a pool. alias:
    str, a database that `Database.configure` has configured; without a url it is "default".
    autocommit: each statement commits by itself; otherwise BEGIN goes with the first one, and
    `commit()` or `rollback()` ends the transaction. paramstyle: "pyformat" is `%s` and `%(name)s`,
    "numeric_dollar" is `$1`. settings: with a url, the keywords of `Database.configure`, such as
    max_size. Raises ConfigurationError for settings that cannot work, the server's error or
    ConnectionLost if it cannot connect, PoolTimeout if all connections are in use.
    """
    connection = opened(Connection, url, alias, autocommit, paramstyle, settings)
    try:
        now(connection._connecting())
    except BaseException:
        connection.close()
        raise
    return connection


for _cls in (Column, Connection, Cursor, ServerCursor, Xid):
    _cls.__module__ = __name__  # where users import them
