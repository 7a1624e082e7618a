"""`LentSession`: the session of a Django connection, which `db()` borrows in its thread."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from hypern.errors import InterfaceError
from hypern.session.begin import begin_sql
from hypern.session.blocking import DbSession, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from hypern._literals import Isolation
    from hypern.session.steps import Steps, View


class LentSession(DbSession):
    """A session of a pool of Django's. While a Django connection has it, Django's rules hold: its
    blocks are `atomic()`, whose end only they decide.
    """

    # With a __dict__, unlike its base.
    _lender: weakref.ref[Any] | None = None  # the DatabaseWrapper, as long as it has this session
    _is_failed = False  # set_error()
    _commits = True  # set_auto_commit()

    @property
    def _wrapper(self) -> Any:
        return None if self._lender is None else self._lender()

    def begin(
        self,
        isolation: Isolation | None = None,
        read_only: bool | None = None,
        deferrable: bool | None = None,
    ) -> DbSession:
        if self._wrapper is not None:
            self._wrapper.validate_no_atomic_block()
        return super().begin(isolation, read_only, deferrable)

    def commit(self) -> Self:
        if self._wrapper is not None:
            self._wrapper.validate_no_atomic_block()
        return super().commit()

    def rollback(self) -> Self:
        if self._wrapper is not None:
            self._wrapper.validate_no_atomic_block()
            self._wrapper.needs_rollback = False
        return super().rollback()

    def transaction(
        self,
        isolation: Isolation | None = None,
        read_only: bool | None = None,
        deferrable: bool | None = None,
    ) -> Any:
        begin = begin_sql(isolation, read_only, deferrable)
        if self._wrapper is None:
            return Transaction(self, begin)
        return AtomicBlock(self, begin)

    def on_commit(self, fn: Callable[[], object]) -> Self:
        wrapper = self._wrapper
        if wrapper is not None and wrapper.in_atomic_block and wrapper.commit_on_exit:
            wrapper.on_commit(fn)
            return self
        return super().on_commit(fn)

    def set_error(self) -> Self:
        if self._wrapper is None:
            return super().set_error()
        self._is_failed = True
        return self

    def set_auto_commit(self, enabled: bool) -> Self:
        if self._wrapper is None:
            return super().set_auto_commit(enabled)
        self._commits = bool(enabled)
        return self

    @property
    def has_error(self) -> bool:
        """Whether the request's end rolls back."""
        return self._is_failed or super().has_error

    @property
    def auto_commit(self) -> bool:
        """Whether the request's end commits."""
        return self._commits and super().auto_commit

    def _giving_back(self, view: View, failed: bool) -> Steps[None]:
        """End the transaction that a request has begun, if it is not Django's."""
        failed = failed or not self._commits or self._is_failed
        self._commits, self._is_failed = True, False
        wrapper = self._wrapper
        if wrapper is None or not wrapper.autocommit or wrapper.in_atomic_block:
            return
        if self.is_in_transaction:
            session = view(self)
            yield session.rollback() if failed else session.commit()


class AtomicBlock:
    """`atomic()` whose variable is the session."""

    def __init__(self, session: LentSession, begin: str) -> None:
        self._session = session
        self._begin = begin
        self._atomic: Any = None

    def __enter__(self) -> LentSession:
        from django.db import transaction

        session = self._session
        wrapper = session._wrapper
        if wrapper is None:
            raise InterfaceError("Django has closed the connection of this session")
        atomic = transaction.atomic(using=wrapper.alias)
        if self._begin != begin_sql(None, None, None):
            if session.is_in_transaction:
                raise InterfaceError(
                    "a transaction is open: a block inside it is a savepoint, which has no "
                    "isolation, read_only or deferrable"
                )
            wrapper.connection.next_begin = self._begin
        try:
            atomic.__enter__()
        finally:
            if wrapper.connection is not None:
                wrapper.connection.next_begin = None
        self._atomic = atomic
        return session

    def __exit__(self, *raised: Any) -> None:
        self._atomic.__exit__(*raised)
