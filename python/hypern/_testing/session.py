"""A session whose transactions are savepoints on the one connection of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from hypern._testing.blocks import NestedBlocks
from hypern._testing.control import Command, Control, control_of, may_write
from hypern._testing.transactions import alone, call_hooks
from hypern.errors import (
    DatabaseError,
    InterfaceError,
    NoActiveSqlTransaction,
    TransactionAborted,
)

_Params = Sequence[Any] | None


class NestedSession(NestedBlocks):
    """What `db()` returns in a test with `db_session`: for its user a session as any other.

    Every statement runs within a savepoint, so that one that fails aborts this session's
    transaction as it would on a connection of its own, and no other's.
    """

    def query(
        self, sql: str, params: _Params = None, *, timeout: float | None = None
    ) -> list[dict[str, Any]]:
        outer = self._connection.outer
        rows: list[dict[str, Any]] | None = self._run(
            sql, lambda: outer.query(sql, params, timeout=timeout)
        )
        return rows or []

    def query_one(
        self, sql: str, params: _Params = None, *, timeout: float | None = None
    ) -> dict[str, Any]:
        outer = self._connection.outer
        row: dict[str, Any] = self._run(sql, lambda: outer.query_one(sql, params, timeout=timeout))
        return row

    def query_one_or_none(
        self, sql: str, params: _Params = None, *, timeout: float | None = None
    ) -> dict[str, Any] | None:
        outer = self._connection.outer
        row: dict[str, Any] | None = self._run(
            sql, lambda: outer.query_one_or_none(sql, params, timeout=timeout)
        )
        return row

    def query_value(self, sql: str, params: _Params = None, *, timeout: float | None = None) -> Any:
        outer = self._connection.outer
        return self._run(sql, lambda: outer.query_value(sql, params, timeout=timeout))

    def execute(self, sql: str, params: _Params = None, *, timeout: float | None = None) -> int:
        outer = self._connection.outer
        return self._run(sql, lambda: outer.execute(sql, params, timeout=timeout)) or 0

    def execute_many(
        self, sql: str, params_list: Iterable[Sequence[Any]], *, timeout: float | None = None
    ) -> int:
        outer = self._connection.outer
        if isinstance(params_list, Iterator):  # which may use a session: before anything is sent
            params_list = list(params_list)
        if isinstance(sql, str) and control_of(sql).control is not Control.NOTHING:
            return outer.execute_many(sql, params_list, timeout=timeout)  # which refuses it
        return self._run(sql, lambda: outer.execute_many(sql, params_list, timeout=timeout)) or 0

    def _stream_open(
        self, sql: str, params: _Params, chunk_rows: int, timeout: float | None, /
    ) -> tuple[list[dict[str, Any]], int]:
        # All rows as the only chunk: the next statement of any session would end a real stream.
        return self.query(sql, params, timeout=timeout), 0

    def _run(self, sql: str, run: Callable[[], Any]) -> Any:
        """Run a statement; None for one that stands for begin(), commit() or rollback()."""
        with self._connection.lock:
            self._check_usable()
            command = control_of(sql) if isinstance(sql, str) else Command(Control.NOTHING)
            control = command.control
            if control is Control.NOTHING:
                if self._state == "idle":
                    self._state = "connected"
                writes = not isinstance(sql, str) or may_write(sql)
                return self._connection.within(self, run, writes=writes)
            if control is Control.PREPARE:
                raise InterfaceError(
                    "two-phase commit cannot be undone; mark the test with hypern_commits"
                )
            if control not in (Control.BEGIN, Control.COMMIT, Control.ROLLBACK):
                return self._run_savepoint(command, run)
        call_hooks(self._control(command, sql))
        return None

    @alone
    def _run_savepoint(self, command: Command, run: Callable[[], Any]) -> Any:
        """SAVEPOINT, RELEASE or ROLLBACK TO in SQL, which no savepoint of ours can enclose."""
        begun = self._open_savepoint("savepoint")
        if command.control is not Control.ROLLBACK_TO:
            self.check_not_aborted()
        stays = command.control is not Control.SAVEPOINT and self._holds_others(command.savepoint)
        try:
            # Released, it would take the other sessions' with it; left alone it does no harm.
            result = 0 if stays and command.control is Control.RELEASE else run()
        except DatabaseError as error:
            # The whole connection is aborted now: back to where this transaction began.
            self._connection.rollback(begun)
            self._savepoint_name = self._connection.begin(self)
            self._aborted_by = error
            raise
        if command.control is Control.SAVEPOINT:
            self._note_savepoint(command.savepoint)
        elif command.control is Control.RELEASE:
            self._forget_savepoint(command.savepoint)
        else:
            self._back_to(command.savepoint)
        return result

    @alone
    def _control(self, command: Command, sql: str) -> list[Callable[[], object]]:
        """What is to be called after the commit."""
        if command.control is Control.BEGIN:
            if self.is_in_transaction:
                self.check_not_aborted()  # else the server would only warn
            else:
                self._begin(sql)
            return []
        if not self.is_in_transaction:
            if command.is_chained:
                name = command.control.name
                raise NoActiveSqlTransaction(
                    f"{name} AND CHAIN can only be used in transaction blocks"
                )
            return []
        hooks: list[Callable[[], object]] = []
        is_refused = True
        try:
            if command.control is Control.ROLLBACK:
                self._roll_back()
            else:
                hooks = self._commit()
            is_refused = False
        except TransactionAborted:
            if command.is_chained:
                self._begin("BEGIN")
            raise
        finally:
            if not command.is_chained:
                self._end_in_blocks(is_refused=is_refused)
        if command.is_chained:
            self._begin("BEGIN")
        return hooks
