"""Connections on the request's session: who begins a transaction ends it.

A connection that finds no transaction open begins one of its own, whose end is real. One that finds
a transaction open joins it by a savepoint: its commit releases that, its rollback goes back to it,
and its close leaves what it has done to whoever has begun. In an atomic scope, outside a block, the
transaction is the scope's: commit and rollback are the session's, and close leaves it alone.
"""

from __future__ import annotations

import itertools
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hypern import dbapi
from hypern.errors import (
    InFailedSqlTransaction,
    InterfaceError,
    NotSupportedError,
    SessionClosed,
)
from hypern.sqlalchemy.adapted import GreenConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypern.dbapi.base import BaseConnection
    from hypern.session.blocking import DbSession
    from hypern.session.steps import Steps, View

    _Base = BaseConnection
else:
    _Base = object

_names = itertools.count(1)

_OWN, _SCOPE = "own", "scope"  # places that are not the name of a savepoint

# The connections that have joined a session's transaction, or begun it, the innermost last.
_stacks: dict[tuple[str, str], list[OnRequest]] = {}


class _Fate:
    """What becomes of the transaction that a connection has joined. The session calls what `watch`
    has made at the commit, and drops it then, or at a rollback.
    """

    def __init__(self) -> None:
        self._is_committed = False
        self._watch: weakref.ref[Callable[[], None]] | None = None

    def watch(self) -> Callable[[], None]:
        """What the session has to call. Nothing else may refer to it."""

        def committed() -> None:
            self._is_committed = True

        self._watch = weakref.ref(committed)
        return committed

    @property
    def ended(self) -> str:
        """How the transaction has ended; "" if it is open."""
        if self._is_committed:
            return "committed"
        return "rolled back" if self._watch is not None and self._watch() is None else ""


class OnRequest(_Base):
    """The steps of a connection that shares its session with the request."""

    _raw: DbSession
    _scope_begin = ""  # the BEGIN of an atomic scope
    _place = ""  # "": nothing is open here; _OWN: BEGIN is this connection's; else its savepoint
    _ended = ""  # "committed" or "rolled back", with what was around it
    _fate: _Fate | None = None
    is_leaving = False  # close() is under way, which SQLAlchemy does by a rollback

    @property
    def _stack(self) -> list[OnRequest]:
        return _stacks.setdefault((self._raw.alias, self._raw.request_id), [])

    def _entering(self) -> Steps[None]:
        session = self._session
        self._look()
        if self._ended:
            raise InterfaceError(
                f"the transaction that this connection had joined was {self._ended}; "
                "roll back, and begin anew"
            )
        if self._place or self._autocommit:
            return
        if self._scope_begin and not self._raw._has_block(0):
            if not session.is_in_transaction:
                own = self._begin_sql != "BEGIN"
                yield from self._beginning(self._begin_sql if own else self._scope_begin)
            self._join(_SCOPE)
        elif not session.is_in_transaction:
            yield from self._beginning()
            self._place = _OWN
        else:
            name = f"hypern_orm_{next(_names)}"
            yield session._savepoint(name)
            self._join(name)
        self._stack.append(self)

    def _join(self, place: str) -> None:
        self._place, self._fate = place, _Fate()
        self._raw.on_commit(self._fate.watch())

    def _look(self) -> None:
        """Notice that others have ended the transaction meanwhile."""
        if self._place == _OWN and not self._session.is_in_transaction:
            self._leave()
        elif self._fate is not None and (ended := self._fate.ended):
            # Whoever commits in an atomic scope has the next statement begin anew.
            is_over = self._place == _SCOPE and ended == "committed"
            self._leave()
            self._ended = "" if is_over else ended

    def _leave(self, ended: str = "") -> None:
        """The connection has nothing open any more. ended: nor have those that joined inside it."""
        stack = self._stack
        if self in stack:
            inner = stack[stack.index(self) + 1 :]
            if ended:
                for connection in inner:
                    connection._place, connection._fate, connection._ended = "", None, ended
                del stack[stack.index(self) :]
            else:
                stack.remove(self)
        if not stack:
            _stacks.pop((self._raw.alias, self._raw.request_id), None)
        self._place, self._fate = "", None

    def _committing(self) -> Steps[None]:
        self._usable()
        self._look()
        place, ended, self._ended = self._place, self._ended, ""
        if ended == "rolled back":
            raise InterfaceError(
                "nothing was committed: the transaction that this connection had joined was "
                "rolled back"
            )
        if place == _OWN:
            try:
                yield self._session.commit()
            finally:
                if not self._session.is_in_transaction:
                    self._leave("committed")
        elif place == _SCOPE:
            try:
                yield self._session.commit()
            finally:
                if not self._session.is_in_transaction:
                    self._leave()
        elif place:
            yield self._session._release(place)
            self._leave("committed")

    def _rolling_back(self) -> Steps[None]:
        self._usable()
        self._look()
        place, ended, self._ended = self._place, self._ended, ""
        if ended == "committed" and not self.is_leaving:
            raise InterfaceError(
                "nothing was rolled back: the transaction that this connection had joined was "
                "committed"
            )
        if place == _SCOPE:
            if not self.is_leaving:
                yield self._session.rollback()
            self._leave()
        elif place == _OWN:
            yield self._session.rollback()
            self._leave("rolled back")
        elif place and self.is_leaving:
            yield from self._leaving_alone(self._session)
        elif place:
            yield self._session._rollback_to(place)  # which releases it, too
            self._leave("rolled back")

    def _leaving_alone(self, session: Any) -> Steps[None]:
        """Release the savepoint: what is in it belongs to whoever has begun."""
        place = self._place
        self._leave("committed")
        with suppress(InFailedSqlTransaction):  # an aborted one is its owner's to see
            yield session._release(place)

    def _ending(self, view: View) -> Steps[None]:
        """Let go of the session, which is the request's."""
        if self._is_closed:
            return
        self._is_closed = True
        session = view(self._raw)
        try:
            self._look()
            if self._place == _OWN:
                yield session.rollback()
                self._leave("rolled back")
            elif self._place == _SCOPE:
                self._leave()
            elif self._place:
                yield from self._leaving_alone(session)
        except SessionClosed:
            self._leave()  # with its session, the transaction has ended

    def _connecting(self) -> Steps[None]:
        yield from ()  # the session connects when it has to

    def _tpc_beginning(self, xid: object) -> Steps[None]:
        yield from ()
        raise NotSupportedError(
            "a request's transaction has one phase; use an engine with a URL for two"
        )


class RequestConnection(OnRequest, dbapi.Connection):
    """A connection on the request's session, blocking."""


class GreenRequestConnection(OnRequest, GreenConnection):
    """A connection on the request's session, in an async engine's greenlets."""
