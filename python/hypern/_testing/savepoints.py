"""Savepoints of a test's session, within the one that is its transaction."""

from __future__ import annotations

from typing import NamedTuple

from hypern._testing.transactions import NestedTransactions, alone
from hypern.errors import InvalidSavepointSpecification


class Savepoint(NamedTuple):
    """One in the open transaction. hooks: int, how many functions waited for the commit then."""

    name: str
    number: int  # the connection's
    hooks: int


class NestedSavepoints(NestedTransactions):
    """The part of `NestedSession` that knows which savepoints there are."""

    @alone
    def _savepoint(self, name: str) -> None:
        self._open_savepoint("savepoint")
        self.check_not_aborted()
        self._connection.outer._savepoint(name)
        self._note_savepoint(name)

    @alone
    def _release(self, name: str) -> None:
        self._open_savepoint("savepoint")
        self.check_not_aborted()
        if not self._holds_others(name):
            self._connection.outer._release(name)
        self._forget_savepoint(name)

    @alone
    def _rollback_to(self, name: str) -> None:
        self._open_savepoint("rollback to a savepoint")
        self._holds_others(name)
        self._connection.outer._rollback_to(name)
        self._back_to(name)
        self._forget_savepoint(name)

    def _note_savepoint(self, name: str) -> None:
        number = self._connection.number()
        self._savepoints.append(Savepoint(name, number, len(self._hooks)))

    def _forget_savepoint(self, name: str) -> None:
        if (place := self._find(name)) is not None:
            del self._savepoints[place:]

    def _back_to(self, name: str) -> None:
        self._aborted_by = None
        place = self._find(name)
        del self._hooks[0 if place is None else self._savepoints[place].hooks :]
        if place is not None:
            self._connection.lose_since(self._savepoints[place].number)
            del self._savepoints[place + 1 :]

    def _holds_others(self, name: str) -> bool:
        """Whether another session's transaction has begun since a savepoint of this one.

        Aborts the transaction, as the server does, unless it may have a savepoint of that name: the
        name of one may have been unreadable, which is "".
        """
        place = self._find(name)
        if place is not None:
            return self._connection.has_begun_since(self._savepoints[place].number)
        if name and not any(known.name == "" for known in self._savepoints):
            self._aborted_by = InvalidSavepointSpecification(f'savepoint "{name}" does not exist')
            raise self._aborted_by
        return False

    def _find(self, name: str) -> int | None:
        places = [i for i, known in enumerate(self._savepoints) if known.name == name]
        return places[-1] if places else None
