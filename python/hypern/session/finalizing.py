"""The end of a request's sessions: all of them, whatever happens to one."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

from hypern import _native
from hypern.errors import Error, TransactionAborted

if TYPE_CHECKING:
    from hypern._session import DbSession

    _Failure = tuple[str, BaseException]  # an alias, and why its session could not be finalized

_log = logging.getLogger("hypern")

# How long (seconds) a statement that another thread still runs is waited for before it is
# cancelled.
_GRACE_SECS: Final = 1.0


def sessions_of(request_id: str, alias: str | None) -> list[DbSession]:
    """The open sessions of a request."""
    found: list[DbSession] = _native.sessions(request_id, alias)
    return found


class _Endings:
    """What became of a request's sessions, one after the other."""

    __slots__ = ("_aborted", "_failures", "_request_id")

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._aborted: TransactionAborted | None = None
        self._failures: list[_Failure] = []

    def add(self, session: DbSession, error: BaseException) -> None:
        """One that could not be finalized as was wanted."""
        if not isinstance(error, TransactionAborted):
            self._failures.append((session.alias, error))
        elif self._aborted is None:
            self._aborted = error
        else:
            self._log(session.alias, error)

    def outcome(self) -> TransactionAborted | None:
        """Raise the first failure and log the others; without one, what there is to say of a
        transaction that was to be committed and had been aborted.
        """
        failures = self._failures
        if not failures:
            return self._aborted
        # An interruption counts more than an error of the database's.
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


def finalize(
    request_id: str, alias: str | None, *, failed: bool = False
) -> TransactionAborted | None:
    """Finalize a request's sessions, all of them whatever happens to one; then raise the first
    failure. The others are logged.

    alias: that database only; None: every one. failed: roll back what is open. Where a transaction
    that was to be committed had been aborted, by an error that the caller was given, it returns
    what says so.
    """
    endings: _Endings | None = None
    for session in sessions_of(request_id, alias):
        try:
            if failed:
                session._set_failed()
            session._finalize(_GRACE_SECS)
        except BaseException as error:  # a Ctrl-C here must not leave the others open
            endings = endings or _Endings(request_id)
            endings.add(session, error)
    return None if endings is None else endings.outcome()


async def afinalize(
    request_id: str, alias: str | None, *, failed: bool = False
) -> TransactionAborted | None:
    """As `finalize`, to be awaited at once. A task that is cancelled meanwhile leaves its sessions
    to the background, where they are finalized all the same.
    """
    endings: _Endings | None = None
    for session in sessions_of(request_id, alias):
        try:
            if failed:
                session._set_failed()
            await _native.AsyncSession(session)._finalize(_GRACE_SECS)
        except BaseException as error:
            endings = endings or _Endings(request_id)
            endings.add(session, error)
    return None if endings is None else endings.outcome()


def report_aborted(request_id: str, aborted: TransactionAborted | None) -> None:
    """Raise it, or log it where an exception is being handled: finalize_db() is often called in an
    `except` or `finally`, where its own would hide the other.
    """
    if aborted is None:
        return
    if sys.exc_info()[1] is None:
        raise aborted
    _log.error(
        'nothing of a transaction of request "%s" was committed', request_id, exc_info=aborted
    )
