"""Transactions that are savepoints on the one connection of a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from hypern._session import DbSession
from hypern.errors import (
    DatabaseError,
    InFailedSqlTransaction,
    InterfaceError,
    NoActiveSqlTransaction,
    SessionClosed,
    TransactionAborted,
)

if TYPE_CHECKING:
    from hypern._testing.connection import NestedConnection

_S = TypeVar("_S", bound="NestedTransactions")


class NestedTransactions(DbSession):
    """The part of `NestedSession` that is not about statements."""

    # Set by attach(): the extension makes the object without __init__.
    _connection: NestedConnection
    _id: str
    _alias: str
    _state: str
    _savepoint_name: str | None  # of the open transaction
    _read_only: bool
    _aborted_by: BaseException | None
    _auto_commit: bool
    _has_error: bool
    _hooks: list[Callable[[], object]]

    def attach(self, connection: NestedConnection, request_id: str, alias: str) -> None:
        """Make a session of a bare object."""
        self._connection = connection
        self._id = request_id
        self._alias = alias
        self._state = "idle"
        self._savepoint_name = None
        self._read_only = False
        self._aborted_by = None
        self._auto_commit = True
        self._has_error = False
        self._hooks = []

    def detach(self) -> None:
        """The test is over."""
        self._state = "closed"
        self._savepoint_name = None

    def lose(self, reason: str) -> None:
        """Its savepoint has gone with one that lay around it."""
        self._aborted_by = InterfaceError(reason)
        self._savepoint_name = self._connection.begin(self)

    @property
    def request_id(self) -> str:
        return self._id

    @property
    def alias(self) -> str:
        return self._alias

    @property
    def state(self) -> str:
        return self._state

    @property
    def is_in_transaction(self) -> bool:
        return self._savepoint_name is not None

    @property
    def auto_commit(self) -> bool:
        return self._auto_commit

    @property
    def has_error(self) -> bool:
        return self._has_error

    def commit(self: _S) -> _S:
        with self._connection.lock:
            name = self._open_savepoint("commit()")
            if self._aborted_by is not None:
                cause = self._aborted_by
                self._finish("rolled_back")
                self._connection.rollback(name)
                raise TransactionAborted(
                    "the transaction was rolled back, for an earlier error had aborted it"
                ) from cause
            try:
                self._check_deferred()
            except DatabaseError:
                self._finish("rolled_back")
                self._connection.rollback(name)
                raise
            if self._read_only:
                self._connection.rollback(name)  # has nothing to keep, and "read only" to undo
            else:
                self._connection.commit(name)
            hooks = self._finish("committed")
        _call(hooks)
        return self

    def rollback(self: _S) -> _S:
        with self._connection.lock:
            if self._state != "rolled_back":  # a commit that failed has done it
                name = self._open_savepoint("rollback()")
                self._finish("rolled_back")
                self._connection.rollback(name)
        return self

    def set_auto_commit(self: _S, enabled: bool) -> _S:
        self._check_open()
        self._auto_commit = bool(enabled)
        return self

    def set_error(self: _S) -> _S:
        self._check_open()
        self._has_error = True
        return self

    def on_commit(self: _S, fn: Callable[[], object]) -> _S:
        self._check_open()
        if not callable(fn):
            raise TypeError(f"on_commit() wants a callable, not {type(fn).__name__}")
        self._hooks.append(fn)
        return self

    def _begin(self: _S, begin_sql: str) -> _S:
        with self._connection.lock:
            self._check_open()
            if self.is_in_transaction:
                raise InterfaceError(
                    "begin() inside a transaction; transaction() nests with a savepoint"
                )
            self._savepoint_name = self._connection.begin(self)
            self._state = "in_transaction"
            self._read_only = "READ ONLY" in begin_sql.upper()
            if self._read_only:
                self._connection.outer.execute("SET LOCAL transaction_read_only = on")
        return self

    def _savepoint(self, name: str) -> None:
        self._nested("savepoint", self._connection.outer._savepoint, name)

    def _release(self, name: str) -> None:
        self._nested("savepoint", self._connection.outer._release, name)

    def _rollback_to(self, name: str) -> None:
        with self._connection.lock:
            self._open_savepoint("rollback to a savepoint")
            self._connection.outer._rollback_to(name)
            self._aborted_by = None

    def _finalize(self, grace: float) -> bool:
        with self._connection.lock:
            if self._state == "closed":
                return False
            is_wanted = self._auto_commit and not self._has_error
            is_aborted = self.is_in_transaction and self._aborted_by is not None
            hooks: list[Callable[[], object]] = []
            try:
                if not self.is_in_transaction:
                    hooks = [] if self._has_error else self._hooks
                elif is_wanted and not is_aborted:
                    hooks, self._hooks = self._hooks, []
                    self.commit()
                else:
                    self.rollback()
            finally:
                self._state = "closed"
                self._connection.forget(self)
        _call(hooks)
        return is_aborted and is_wanted

    def _nested(self, what: str, command: Callable[[str], None], name: str) -> None:
        with self._connection.lock:
            self._open_savepoint(what)
            if self._aborted_by is not None:
                raise aborted() from self._aborted_by
            command(name)

    def _check_deferred(self) -> None:
        """Have the server check now what it would check at COMMIT, and wait again afterwards."""
        outer = self._connection.outer
        name = self._connection.push()
        try:
            outer.execute("SET CONSTRAINTS ALL IMMEDIATE")
        finally:
            outer._rollback_to(name)

    def _finish(self, state: str) -> list[Callable[[], object]]:
        """The transaction is over. What was to be called once it is committed."""
        hooks, self._hooks = self._hooks, []
        self._savepoint_name, self._aborted_by, self._state = None, None, state
        return hooks if state == "committed" else []

    def _open_savepoint(self, what: str) -> str:
        self._check_open()
        if self._savepoint_name is None:
            raise NoActiveSqlTransaction(
                f"{what} without a transaction; begin() or transaction() opens one"
            )
        return self._savepoint_name

    def _check_open(self) -> None:
        if self._state == "closed":
            raise SessionClosed(
                f"the session of request {self._id!r} was finalized; db() opens a new one"
            )


def aborted() -> InFailedSqlTransaction:
    """What a statement gets in a transaction that an error has aborted."""
    return InFailedSqlTransaction(
        "current transaction is aborted, commands ignored until end of transaction block"
    )


def _call(hooks: list[Callable[[], object]]) -> None:
    """Call what waits for a commit, all of it; the first exception is the caller's to see."""
    first: BaseException | None = None
    for hook in hooks:
        try:
            hook()
        except BaseException as error:
            first = first or error
    if first is not None:
        raise first
