"""The scope of one web request: when its sessions end, and what follows it.

Its sessions end before the response's first byte leaves (`end`), so that a commit that fails can
still become a 500. Where the body is yet to be produced, transactions end then (`settle`) and the
sessions live on until the body has been sent. What runs after the response is another scope
(`open_background`), to which every reference to this one leads.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from hypern import _native
from hypern._finalizing import afinalize, finalize
from hypern._scope import SCOPE_KEY, Scope, _current
from hypern.errors import Error, TransactionAborted

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from hypern._session import DbSession

_log = logging.getLogger("hypern")

# What a middleware takes for a failure where a framework has turned the exception into a response.
FAILURES: Final = range(400, 1000)

# "auto": "start" for a response whose body is there, "end" of the body for one that is produced
# while it is sent, with its transactions settled before the first byte all the same.
# "start": always before the first byte. "end": always, transactions too, at the end of the body.
Finalize = Literal["auto", "start", "end"]
FINALIZE: Final = ("auto", "start", "end")

_LONGEST_ID: Final = 128


class Verdict(NamedTuple):
    """What a response says of its request. failed: bool, roll back. is_success: bool, its status is
    below 400, which no response over an aborted transaction may claim.
    """

    failed: bool
    is_success: bool


FAILED: Final = Verdict(failed=True, is_success=False)


def verdict_of(status: int, rollback_on: Container[int]) -> Verdict:
    """What a response's status says."""
    failed = status in rollback_on
    return Verdict(failed, is_success=status < 400 and not failed)


class RequestScope(Scope):
    """One request's scope. `client_id` is its X-Request-ID (str) for logs, "" without one."""

    __slots__ = ("_background", "client_id")

    def __init__(self, client_id: str | None = None) -> None:
        super().__init__()
        self.client_id = _printable(client_id)
        self._background: Scope | None = None
        self._open()

    def __repr__(self) -> str:
        name = super().__repr__()
        return f"{name[:-1]}, X-Request-ID {self.client_id!r}>" if self.client_id else name

    def current(self) -> _Current:
        """A block in which `db()` means this request."""
        return _Current(self)

    def settle(self, verdict: Verdict) -> None:
        """Commit what is open, or roll it back if the request failed; the sessions stay. What a
        stream outside a transaction has done is committed, as by any statement.
        """
        for session in self._open_sessions():
            if session._open_stream:
                session._stream_close(session._open_stream)
            if not session.is_in_transaction:
                continue
            if verdict.failed or session.has_error or not session.auto_commit:
                session._rollback_request()
                continue
            try:
                session._commit_request()
            except TransactionAborted:
                if verdict.is_success:
                    raise

    def end(self, verdict: Verdict) -> None:
        """Finalize every session. Raises what made a commit fail; where the response is a success,
        TransactionAborted too.
        """
        self._close()
        aborted = finalize(self.request_id, None, failed=verdict.failed)
        self.is_open = False
        if aborted is not None and verdict.is_success:
            raise aborted

    def abandon(self, error: BaseException) -> None:
        """Roll back and release, since `error` is on its way out; a failure is logged."""
        for ending in self._all():
            ending._close()
            try:
                ending._report(finalize(ending.request_id, None, failed=True), error)
            except Error:
                _log.exception("finalizing %r after %s failed", ending, type(error).__name__)
            ending.is_open = False

    async def asettle(self, verdict: Verdict) -> None:
        """As `settle`, without blocking the event loop."""
        for session in self._open_sessions():
            awaited = _native.AsyncSession(session)
            if session._open_stream:
                await awaited._stream_close(session._open_stream)
            if not session.is_in_transaction:
                continue
            if verdict.failed or session.has_error or not session.auto_commit:
                await awaited._rollback_request()
                continue
            try:
                await awaited._commit_request()
            except TransactionAborted:
                if verdict.is_success:
                    raise

    async def aend(self, verdict: Verdict) -> None:
        """As `end`, without blocking the event loop."""
        self._close()
        aborted = None
        if _native.sessions(self.request_id, None):
            aborted = await afinalize(self.request_id, None, failed=verdict.failed)
        self.is_open = False
        if aborted is not None and verdict.is_success:
            raise aborted

    async def aabandon(self, error: BaseException) -> None:
        """As `abandon`, without blocking the event loop."""
        if isinstance(error, GeneratorExit):
            self.abandon(error)  # the loop has dropped this coroutine: there is no more awaiting
            return
        for ending in self._all():
            ending._close()
            try:
                ending._report(await afinalize(ending.request_id, None, failed=True), error)
            except Error:
                _log.exception("finalizing %r after %s failed", ending, type(error).__name__)
            ending.is_open = False

    def open_background(self) -> None:
        """The response has been sent: what still runs for this request has a scope of its own."""
        self._background = background = _Background(self)
        background._open()

    def heir(self) -> Scope:
        """The scope of what runs after the response, while that is open."""
        background = self._background
        if background is None or background.ended:
            return super().heir()
        return background

    def end_background(self) -> None:
        """Finalize what ran after the response. Raises what made a commit fail."""
        if self._background is not None:
            _end_background(self._background)

    async def aend_background(self) -> None:
        """As `end_background`, without blocking the event loop."""
        background = self._background
        if background is None:
            return
        background._close()
        aborted = None
        if _native.sessions(background.request_id, None):
            aborted = await afinalize(background.request_id, None)
        background.is_open = False
        _log_aborted(background, aborted)

    def _all(self) -> tuple[Scope, ...]:
        return (self,) if self._background is None else (self, self._background)

    def _open_sessions(self) -> list[DbSession]:
        found: list[DbSession] = _native.sessions(self.request_id, None)
        return found


class _Current:
    """The context manager of `RequestScope.current()`: a class, since it is entered per request."""

    __slots__ = ("_request", "_token")

    def __init__(self, request: RequestScope) -> None:
        self._request = request

    def __enter__(self) -> None:
        self._token = _current.set(self._request)

    def __exit__(self, *_: object) -> None:
        try:
            _current.reset(self._token)
        except ValueError:
            # A coroutine that its loop drops is closed in another context than it ran in.
            _log.debug("%r was left in a context that did not enter it", self._request)


class _Background(Scope):
    """What runs after a request's response. Its id is made of the request's, which is unique."""

    __slots__ = ()

    def __init__(self, request: RequestScope) -> None:
        self.request_id = f"{request.request_id}/background"
        self.ended = False
        self._entered = False
        self._outer = None


def carries_scope(carrier: Mapping[str, object]) -> bool:
    """Whether a middleware further out has opened the request's scope already."""
    holder = carrier.get(SCOPE_KEY)
    return isinstance(holder, Scope) and not holder.ended


def check_options(rollback_on: object, finalize: object) -> None:
    """Raise TypeError or ValueError for options that no middleware can work with."""
    if not hasattr(rollback_on, "__contains__"):
        raise TypeError(
            "rollback_on must be a container of status codes, such as range(500, 600) or (), not "
            f"{type(rollback_on).__name__}"
        )
    if finalize not in FINALIZE:
        raise ValueError(f"finalize must be one of: {', '.join(FINALIZE)}")


def _end_background(background: Scope) -> None:
    background._close()
    aborted = finalize(background.request_id, None)
    background.is_open = False
    _log_aborted(background, aborted)


def _log_aborted(background: Scope, aborted: TransactionAborted | None) -> None:
    if aborted is not None:
        _log.error(
            "nothing of a transaction of %r was committed: it had been aborted",
            background,
            exc_info=aborted,
        )


def _printable(client_id: str | None) -> str:
    """What of a client's own id may go into a log: one line of it, and not a long one."""
    if not client_id:
        return ""
    return "".join(c if c.isprintable() else "?" for c in client_id[:_LONGEST_ID])
