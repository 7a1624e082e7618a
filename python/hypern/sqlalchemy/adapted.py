"""An awaited connection with the methods of a blocking one, as SQLAlchemy wants it inside the
greenlets of its async engines.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.util import concurrency

from hypern import dbapi
from hypern._pep249 import Error
from hypern.dbapi import aio
from hypern.session.steps import awaited, blocking, later, now

# SQLAlchemy 2.0 has it by its former name.
await_: Any = getattr(concurrency, "await_", None) or concurrency.await_only

if TYPE_CHECKING:
    from hypern.session.steps import Steps


def _drive(steps: Steps[Any]) -> Any:
    return await_(later(steps))


class _Green:
    """What an engine asks of a cursor whose rows are held: there is nothing to await."""

    async def _async_soft_close(self) -> None:
        pass


class GreenCursor(_Green, dbapi.Cursor):
    """A cursor whose rows have been received."""


class GreenServerCursor(_Green, dbapi.ServerCursor):
    """A cursor of the server's, which the engine closes in its greenlet."""


class GreenConnection(dbapi.Connection, AdaptedConnection):
    """A connection on an awaited session; each call awaits in the engine's greenlet."""

    _drive = staticmethod(_drive)
    _view = staticmethod(awaited)
    _cursor = GreenCursor
    _server_cursor = GreenServerCursor

    @property
    def _connection(self) -> Any:  # type: ignore[override]
        """The same connection for `run_async` and `driver_connection`."""
        shared = object.__new__(_Shared)
        shared.__dict__ = self.__dict__
        return shared

    @property
    def driver_connection(self) -> Any:
        return self._connection

    def terminate(self) -> None:
        """Give the connection back outside any greenlet: a rollback, which is not waited for."""
        now(self._ending(blocking))

    def __del__(self) -> None:
        """For one that its pool has forgotten: an engine that nobody has disposed of."""
        if getattr(self, "_is_closed", True) or sys.is_finalizing():
            return
        warnings.warn(f"{self!r} was not closed; await engine.dispose()", ResourceWarning, 2)
        with contextlib.suppress(Error):
            self.terminate()


class _Shared(aio.AsyncConnection):
    """A GreenConnection's state, which is not its own to close when it is forgotten."""

    def __del__(self) -> None:
        pass


def green(connection: aio.AsyncConnection, paramstyle: str) -> GreenConnection:
    """The same connection for an engine, which owns it from now on."""
    adapted = object.__new__(GreenConnection)
    adapted.__dict__ = dict(connection.__dict__)
    adapted.__dict__["_paramstyle"] = paramstyle
    connection.__dict__["_is_closed"] = True
    return adapted
