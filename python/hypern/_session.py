"""`DbSession`: what one request does on one database, and its transactions as a `with` block.

Statements, commit and rollback are the base class's, in C; here is what is made of them.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING

from hypern import _native
from hypern._retry import run
from hypern._stream import Stream
from hypern.errors import ConnectionLost, InterfaceError, PoolClosed, SessionClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, TypeVar

    from typing_extensions import Self

    _T = TypeVar("_T")

_log = logging.getLogger("hypern")

_ISOLATION_LEVELS = ("read uncommitted", "read committed", "repeatable read", "serializable")

# Unlike any of the user's, and unlike each other: two threads that nest transactions in one session
# by mistake get an error of the server, not each other's savepoint.
_savepoint_numbers = itertools.count(1)


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
        `begin`. The block's variable is the session.
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
        (seconds). The stream ends after the last row, when the loop over it breaks, with close(),
        or when anything else is run on the session: then its next row raises an InterfaceError.
        Outside a transaction it has one of its own, which is committed when it ends; an error rolls
        that back.
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


class Transaction:
    """The context manager of `DbSession.transaction()`; usable again, one block after another."""

    __slots__ = ("_begin_sql", "_entered", "_savepoint", "_session")

    def __init__(self, session: DbSession, begin_sql: str) -> None:
        self._session = session
        self._begin_sql = begin_sql
        self._savepoint: str | None = None
        self._entered = False

    def __enter__(self) -> DbSession:
        if self._entered:
            raise InterfaceError("this transaction() is entered already; call it anew to nest")
        session = self._session
        if not session.is_in_transaction:
            self._savepoint = None
            session._begin(self._begin_sql)
        elif self._begin_sql != "BEGIN":
            raise InterfaceError("a nested transaction() is a savepoint and takes no options")
        else:
            self._savepoint = next_savepoint()
            session._savepoint(self._savepoint)
        self._entered = True
        return session

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._entered = False
        session = self._session
        if exc is not None:
            self._undo()
        elif session.is_in_transaction or session.state == "closed":
            if self._savepoint is None:
                session.commit()
            else:
                session._release(self._savepoint)
        # Otherwise the block has committed or rolled back by itself.

    def _undo(self) -> None:
        """Roll back; a failure is logged, since the exception in flight must stay the one seen."""
        session = self._session
        if not session.is_in_transaction:
            return
        try:
            if self._savepoint is None:
                session.rollback()
            else:
                session._rollback_to(self._savepoint)
        except (ConnectionLost, PoolClosed, SessionClosed):
            _log.debug("nothing left to roll back", exc_info=True)  # the server has, or will
        except Exception:
            _log.exception("rolling back after an error failed")


def next_savepoint() -> str:
    """A name for a savepoint."""
    return f"hypern_{next(_savepoint_numbers)}"


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
