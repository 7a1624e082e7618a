"""`AsyncDbSession`: a session awaited, and its transactions as an `async with` block.

Statements, commit and rollback are the base class's, in C; here is what is made of them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypern import _native
from hypern._retry import arun
from hypern._session import begin_sql, next_savepoint
from hypern._stream import AsyncStream
from hypern.errors import ConnectionLost, InterfaceError, PoolClosed, SessionClosed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType
    from typing import Any, TypeVar

    from typing_extensions import Self

    _T = TypeVar("_T")

_log = logging.getLogger("hypern")


class AsyncDbSession(_native.AsyncSession):
    """A request's session on one database for coroutines: `DbSession`'s names, awaited.

    `adb()` makes it. `db()` with the same id and alias is the same session underneath: one
    connection, one transaction. Tasks that share it are served one after the other, in the order
    in which they came; to run statements side by side, use several requests or scopes.
    """

    __slots__ = ()

    def begin(
        self,
        isolation: str | None = None,
        read_only: bool | None = None,
        deferrable: bool | None = None,
    ) -> _native.Operation[Self]:
        """Open a transaction, taking a connection. Arguments and errors are `DbSession.begin`'s."""
        return self._begin(begin_sql(isolation, read_only, deferrable))

    def transaction(
        self,
        isolation: str | None = None,
        read_only: bool | None = None,
        deferrable: bool | None = None,
    ) -> AsyncTransaction:
        """An `async with` block that commits at its end and rolls back on any exception.

        Inside an open transaction it is a savepoint, and takes no options. Options are those of
        `begin`. The block's variable is the session.
        """
        return AsyncTransaction(self, begin_sql(isolation, read_only, deferrable))

    def stream(
        self,
        sql: str,
        params: Sequence[Any] | None = None,
        *,
        chunk_rows: int = 1000,
        timeout: float | None = None,
    ) -> AsyncStream:
        """The rows of a statement one by one, for `async for`; else as `DbSession.stream`.

        A loop that breaks leaves the closing to the event loop, which comes to it at once, or to
        the session's next statement. An `async with` block around the loop waits for it.
        """
        return AsyncStream(self, sql, params, chunk_rows, timeout)

    async def run(self, fn: Callable[[Self], Awaitable[_T]], retries: int = 3) -> _T:
        """Await fn(session) in a transaction, commit, and return what it returned.

        Repeated as by `DbSession.run`.
        """
        return await arun(self, fn, retries)


class AsyncTransaction:
    """The context manager of `AsyncDbSession.transaction()`; usable again, block after block."""

    __slots__ = ("_begin_sql", "_entered", "_savepoint", "_session")

    def __init__(self, session: AsyncDbSession, begin_sql: str) -> None:
        self._session = session
        self._begin_sql = begin_sql
        self._savepoint: str | None = None
        self._entered = False

    async def __aenter__(self) -> AsyncDbSession:
        if self._entered:
            raise InterfaceError("this transaction() is entered already; call it anew to nest")
        session = self._session
        if not session.is_in_transaction:
            self._savepoint = None
            await session._begin(self._begin_sql)
        elif self._begin_sql != "BEGIN":
            raise InterfaceError("a nested transaction() is a savepoint and takes no options")
        else:
            self._savepoint = next_savepoint()
            await session._savepoint(self._savepoint)
        self._entered = True
        return session

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._entered = False
        session = self._session
        if exc is not None:
            await self._undo()
        elif session.is_in_transaction or session.state == "closed":
            if self._savepoint is None:
                await session.commit()
            else:
                await session._release(self._savepoint)
        # Otherwise the block has committed or rolled back by itself.

    async def _undo(self) -> None:
        """Roll back; a failure is logged, since the exception in flight must stay the one seen."""
        session = self._session
        if not session.is_in_transaction:
            return
        try:
            if self._savepoint is None:
                await session.rollback()
            else:
                await session._rollback_to(self._savepoint)
        except (ConnectionLost, PoolClosed, SessionClosed):
            _log.debug("nothing left to roll back", exc_info=True)  # the server has, or will
        except Exception:
            _log.exception("rolling back after an error failed")
