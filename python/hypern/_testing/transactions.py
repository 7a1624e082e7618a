"""Transactions that are savepoints on the one connection of a test."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from hypern.errors import (
    DatabaseError,
    InFailedSqlTransaction,
    InterfaceError,
    NoActiveSqlTransaction,
    SessionClosed,
    TransactionAborted,
)
from hypern.session.blocking import DbSession

if TYPE_CHECKING:
    from hypern._testing.connection import NestedConnection
    from hypern._testing.savepoints import Savepoint

_S = TypeVar("_S", bound="NestedTransactions")
_F = TypeVar("_F", bound=Callable[..., Any])

BY_SQL = " by SQL; leave it"


def alone(method: _F) -> _F:
    """Have a method run as a whole, with the test's connection to itself."""

    @functools.wraps(method)
    def call(self: NestedTransactions, *args: Any, **kwargs: Any) -> Any:
        return self._connection.alone(lambda: method(self, *args, **kwargs))

    return cast("_F", call)


class Block(NamedTuple):
    """A transaction() block that is open. savepoint: "" for the one that began the transaction."""

    number: int
    place: str
    savepoint: str


class NestedTransactions(DbSession):
    """The part of `NestedSession` that is about neither statements nor savepoints."""

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
    _has_failed: bool
    _hooks: list[Callable[[], object]]
    _savepoints: list[Savepoint]  # of the open transaction, the outermost first
    _blocks: list[Block]  # transaction() blocks that are open, the outermost first
    _void: str  # why nothing may run until they have been left; "": it may

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
        self._has_failed = False
        self._hooks = []
        self._savepoints = []
        self._blocks = []
        self._void = ""

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
        call_hooks(self._committed())
        return self

    @alone
    def _committed(self) -> list[Callable[[], object]]:
        self._check_outside_blocks("commit")
        return self._commit()

    @alone
    def rollback(self: _S) -> _S:
        self._check_outside_blocks("rollback")
        self._roll_back()
        return self

    def _commit_request(self) -> None:
        call_hooks(self._committed_request())

    @alone
    def _committed_request(self) -> list[Callable[[], object]]:
        if self._blocks:
            place = self._blocks[-1].place
            self._roll_back_around(place)
            raise InterfaceError(_ended_inside(place))
        return self._commit()

    @alone
    def _rollback_request(self) -> None:
        if self._blocks:
            self._roll_back_around(self._blocks[-1].place)
        else:
            self._roll_back()

    def _commit(self) -> list[Callable[[], object]]:
        """What was to be called after it."""
        name = self._open_savepoint("commit()")
        if self._aborted_by is not None:
            cause = self._aborted_by
            self._finish("rolled_back")
            self._connection.rollback(name)
            raise TransactionAborted(
                "the transaction was rolled back, for an earlier error had aborted it"
            ) from cause
        try:
            self._connection.check_deferred()
        except DatabaseError:
            self._finish("rolled_back")
            self._connection.rollback(name)
            raise
        if self._read_only:
            self._connection.rollback(name)  # has nothing to keep, and "read only" to undo
        else:
            self._connection.commit(name)
        return self._finish("committed")

    def _roll_back(self) -> None:
        if self._state != "rolled_back":  # a commit that failed has done it
            name = self._open_savepoint("rollback()")
            self._finish("rolled_back")
            self._connection.rollback(name)

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

    @alone
    def _begin(self: _S, begin_sql: str) -> _S:
        self._check_usable()
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

    def _roll_back_around(self, place: str) -> None:
        """Roll back under blocks that are open."""
        if self.is_in_transaction:
            self._roll_back()
        self._void = f"the transaction of the block entered at {place} was rolled back; leave it"

    def _end_in_blocks(self, *, is_refused: bool) -> None:
        """SQL has ended the transaction. is_refused: bool, instead of committing it."""
        if self._blocks:
            place = self._blocks[-1].place
            how = " by a COMMIT in SQL that failed; leave the block" if is_refused else BY_SQL
            self._void = f"the transaction of the block entered at {place} was ended{how}"

    def _set_failed(self) -> None:
        self._has_failed = True

    def _finalize(self, grace: float) -> None:
        call_hooks(self._finalized())

    @alone
    def _finalized(self) -> list[Callable[[], object]]:
        if self._state == "closed":
            return []
        is_wanted = self._auto_commit and not self._has_error
        failure: Exception | None = None
        hooks: list[Callable[[], object]] = []
        if self._blocks:
            failure = InterfaceError(_ended_inside(self._blocks[-1].place))
        elif self.is_in_transaction and self._aborted_by is not None and is_wanted:
            failure = TransactionAborted(
                f'nothing that request "{self._id}" did in its transaction was committed: a '
                "statement in it had failed, and the code went on as if it had not"
            )
            failure.__cause__ = self._aborted_by
        try:
            if not self.is_in_transaction:
                if not self._has_error and not self._has_failed and failure is None:
                    hooks = self._hooks
            elif is_wanted and not self._has_failed and failure is None:
                hooks = self._commit()
            else:
                self._roll_back()
        finally:
            self._state = "closed"
            self._blocks.clear()
            self._connection.forget(self)
        if failure is not None:
            raise failure
        return hooks

    def _finish(self, state: str) -> list[Callable[[], object]]:
        """The transaction is over. What was to be called once it is committed."""
        hooks, self._hooks = self._hooks, []
        self._savepoint_name, self._aborted_by, self._state = None, None, state
        self._savepoints.clear()
        return hooks if state == "committed" else []

    def _open_savepoint(self, what: str) -> str:
        self._check_open()
        if self._savepoint_name is None:
            raise NoActiveSqlTransaction(
                f"{what} without a transaction; begin() or transaction() opens one"
            )
        return self._savepoint_name

    def check_not_aborted(self) -> None:
        """Raise what a statement gets in a transaction that an error has aborted."""
        if self._aborted_by is not None:
            raise InFailedSqlTransaction(
                "current transaction is aborted, commands ignored until end of transaction block"
            ) from self._aborted_by

    def abort(self, cause: BaseException | None) -> None:
        """The server has given up what the session did last."""
        if self.is_in_transaction:
            self._aborted_by = cause or InterfaceError("the statement has aborted the transaction")

    def _check_usable(self) -> None:
        self._check_open()
        if self._void:
            raise InterfaceError(self._void)

    def _check_outside_blocks(self, method: str) -> None:
        if self._blocks:
            raise InterfaceError(
                f"{method}() inside the transaction() block entered at {self._blocks[-1].place}, "
                "which ends its transaction itself"
            )

    def _check_open(self) -> None:
        if self._state == "closed":
            raise SessionClosed(
                f"the session of request {self._id!r} was finalized; db() opens a new one"
            )


def _ended_inside(place: str) -> str:
    return (
        f"the scope or request ended inside the transaction() block entered at {place}, whose "
        "transaction was rolled back; leave the block first"
    )


def call_hooks(hooks: list[Callable[[], object]]) -> None:
    """Call what waits for a commit, all of it; the first exception is the caller's to see."""
    first: BaseException | None = None
    for hook in hooks:
        try:
            hook()
        except BaseException as error:
            first = first or error
    if first is not None:
        raise first
