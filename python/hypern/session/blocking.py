"""`DbSession`: what one request does on one database, and its transactions as a `with` block.

Statements, commit and rollback are the base class's, in C; here is what is made of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypern import _native
from hypern._retry import run
from hypern._stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from typing_extensions import Self

    _T = TypeVar("_T")

_ISOLATION_LEVELS = ("read uncommitted", "read committed", "repeatable read", "serializable")


class DbSession(_native.Session):
    """A request's session on one database: one connection, and at most one transaction, at a time.

    `db()` makes it; the same request id and alias give the same session until it is finalized. The
    connection is taken at first use and given back by `finalize_db`, the middleware or the end of
    the `scope()`. Statements outside a transaction commit by themselves. Several threads may use
    one session: their statements run one after the other.
    """

    __slots__ = ()

    def begin(
        self,
        isolation: str | None = None,
        read_only: bool | None = None,
        deferrable: bool | None = None,
    ) -> DbSession:
        """Open a transaction, taking a connection; BEGIN is sent with the first statement.

        isolation: "read committed", "repeatable read", "serializable" or "read uncommitted"; case
        does not matter and underscores may stand for spaces. read_only, deferrable: bool. None
        leaves each to the server's default_transaction_* settings (PostgreSQL, "BEGIN"). Returns
        the session. Raises an InterfaceError if a transaction is open, PoolTimeout or
        OperationalError where no connection can be had, ValueError for another isolation.
        """
        return self._begin(begin_sql(isolation, read_only, deferrable))

    def transaction(
        self,
        isolation: str | None = None,
        read_only: bool | None = None,
        deferrable: bool | None = None,
    ) -> Transaction:
        """A `with` block that commits at its end and rolls back on any exception.

        Inside an open transaction it is a savepoint, and takes no options. Options are those of
        `begin`. The block's variable is the session. The block ends its transaction itself: inside
        it commit() and rollback() raise an InterfaceError.
        """
        return Transaction(self, begin_sql(isolation, read_only, deferrable))

    def stream(
        self,
        sql: str,
        params: Sequence[Any] | None = None,
        *,
        chunk_rows: int = 1000,
        timeout: float | None = None,
    ) -> Stream:
        """The rows of a statement one by one, as dicts, in bounded memory however many there are.

        It is an iterator, and a context manager that closes it. The statement runs when the first
        row is asked for; chunk_rows (int) rows are received at a time, each chunk within timeout
        (seconds). The stream ends after the last row, with close() or its `with` block, or when
        anything else is run on the session: then its next row raises an InterfaceError. Outside a
        transaction it has one of its own, which is committed when it ends; an error rolls that
        back. A loop that breaks leaves the stream open for the session's next call, or its end,
        which ends the stream and raises what its COMMIT raises; a `with` block ends it at once.
        """
        return Stream(self, sql, params, chunk_rows, timeout)

    def run(self, fn: Callable[[Self], _T], retries: int = 3) -> _T:
        """Call fn(session) in a transaction, commit, and return what fn returned.

        Where the server gives up a transaction for the sake of others (SerializationFailure,
        DeadlockDetected), in fn or in the commit, it is rolled back and fn called again, after a
        pause that grows, up to `retries` (int) times: fn must not do anything else that calling it
        again would repeat. Any other exception rolls back and is raised. Raises an InterfaceError
        inside an open transaction, which could not be repeated as a whole.
        """
        return run(self, fn, retries)


class Transaction(_native.Block):
    """The context manager of `DbSession.transaction()`; usable again, one block after another.

    Blocks form a stack, whatever thread enters them: one that ends while a later one is open rolls
    the whole transaction back and raises InterfaceError, and so does each statement until that one
    has been left.
    """

    __slots__ = ()


def begin_sql(isolation: str | None, read_only: bool | None, deferrable: bool | None) -> str:
    """The BEGIN statement for the options of `DbSession.begin`."""
    if isolation is None and read_only is None and deferrable is None:
        return "BEGIN"
    words = ["BEGIN"]
    if isolation is not None:
        if not isinstance(isolation, str):
            raise TypeError(f"isolation must be a str, not {type(isolation).__name__}")
        level = " ".join(isolation.replace("_", " ").lower().split())
        if level not in _ISOLATION_LEVELS:
            raise ValueError(f"isolation must be one of: {', '.join(_ISOLATION_LEVELS)}")
        words.append(f"ISOLATION LEVEL {level.upper()}")
    if _flag("read_only", read_only) is not None:
        words.append("READ ONLY" if read_only else "READ WRITE")
    if _flag("deferrable", deferrable) is not None:
        words.append("DEFERRABLE" if deferrable else "NOT DEFERRABLE")
    return " ".join(words)


def _flag(name: str, value: object) -> object:
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{name} must be True, False or None, not {type(value).__name__}")
    return value
