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
from weakref import ref

from hypern import _native
from hypern._finalizing import afinalize, finalize, sessions_of
from hypern.errors import Error, InterfaceError, SessionClosed

if TYPE_CHECKING:
    from hypern.errors import TransactionAborted

_log = logging.getLogger("hypern")

# Where a middleware leaves its Scope: in an ASGI scope, a WSGI environ or Django's META.
SCOPE_KEY: Final = "hypern.scope"

# Ids that are made here can be told from those that a user names, and only the latter open anew.
_GENERATED: Final = "hypern:"


class Current:
    """The type of `CURRENT`: the argument that stands for the current scope."""

    def __repr__(self) -> str:
        return "<the current scope>"


CURRENT: Final = Current()

_current: ContextVar[Scope | None] = ContextVar("hypern.scope", default=None)
# By request id; weakly, since a scope that is forgotten ends.
_open_generated: dict[str, ref[Scope]] = {}


def scope(request_id: str | None = None) -> Scope:
    """A scope for `with` or `async with`: jobs, scripts, tasks of a queue, any framework.

    request_id: str, the scope's id, for logs and for `db("its-id")` elsewhere; None: a unique one.
    Inside, `db()` means this scope. At the end each of its sessions is finalized: committed, or
    rolled back if the block raised. The first failure to commit is raised, unless the block itself
    raised; so is TransactionAborted where the block went on after an error that had aborted its
    transaction. Raises TypeError or ValueError for a request_id that is no str or empty.
    """
    return Scope(request_id)


class Scope(_native.ScopeBase):
    """One request's scope; entered once. `request_id` (str) is its id.

    The base class has the methods that `with` and `async with` call. They call `_enter`, `_exit`
    and `_aexit` here, and `_release` where one of those was interrupted or the scope is forgotten.
    """

    __slots__ = ("__weakref__", "_entered", "_outer", "_thread", "ended", "request_id")

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

    def __repr__(self) -> str:
        word = "ended" if self.ended else "open" if self._entered else "new"
        return f"<hypern scope {self.request_id!r}, {word}>"

    def _enter(self) -> Scope:
        if self._entered:
            raise InterfaceError(f"{self!r} has been entered already; call scope() anew")
        self._outer = outer = _current.get()
        while outer is not None:
            if outer.request_id == self.request_id and not outer.ended:
                raise InterfaceError(f'a scope "{self.request_id}" is open around this one')
            outer = outer._outer
        self._open()
        _current.set(self)
        return self

    def _exit(self, exc: BaseException | None) -> None:
        self._leave()
        try:
            aborted = finalize(self.request_id, None, failed=exc is not None)
        except Error:
            self.is_open = False
            if exc is None:
                raise
            _log.exception("finalizing %r after an error failed", self)
        else:
            self.is_open = False
            self._report(aborted, exc)

    async def _aexit(self, exc: BaseException | None) -> None:
        if isinstance(exc, GeneratorExit):  # of a coroutine that nobody drives: it cannot wait
            self._exit(exc)
            return
        self._leave()
        try:
            aborted = await afinalize(self.request_id, None, failed=exc is not None)
        except Error:
            self.is_open = False
            if exc is None:
                raise
            _log.exception("finalizing %r after an error failed", self)
        else:
            self.is_open = False
            self._report(aborted, exc)

    def _report(self, aborted: TransactionAborted | None, exc: BaseException | None) -> None:
        """Say that nothing was committed: raise it, or log it beside the exception in flight. An
        error of the database's says so itself.
        """
        if aborted is None:
            return
        if exc is None:
            raise aborted
        if not isinstance(exc, Error):
            _log.error("nothing of a transaction of %r was committed", self, exc_info=aborted)

    def _release(self) -> None:
        """End what an interrupted end has left. It may be called again at any time.

        Sessions that are being finalized in the background are left to that.
        """
        self._leave()
        while any(not session._is_finalizing for session in sessions_of(self.request_id, None)):
            try:
                finalize(self.request_id, None, failed=True)
            except Error:
                _log.exception("finalizing %r after an interruption failed", self)
                break
        self.is_open = False

    def heir(self) -> Scope:
        """The scope that is meant by this one after its end; none here, so SessionClosed."""
        raise closed(self.request_id)

    def _open(self) -> None:
        self._entered = self.is_open = True
        self._thread = get_ident()
        if self.request_id.startswith(_GENERATED):
            _open_generated[self.request_id] = ref(self)

    def _close(self) -> None:
        """End the scope: from here on nobody can open a session in it."""
        self.ended = True
        _open_generated.pop(self.request_id, None)

    def _leave(self) -> None:
        self._close()
        # Without the token of set(), which an interruption may have lost. In another context than
        # it was entered in, as some test runners and servers leave generators, it is not the
        # current one; `ended` closes it in its own.
        if _current.get() is self:
            _current.set(self._outer)


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
        entry = _open_generated.get(ctx_or_request_id)
        owner = None if entry is None else entry()
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
    known = _open_generated.get(request_id)
    owner = None if known is None else known()
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
