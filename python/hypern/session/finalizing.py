"""The end of a request's sessions: every session is finalized, whatever happens to one of them."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

from hypern import _native
from hypern.errors import Error, TransactionAborted
from hypern.session.steps import blocking, now

if TYPE_CHECKING:
    from hypern.session.blocking import DbSession
    from hypern.session.steps import Steps, View

_log = logging.getLogger("hypern")

# Seconds to wait for a statement that another thread still runs, before it is cancelled.
_GRACE_SECS: Final = 1.0

# By request id, and by the session's own: sessions of another's connections. What a request has
# begun on them ends with it; they do not.
_borrowed: dict[str, dict[str, DbSession]] = {}


def borrow(request_id: str, session: DbSession) -> None:
    """Note that a request uses a session that is not its own."""
    _borrowed.setdefault(request_id, {})[session.request_id] = session


def finalizing(
    view: View,
    request_id: str,
    alias: str | None = None,
    failed: bool = False,
    dependencies: bool = False,
) -> Steps[Endings | None]:
    """Finalize every session of a request; returns what went wrong, None if nothing did.

    alias: finalize the session on that database only. failed: roll back what is open. dependencies:
    leave the blocks that dependencies are suspended in.
    """
    endings: Endings | None = None
    session: DbSession
    for session in _native.sessions(request_id, alias):
        try:
            if dependencies and (error := (yield from leaving_dependencies(view, session, failed))):
                endings = endings or Endings(request_id)
                endings.add(session, error)
                session._set_failed()
            if failed:
                session._set_failed()
            yield view(session)._finalize(_GRACE_SECS)
        except GeneratorExit:  # the coroutine has been dropped, and can await nothing more
            abandon(request_id, alias)
            raise
        except BaseException as error:  # an interrupt must not leave the other sessions open
            endings = endings or Endings(request_id)
            endings.add(session, error)
    if request_id in _borrowed:
        endings = yield from _giving_back(view, request_id, alias, failed, endings)
    return endings


def _giving_back(
    view: View, request_id: str, alias: str | None, failed: bool, endings: Endings | None
) -> Steps[Endings | None]:
    """End the transactions that a request has begun on sessions that are not its own."""
    sessions = _borrowed[request_id]
    for key, session in list(sessions.items()):
        if alias is not None and session.alias != alias:
            continue
        del sessions[key]
        try:
            yield from session._giving_back(view, failed)  # type: ignore[attr-defined]
        except BaseException as error:
            endings = endings or Endings(request_id)
            endings.add(session, error)
    if not sessions:
        _borrowed.pop(request_id, None)
    return endings


def leaving_dependencies(
    view: View, session: DbSession, failed: bool
) -> Steps[BaseException | None]:
    """Leave the transaction() blocks that a framework's dependencies are suspended in, as they
    would themselves once the response has been sent. Returns the first error; the blocks around it
    are rolled back, as all are if the request has failed or its session is to be rolled back.
    """
    first: BaseException | None = None
    failed = failed or session.has_error or not session.auto_commit
    for number in session._settle_dependencies():
        viewed = view(session)
        try:
            yield viewed._undo(number) if failed or first else viewed._leave(number)
        except GeneratorExit:  # the coroutine has been dropped
            raise
        except BaseException as error:
            first = first or error
    return first


def abandon(request_id: str, alias: str | None = None) -> None:
    """Roll back and finalize, blocking, what no other step can end any more. Errors of the database
    are logged. What is being finalized in the background goes on by itself.

    It may be interrupted, and called again.
    """
    session: DbSession
    for session in _native.sessions(request_id, alias):
        if not session._is_finalizing:
            session._set_failed()
            try:
                session._finalize(_GRACE_SECS)
            except Error:
                _log.exception('finalizing "%s" of request "%s" failed', session.alias, request_id)
    if request_id in _borrowed:
        endings = now(_giving_back(blocking, request_id, alias, failed=True, endings=None))
        if endings is not None:
            try:
                endings.outcome()
            except Error:
                _log.exception('a connection that request "%s" borrowed failed', request_id)


class Endings:
    """What went wrong at the end of a request's sessions."""

    __slots__ = ("_aborted", "_failures", "_request_id")

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._aborted: TransactionAborted | None = None
        self._failures: list[tuple[str, BaseException]] = []  # alias, error

    def add(self, session: DbSession, error: BaseException) -> None:
        """Note that a session could not be finalized as intended."""
        if not isinstance(error, TransactionAborted):
            self._failures.append((session.alias, error))
        elif self._aborted is None:
            self._aborted = error
        else:
            self._log(session.alias, error)

    def outcome(self) -> TransactionAborted | None:
        """Raise the first failure and log the others. If there is none, return the error of a
        transaction that was to be committed, and that an earlier error had aborted.
        """
        failures = self._failures
        if not failures:
            return self._aborted
        # An interrupt takes precedence over an error of the database.
        first = next((f for f in failures if not isinstance(f[1], Error)), failures[0])
        for alias, error in failures:
            if error is not first[1]:
                self._log(alias, error)
        if self._aborted is not None:
            self._log("another alias", self._aborted)
        raise first[1]

    def _log(self, alias: str, error: BaseException) -> None:
        _log.error(
            'finalizing "%s" of request "%s" failed too', alias, self._request_id, exc_info=error
        )


def report(request_id: str, endings: Endings | None) -> None:
    """Raise the first failure. A TransactionAborted is logged while an exception is being handled:
    finalize_db() is often called in an `except` or `finally` block, where raising would hide that.
    """
    aborted = None if endings is None else endings.outcome()
    if aborted is None:
        return
    if sys.exc_info()[1] is None:
        raise aborted
    _log.error(
        'nothing of a transaction of request "%s" was committed', request_id, exc_info=aborted
    )
