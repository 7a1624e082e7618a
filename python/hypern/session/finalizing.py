"""The end of a request's sessions: every session is finalized, whatever happens to one of them."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

from hypern import _native
from hypern.errors import Error, TransactionAborted

if TYPE_CHECKING:
    from hypern.session.blocking import DbSession
    from hypern.session.steps import Steps, View

_log = logging.getLogger("hypern")

# Seconds to wait for a statement that another thread still runs, before it is cancelled.
_GRACE_SECS: Final = 1.0


def sessions_of(request_id: str, alias: str | None = None) -> list[DbSession]:
    """The open sessions of a request."""
    found: list[DbSession] = _native.sessions(request_id, alias)
    return found


def finalizing(
    view: View, request_id: str, alias: str | None = None, *, failed: bool = False
) -> Steps[TransactionAborted | None]:
    """Finalize every session of a request, then raise the first failure and log the others.

    alias: finalize the session on that database only. failed: roll back what is open. Returns an
    error if a transaction that was to be committed had been aborted by an earlier error, which the
    caller has seen.
    """
    endings: _Endings | None = None
    for session in sessions_of(request_id, alias):
        try:
            if failed:
                session._set_failed()
            yield view(session)._finalize(_GRACE_SECS)
        except BaseException as error:  # an interrupt must not leave the other sessions open
            endings = endings or _Endings(request_id)
            endings.add(session, error)
    return None if endings is None else endings.outcome()


class _Endings:
    """The failures of one request's sessions."""

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
        """Raise the first failure and log the others; if there is none, return the first
        TransactionAborted.
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


def report_aborted(request_id: str, aborted: TransactionAborted | None) -> None:
    """Raise the error, or log it while an exception is being handled: finalize_db() is often called
    in an `except` or `finally` block, where raising would hide the exception handled there.
    """
    if aborted is None:
        return
    if sys.exc_info()[1] is None:
        raise aborted
    _log.error(
        'nothing of a transaction of request "%s" was committed', request_id, exc_info=aborted
    )
