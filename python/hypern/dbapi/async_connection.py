"""`AsyncConnection`: a connection of a pool, awaited."""

from __future__ import annotations

import contextlib
import sys
import warnings
from typing import TYPE_CHECKING

from hypern._pep249 import Error
from hypern.dbapi.async_cursor import AsyncCursor, AsyncServerCursor
from hypern.dbapi.base import BaseConnection
from hypern.dbapi.info import AsyncConnectionInfo
from hypern.session.steps import awaited, blocking, later, now

if TYPE_CHECKING:
    from typing_extensions import Self

    from hypern.dbapi.cursor import Params
    from hypern.dbapi.xid import Xid


class AsyncConnection(BaseConnection):
    """Made by `connect()`; `Connection`'s names, awaited. Tasks may share it."""

    @property
    def info(self) -> AsyncConnectionInfo:
        """Where the connection leads, and what its server reports."""
        return AsyncConnectionInfo(self)

    def cursor(
        self, name: str | None = None, *, scrollable: bool | None = None, withhold: bool = False
    ) -> AsyncCursor:
        """A cursor, as `Connection.cursor`. It is not awaited."""
        self._usable()
        if name is None:
            return AsyncCursor(self)
        return AsyncServerCursor(self, name, scrollable=scrollable, withhold=withhold)

    async def execute(
        self, query: str, params: Params | None = None, *, timeout: float | None = None
    ) -> AsyncCursor:
        """Run a statement on a new cursor, which is returned."""
        return await self.cursor().execute(query, params, timeout=timeout)

    async def ping(self) -> None:
        """Ask the server for an answer, which opens no transaction. Raises if there is none."""
        await later(self._noting(self._pinging()))

    async def commit(self) -> None:
        """Commit the open transaction, as `Connection.commit`."""
        await later(self._noting(self._committing()))

    async def rollback(self) -> None:
        """Roll the open transaction back; without one nothing happens."""
        await later(self._noting(self._rolling_back()))

    async def close(self) -> None:
        """Roll back what is open, and give the connection back. A second call does nothing."""
        await later(self._ending(awaited))

    async def tpc_begin(self, xid: Xid | str) -> None:
        """Begin a two-phase transaction."""
        await later(self._noting(self._tpc_beginning(xid)))

    async def tpc_prepare(self) -> None:
        """The first phase: the server keeps the transaction until it is committed or not."""
        await later(self._noting(self._tpc_preparing()))

    async def tpc_commit(self, xid: Xid | str | None = None) -> None:
        """Commit this connection's two-phase transaction, or a prepared one by its id."""
        await later(self._noting(self._tpc_ending(True, xid)))

    async def tpc_rollback(self, xid: Xid | str | None = None) -> None:
        """Roll back this connection's two-phase transaction, or a prepared one by its id."""
        await later(self._noting(self._tpc_ending(False, xid)))

    async def tpc_recover(self) -> list[Xid]:
        """The prepared transactions of this database."""
        found: list[Xid] = await later(self._noting(self._tpc_recovering()))
        return found

    async def __aenter__(self) -> Self:
        self._usable()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None and not self.closed:
                await self.commit()
        finally:
            await self.close()

    def __del__(self) -> None:
        if getattr(self, "_is_closed", True) or sys.is_finalizing():
            return  # at the exit, the session is reported
        warnings.warn(f"{self!r} was not closed; use `async with` or close()", ResourceWarning, 2)
        with contextlib.suppress(Error):
            now(self._ending(blocking))  # a rollback, whose answer is not waited for
