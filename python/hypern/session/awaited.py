"""`AsyncDbSession`: a session awaited, and its transactions as an `async with` block.

Statements, commit and rollback are the base class's, in C; here is what is made of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypern import _native
from hypern._retry import arun
from hypern._session import begin_sql
from hypern._stream import AsyncStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any, TypeVar

    from typing_extensions import Self

    _T = TypeVar("_T")


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
        `begin`. The block's variable is the session. The block ends its transaction itself: inside
        it commit() and rollback() raise an InterfaceError.
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

        A loop that breaks leaves the stream open for the session's next call, or its end. An
        `async with` block around the loop ends it at once.
        """
        return AsyncStream(self, sql, params, chunk_rows, timeout)

    async def run(self, fn: Callable[[Self], Awaitable[_T]], retries: int = 3) -> _T:
        """Await fn(session) in a transaction, commit, and return what it returned.

        Repeated as by `DbSession.run`.
        """
        return await arun(self, fn, retries)


class AsyncTransaction(_native.AsyncBlock):
    """The context manager of `AsyncDbSession.transaction()`; usable again, block after block.

    Blocks form a stack, whatever task enters them, as with `Transaction`.
    """

    __slots__ = ()
