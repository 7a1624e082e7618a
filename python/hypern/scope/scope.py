"""`Scope`: gives the sessions of one request an id, and finalizes them when it ends.

The innermost open scope, kept in a ContextVar, is the request that `db()` without an argument
means, also in the tasks and threads that inherit its context. A scope that has ended stays closed:
using it raises SessionClosed. What every scope does as it opens and closes is in the extension;
here is what only scopes with options, sessions or errors need.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from hypern import _native
from hypern.errors import Error, SessionClosed
from hypern.scope.options import ATOMIC, ScopeOptions, keep
from hypern.session.finalizing import abandon, finalizing
from hypern.session.steps import awaited, blocking, later, now

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from contextvars import ContextVar

    from hypern.scope.options import Begin, Kept
    from hypern.session.blocking import DbSession
    from hypern.session.finalizing import Endings
    from hypern.session.steps import Steps, View

_log = logging.getLogger("hypern")

# The prefix of generated ids, which no user's id may have: only a user's id can be opened again.
GENERATED: Final = _native.GENERATED

current_scope: ContextVar[Scope | None] = _native.current_scope


def scope(
    request_id: str | None = None,
    *,
    atomic: bool | Begin | None = None,
    settings: Mapping[str, str] | None = None,
    role: str | None = None,
    read_only: bool | None = None,
    deadline_secs: float | None = None,
    label: str | None = None,
    not_before: str | Mapping[str, str] | None = None,
) -> Scope:
    """A scope for `with` or `async with`: jobs, scripts, tasks of a queue, any framework.

    request_id: str, the scope's id, for logs and for `db("its-id")` elsewhere; None generates a
    unique one. Inside the block `db()` means this scope. At its end each session of the scope is
    finalized: committed, or rolled back if the block raised. The first failure to commit is raised,
    unless the block itself raised; so is TransactionAborted if the block went on after an error
    that had aborted its transaction.

    Without options each statement outside a transaction commits by itself. The options (see
    docs/scopes.md) hold for every session of the scope:

    atomic: True, or a dict of isolation, read_only and deferrable: the first statement on each
        alias begins a transaction, which ends with the scope; commit() ends it earlier, and the
        next statement begins another. None is the alias's `Database.configure(..., atomic=...)`
    settings: the server's settings (str by name) in each of these transactions; implies atomic
    role: the role (str) of each of these transactions; implies atomic
    read_only: True: each of these transactions is READ ONLY, on a replica if the alias has one;
        implies atomic
    deadline_secs: seconds from the scope's opening in which everything but a rollback must end
    label: what the scope does (str), shown where its sessions are: holders, logs and hooks
    not_before: what another scope's `commit_lsn()` returned, or a mapping of it by alias: a replica
        that does not have it within replica_wait_secs is not read, but the primary

    Raises TypeError if request_id is not a str, ValueError if it is empty, ConfigurationError for
    options that cannot work.
    """
    if (
        settings is None
        and role is None
        and read_only is None
        and deadline_secs is None
        and label is None
        and not_before is None
    ):  # not validated, which takes longer than to open a scope
        if atomic is None:
            return Scope(request_id)
        if atomic is True:
            return Scope(request_id, ATOMIC)
    options = ScopeOptions(atomic, settings, role, read_only, deadline_secs, label, not_before)
    return Scope(request_id, options)


class Scope(_native.ScopeBase):
    """One request's scope; it can be entered once. `request_id` (str) is its id.

    The base class has the attributes and the methods that `with` and `async with` call. It calls
    `_finalize` or `_aexit` here where there are sessions, and `_release` if it was interrupted or
    the scope is no longer referenced. `is_open` stays true until the sessions have been finalized.
    """

    __slots__ = ("__weakref__",)

    def __repr__(self) -> str:
        word = "ended" if self.ended else "open" if self.is_entered else "new"
        return f"<hypern scope {self.request_id!r}, {word}>"

    def _resolve(self) -> None:
        """Called where a scope with options is opened: the deadline begins."""
        if isinstance(self._kept, ScopeOptions):
            self._kept = keep(self._kept, time.monotonic())

    def keep_written(self, alias: str | None = None) -> None:
        """Keep what the scope's open sessions have committed, since they are about to end."""
        sessions = _native.sessions(self.request_id, alias)
        self._written += tuple(session for session in sessions if session not in self._written)

    def commit_lsn(self, alias: str = "default") -> str | None:
        """The position of the server's log behind the last commit of the scope on an alias.

        For `scope(read_only=True, not_before=...)`, in this process or another. It is known for
        aliases with a replica only, and also when the scope has ended; None if the scope has
        committed nothing. It begins with the LSN; the timeline and the number of the server's
        system follow, each after a colon. FFFFFFFF/FFFFFFFF stands for a commit whose position is
        not known: it is read on the primary.
        """
        return self.commit_lsns().get(alias)

    def commit_lsns(self) -> dict[str, str]:
        """The same of each alias on which the scope has committed something."""
        sessions: list[DbSession] = [*self._written, *_native.sessions(self.request_id, None)]
        return {s.alias: s._commit_lsn for s in sessions if s._commit_lsn is not None}

    def kept(self, alias: str) -> Kept | None:
        """What to open the scope's session on an alias with; None without options. It need not be
        called where `_kept` is None.
        """
        kept = self._kept
        return None if isinstance(kept, ScopeOptions) else kept

    def leaving(self, view: View, error: BaseException | None) -> Steps[None]:
        """Finalize the sessions at the end of a block, which `error` has left, if any."""
        self._leave()
        if isinstance(error, GeneratorExit) and view is not blocking:
            self._finalize(error)  # the coroutine has been dropped, and cannot await any more
            return
        failed = error is not None
        self._finalized((yield from finalizing(view, self.request_id, None, failed)), error)

    def _finalize(self, error: BaseException | None) -> None:
        """The end of a `with` block in which sessions were opened."""
        steps = finalizing(blocking, self.request_id, None, error is not None)
        self._finalized(now(steps), error)

    def _aexit(self, error: BaseException | None) -> Coroutine[None, None, None]:
        return later(self.leaving(awaited, error))

    def _finalized(self, endings: Endings | None, error: BaseException | None) -> None:
        """Raise what went wrong, or log it if an error is on its way out already."""
        try:
            aborted = None if endings is None else endings.outcome()
        except Error:
            self.is_open = False
            if error is None:
                raise
            _log.exception("finalizing %r after %s failed", self, type(error).__name__)
            return
        self.is_open = False
        if aborted is None:
            return
        if error is None:
            raise aborted
        if not isinstance(error, Error):  # an error of the database reports that by itself
            _log.error("nothing of a transaction of %r was committed", self, exc_info=aborted)

    def successor(self) -> Scope:
        """The scope that stands for this one after its end. There is none: raises SessionClosed."""
        raise closed(self.request_id)

    def _release(self) -> None:
        """Finish an end that was interrupted. It may be called again at any time."""
        self._leave()
        abandon(self.request_id)
        self.is_open = False


def open_scope(request_id: str) -> Scope | None:
    """The open scope of a generated request id, or one with options; None if there is none."""
    known = _native.open_scopes.get(request_id)
    return None if known is None else known()


def thread_of(request_id: str) -> int:
    """The identifier of the thread that opened the scope of a generated id; 0 if unknown."""
    owner = open_scope(request_id)
    return 0 if owner is None else owner._thread


def closed(request_id: str) -> SessionClosed:
    """The error for using a scope that has ended."""
    return SessionClosed(
        f'the scope of request "{request_id}" has ended; a task or thread that outlives its '
        "request needs a scope of its own: `with scope():` or `async with scope():` around its work"
    )
