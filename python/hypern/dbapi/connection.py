"""`Connection`: a connection of a pool, blocking."""

from __future__ import annotations

import contextlib
import sys
import warnings
from typing import TYPE_CHECKING, Any

from hypern._pep249 import Error
from hypern.dbapi.base import LOST, BaseConnection
from hypern.dbapi.cursor import Cursor
from hypern.dbapi.info import ConnectionInfo
from hypern.dbapi.server_cursor import ServerCursor
from hypern.session.steps import blocking, now

if TYPE_CHECKING:
    from typing_extensions import Self

    from hypern.dbapi.cursor import Params
    from hypern.dbapi.xid import Xid
    from hypern.session.steps import Steps, View


class Connection(BaseConnection):
    """Made by `connect()`. `close()` gives the connection back to its pool, reset.

    As a context manager it commits at the end of the block, or rolls back if that raised, and
    closes itself. Threads may share it: their statements run one after the other, in one
    transaction.
    """

    # What runs the steps, on which kind of session.
    _drive = staticmethod(now)
    _view: View = staticmethod(blocking)
    _cursor = Cursor
    _server_cursor = ServerCursor

    @property
    def info(self) -> ConnectionInfo:
        """Where the connection leads, and what its server reports."""
        return ConnectionInfo(self, self._run)

    def cursor(
        self, name: str | None = None, *, scrollable: bool | None = None, withhold: bool = False
    ) -> Cursor:
        """A cursor; with a name one of the server's, whose rows are received as they are fetched.

        scrollable: SCROLL, or NO SCROLL if False. withhold: it outlives its transaction.
        """
        self._usable()
        if name is None:
            return self._cursor(self)
        return self._server_cursor(self, name, scrollable=scrollable, withhold=withhold)

    def execute(
        self, query: str, params: Params | None = None, *, timeout: float | None = None
    ) -> Cursor:
        """Run a statement on a new cursor, which is returned."""
        return self.cursor().execute(query, params, timeout=timeout)

    def ping(self) -> None:
        """Ask the server for an answer, which opens no transaction. Raises if there is none."""
        self._run(self._pinging())

    def commit(self) -> None:
        """Commit the open transaction; without one nothing happens.

        Raises TransactionAborted if an error had aborted it: then it has been rolled back.
        """
        self._run(self._committing())

    def rollback(self) -> None:
        """Roll the open transaction back; without one nothing happens."""
        self._run(self._rolling_back())

    def close(self) -> None:
        """Roll back what is open, and give the connection back. A second call does nothing."""
        self._drive(self._ending(self._view))

    def tpc_begin(self, xid: Xid | str) -> None:
        """Begin a two-phase transaction."""
        self._run(self._tpc_beginning(xid))

    def tpc_prepare(self) -> None:
        """The first phase: the server keeps the transaction until it is committed or not."""
        self._run(self._tpc_preparing())

    def tpc_commit(self, xid: Xid | str | None = None) -> None:
        """Commit this connection's two-phase transaction, or a prepared one by its id."""
        self._run(self._tpc_ending(True, xid))

    def tpc_rollback(self, xid: Xid | str | None = None) -> None:
        """Roll back this connection's two-phase transaction, or a prepared one by its id."""
        self._run(self._tpc_ending(False, xid))

    def tpc_recover(self) -> list[Xid]:
        """The prepared transactions of this database."""
        found: list[Xid] = self._run(self._tpc_recovering())
        return found

    def _run(self, steps: Steps[Any]) -> Any:
        try:
            return self._drive(steps)
        except LOST:
            self._is_lost = True
            raise

    def __enter__(self) -> Self:
        self._usable()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None and not self.closed:
                self.commit()
        finally:
            self.close()

    def __del__(self) -> None:
        if getattr(self, "_is_closed", True) or sys.is_finalizing():
            return  # at the exit, the session is reported
        warnings.warn(
            f"{type(self).__name__} was not closed; use `with` or close()", ResourceWarning, 2
        )
        with contextlib.suppress(Error):
            self.close()

    def __repr__(self) -> str:
        word = "closed" if self._is_closed else "lost" if self._is_lost else "open"
        return (
            f'<{type(self).__module__}.{type(self).__name__} of pool "{self._pool.alias}", {word}>'
        )
