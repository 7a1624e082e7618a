"""Request scopes: which request is meant, and that its sessions end with it.

A scope gives its sessions an id and finalizes them when it ends. The ContextVar makes the innermost
open one the request that `db()` without an argument means, also in the tasks and threads that
inherit its context. A scope that has ended stays closed: whoever still refers to it gets
SessionClosed. State here needs no lock, for each step on shared data is one operation on a dict;
so a forked child inherits it whole.
"""

from __future__ import annotations

import logging
import os
from _thread import get_ident
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from hypern import _native
from hypern.errors import InterfaceError, SessionClosed

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from contextvars import Token
    from types import TracebackType
    from typing import NoReturn

    from hypern._session import DbSession

    _Failure = tuple[str, BaseException]  # an alias, and why its session could not be finalized

_log = logging.getLogger("hypern")

# Where a middleware leaves its Scope: in an ASGI scope, a WSGI environ or Django's META.
SCOPE_KEY: Final = "hypern.scope"

# Ids that are made here can be told from those that a user names, and only the latter open anew.
_GENERATED: Final = "hypern:"

# How long (seconds) a statement that another thread still runs is waited for before it is
# cancelled.
_GRACE_SECS: Final = 1.0


class Current:
    """The type of `CURRENT`: the argument that stands for the current scope."""

    def __repr__(self) -> str:
        return "<the current scope>"


CURRENT: Final = Current()

_current: ContextVar[Scope | None] = ContextVar("hypern.scope", default=None)
_open_generated: dict[str, Scope] = {}  # by request id


def scope(request_id: str | None = None) -> Scope:
    """A scope for `with` or `async with`: jobs, scripts, tasks of a queue, any framework.

    request_id: str, the scope's id, for logs and for `db("its-id")` elsewhere; None: a unique one.
    Inside, `db()` means this scope. At the end each of its sessions is finalized: committed, or
    rolled back if the block raised. The first failure to commit is raised, unless the block itself
    raised. Raises TypeError or ValueError for a request_id that is no str or empty.
    """
    return Scope(request_id)


class Scope:
    """One request's scope; entered once. `request_id` (str) is its id."""

    __slots__ = ("__weakref__", "_entered", "_outer", "_thread", "_token", "ended", "request_id")

    def __init__(self, request_id: str | None = None) -> None:
        if request_id is None:
            request_id = _GENERATED + os.urandom(12).hex()
        elif not isinstance(request_id, str):
            raise TypeError(f"request_id must be a str, not {type(request_id).__name__}")
        elif not request_id or request_id.startswith(_GENERATED):
            raise ValueError(f'request_id must not be empty, nor start with "{_GENERATED}"')
        self.request_id = request_id
        self.ended = False
        self._entered = False
        self._outer: Scope | None = None
        self._thread = 0  # where it was opened
        self._token: Token[Scope | None] | None = None

    def __repr__(self) -> str:
        word = "ended" if self.ended else "open" if self._entered else "new"
        return f"<hypern scope {self.request_id!r}, {word}>"

    def __enter__(self) -> Scope:
        if self._entered:
            raise InterfaceError(f"{self!r} has been entered already; call scope() anew")
        self._outer = outer = _current.get()
        while outer is not None:
            if outer.request_id == self.request_id and not outer.ended:
                raise InterfaceError(f'a scope "{self.request_id}" is open around this one')
            outer = outer._outer
        self._open()
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()
        self._finalize(exc)

    async def __aenter__(self) -> Scope:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()
        if exc_type is GeneratorExit:  # of a coroutine that nobody drives any more: it cannot wait
            self._finalize(exc)
            return
        try:
            await afinalize(self.request_id, None, failed=exc is not None)
        except Exception:
            if exc is None:
                raise
            _log.exception("finalizing %r after an error failed", self)

    def heir(self) -> Scope:
        """The scope that is meant by this one after its end; none here, so SessionClosed."""
        raise closed(self.request_id)

    def _open(self) -> None:
        self._entered = True
        self._thread = get_ident()
        if self.request_id.startswith(_GENERATED):
            _open_generated[self.request_id] = self

    def _close(self) -> None:
        """End the scope: from here on nobody can open a session in it."""
        self.ended = True
        _open_generated.pop(self.request_id, None)

    def _leave(self) -> None:
        self._close()
        token, self._token = self._token, None
        if token is not None:
            try:
                _current.reset(token)
            except ValueError:
                # Left in another context than it was entered in, as some test runners and servers
                # do with generators. `ended` closes it there too.
                _log.debug("%r was left in a context that did not enter it", self)

    def _finalize(self, exc: BaseException | None) -> None:
        try:
            finalize(self.request_id, None, failed=exc is not None)
        except Exception:
            if exc is None:
                raise
            _log.exception("finalizing %r after an error failed", self)


def identify(ctx_or_request_id: object) -> tuple[str, Scope | None]:
    """The request id that an argument of `db()` means, and the scope it belongs to, if any.

    Raises InterfaceError for no argument outside every scope, SessionClosed for a scope that has
    ended, TypeError for an object that means no request, ValueError for an empty id.
    """
    owner: Scope | None
    if isinstance(ctx_or_request_id, str):
        if not ctx_or_request_id.startswith(_GENERATED):
            if not ctx_or_request_id:
                raise ValueError("a request id must not be empty")
            return ctx_or_request_id, None
        owner = _open_generated.get(ctx_or_request_id)
        if owner is None:
            raise closed(ctx_or_request_id)
        return ctx_or_request_id, owner
    if ctx_or_request_id is CURRENT:
        owner = _current.get()
        if owner is None:
            raise InterfaceError(
                "no request is current: add DatabaseMiddleware (hypern.middleware) to the "
                "application, open one with hypern.database.scope(), or pass a request id"
            )
    else:
        owner = _carried_by(ctx_or_request_id)
        if owner is None:
            request_id = getattr(ctx_or_request_id, "request_id", None)
            if isinstance(request_id, str):
                return identify(request_id)
            raise TypeError(
                "pass a request id (str), an object with a str request_id, a request that "
                "DatabaseMiddleware has seen, or nothing for the current one; not "
                f"{type(ctx_or_request_id).__name__}"
            )
    if owner.ended:
        owner = owner.heir()
    if not owner._entered:
        raise InterfaceError(f"{owner!r} has not been entered; use it in a with statement")
    return owner.request_id, owner


def thread_of(request_id: str) -> int:
    """The identifier of the thread that opened the scope of a request; 0 where none is known."""
    owner = _open_generated.get(request_id)
    return 0 if owner is None else owner._thread


def closed(request_id: str) -> SessionClosed:
    """The error for using a scope that has ended."""
    return SessionClosed(f'the scope of request "{request_id}" has ended')


def _carried_by(request: object) -> Scope | None:
    """The scope that a middleware left in a framework's request, or in its raw form, a dict.

    It counts before any `request_id` that the request may have: another middleware may have taken
    that from a header, and a client must not choose whose session it gets.
    """
    if isinstance(request, Scope):
        return request
    if isinstance(request, dict):
        holder = request.get(SCOPE_KEY)
        return holder if isinstance(holder, Scope) else None
    for name in ("scope", "environ", "META"):
        carrier = getattr(request, name, None)
        if isinstance(carrier, dict):
            holder = carrier.get(SCOPE_KEY)
            if isinstance(holder, Scope):
                return holder
    return None


def finalize(request_id: str, alias: str | None, *, failed: bool = False) -> bool:
    """Finalize a request's sessions, all of them whatever happens to one; then raise the first
    failure. The others are logged.

    alias: that database only; None: every one. failed: roll back what is open. Returns whether a
    transaction that was to be committed had been aborted, by an error that the caller was given.
    """
    aborted = False
    failures: list[_Failure] = []
    for session in _native.sessions(request_id, alias):
        try:
            if failed:
                session.set_error()
            aborted |= session._finalize(_GRACE_SECS)
        except BaseException as error:  # a Ctrl-C here must not leave the others open
            failures.append((session.alias, error))
    if failures:
        _raise_first(request_id, failures)
    return aborted


def afinalize(request_id: str, alias: str | None, *, failed: bool = False) -> Awaitable[bool]:
    """As `finalize`, to be awaited at once. A task that is cancelled meanwhile leaves its sessions
    to the background, where they are finalized all the same.
    """
    sessions: list[DbSession] = _native.sessions(request_id, alias)
    if len(sessions) == 1 and not failed:  # the usual case, without a coroutine around its own
        return _native.AsyncSession(sessions[0])._finalize(_GRACE_SECS)
    return _afinalize_all(request_id, sessions, failed)


async def _afinalize_all(request_id: str, sessions: list[DbSession], failed: bool) -> bool:
    aborted = False
    failures: list[_Failure] = []
    for session in sessions:
        try:
            if failed:
                session.set_error()
            aborted |= await _native.AsyncSession(session)._finalize(_GRACE_SECS)
        except BaseException as error:
            failures.append((session.alias, error))
    if failures:
        _raise_first(request_id, failures)
    return aborted


def _raise_first(request_id: str, failures: list[_Failure]) -> NoReturn:
    """Raise the first of the failures to finalize a request's sessions; log the others."""
    for alias, error in failures[1:]:
        _log.error('finalizing "%s" of request "%s" failed too', alias, request_id, exc_info=error)
    raise failures[0][1]
