"""The scope of one web request: when its sessions end, and what follows.

The sessions end before the response's first byte is sent, so that a failed commit can still become
a 500. If the body is yet to be produced, transactions end before the first byte, and the sessions
after the body. What runs after the response has another scope (`open_background`), to which every
reference to this one leads.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from hypern import _native
from hypern.errors import InterfaceError, TransactionAborted
from hypern.scope.identify import SCOPE_KEY
from hypern.scope.options import NO_OPTIONS, Kept, ScopeOptions
from hypern.scope.scope import Scope, current_scope
from hypern.session.finalizing import finalizing, leaving_dependencies

if TYPE_CHECKING:
    from hypern.session.blocking import DbSession
    from hypern.session.steps import Steps, View
    from hypern.web.options import Options, Verdict

_log = logging.getLogger("hypern")

_LONGEST_ID: Final = 128

# In the place of options that are not known before the request opens a session.
_NOT_ASKED: Final = Kept(b"", 0.0, 0.0, None, False, None, NO_OPTIONS)


class RequestScope(Scope):
    """One request's scope. `client_id` is its X-Request-ID (str) for logs, "" without one.

    Its courses of action (`starting`, `ending` and so on) are run by `now` or `later`.
    """

    __slots__ = ("_asked", "_background", "_by_alias", "_middleware", "_opened", "client_id")

    def __init__(
        self, client_id: str | None = None, asked: tuple[Options, Any] | None = None
    ) -> None:
        """asked: the middleware, and what the server has called it with."""
        super().__init__()
        self.client_id = _printable(client_id)
        self._background: Scope | None = None
        self._asked = asked  # until the options are known
        self._middleware = None if asked is None else asked[0]
        self._by_alias: dict[str, Kept] = {}  # those that `narrow` has given
        self._opened = 0.0 if asked is None else time.monotonic()
        self.open()
        if asked is not None:
            self._kept = _NOT_ASKED

    def kept(self, alias: str) -> Kept | None:
        """The options, which depend on what is known of the request when it opens a session."""
        return self._by_alias.get(alias) or self._of_all()

    def _of_all(self) -> Kept | None:
        asked = self._asked
        if asked is not None:
            middleware, carrier = asked
            self._kept = middleware.keep(carrier, self._opened)
            self._asked = None
        kept = self._kept
        return None if kept is _NOT_ASKED or isinstance(kept, ScopeOptions) else kept

    def narrow(self, alias: str, options: Mapping[str, Any], carrier: Any) -> None:
        """Give the request's session on an alias options of its own, on top of the middleware's.

        Raises InterfaceError if that session is open without them, ConfigurationError for options
        that cannot work, and what a callable among them raises.
        """
        middleware = self._middleware
        if middleware is None:
            raise InterfaceError(f"{self!r} takes no options: no middleware has opened it")
        asked = middleware.scope_options | options
        kept = middleware.keep(carrier, self._opened, asked) or _NOT_ASKED
        known = self._by_alias.get(alias)
        if known is None and not _native.sessions(self.request_id, alias):
            self._by_alias[alias] = kept
            self._kept = self._kept or _NOT_ASKED  # has kept() called
        elif kept != (known or self._of_all()):
            raise InterfaceError(
                f'the session of this request on "{alias}" is open with other options; declare the '
                "dependency session() with options ahead of what opens it, and only once"
            )

    def close(self) -> None:
        """As the base class. What carries the scope is not referenced any more."""
        super().close()
        asked = self._asked
        if asked is not None and not asked[0].scope_options.asks:
            self._of_all()  # for what runs after the response

    def __repr__(self) -> str:
        name = super().__repr__()
        return f"{name[:-1]}, X-Request-ID {self.client_id!r}>" if self.client_id else name

    def current(self) -> _Current:
        """A block in which `db()` means this request."""
        return _Current(self)

    def starting(
        self, view: View, options: Options, verdict: Verdict, *, is_at_end: bool
    ) -> Steps[None]:
        """End what must have ended before the response's first byte. is_at_end: the sessions live
        until the body has been sent.
        """
        if not is_at_end:
            return self.ending(view, verdict)
        if options.finalize == "auto":
            return self.settling(view, verdict)
        return _nothing()

    def reply(self, options: Options) -> tuple[str, str] | None:
        """The header by which the client's next requests find what this one has committed."""
        carrier = options.scope_options.carrier
        if carrier is None:
            return None
        written = self.commit_lsns()
        if not written:
            return None
        kept = self._kept
        before = kept.not_before if isinstance(kept, Kept) else None
        return carrier.response_header(
            {**before, **written} if isinstance(before, Mapping) else written
        )

    def settling(self, view: View, verdict: Verdict) -> Steps[None]:
        """Commit what is open, or roll it back if the request failed; the sessions stay open. An
        open stream outside a transaction is committed, as any statement is.
        """
        session: DbSession
        for session in _native.sessions(self.request_id, None):
            viewed = view(session)
            if session._open_stream:
                yield viewed._stream_close(session._open_stream)
            error = yield from leaving_dependencies(view, session, verdict.failed)
            if error is not None and (
                verdict.is_success or not isinstance(error, TransactionAborted)
            ):
                raise error
            if not session.is_in_transaction:
                continue
            if verdict.failed or session.has_error or not session.auto_commit:
                yield viewed._rollback_request()
                continue
            try:
                yield viewed._commit_request()
            except TransactionAborted:
                if verdict.is_success:
                    raise

    def ending(self, view: View, verdict: Verdict) -> Steps[None]:
        """Finalize every session. Raises what made a commit fail, and TransactionAborted if the
        response is a success.
        """
        self.close()
        endings = yield from finalizing(
            view, self.request_id, None, verdict.failed, dependencies=True
        )
        aborted = None if endings is None else endings.outcome()
        self.is_open = False
        if aborted is not None and verdict.is_success:
            raise aborted

    def abandoning(self, view: View, error: BaseException) -> Steps[None]:
        """Roll back and release, since `error` is on its way out. Failures are logged."""
        yield from self.leaving(view, error)
        if self._background is not None:
            yield from self._background.leaving(view, error)

    def open_background(self) -> None:
        """Open the scope of what still runs for this request once the response has been sent."""
        self._background = background = _Background(self)
        background.open()

    def successor(self) -> Scope:
        """The scope of what runs after the response, while that is open."""
        background = self._background
        if background is None or background.ended:
            return super().successor()
        return background

    def ending_background(self, view: View) -> Steps[None]:
        """Finalize what ran after the response. Raises what made a commit fail."""
        background = self._background
        if background is None:
            return
        background.close()
        endings = yield from finalizing(view, background.request_id)
        aborted = None if endings is None else endings.outcome()
        background.is_open = False
        if aborted is not None:
            _log.error(
                "nothing of a transaction of %r was committed: it had been aborted",
                background,
                exc_info=aborted,
            )


def _without_deadline(kept: Kept | None) -> Kept | None:
    return None if kept is None else kept._replace(deadline=0.0)


class _Current:
    """The context manager of `RequestScope.current()`: a class, since it is entered per request."""

    __slots__ = ("_request", "_token")

    def __init__(self, request: RequestScope) -> None:
        self._request = request

    def __enter__(self) -> None:
        self._token = current_scope.set(self._request)

    def __exit__(self, *_: object) -> None:
        try:
            current_scope.reset(self._token)
        except ValueError:
            # A coroutine that its loop drops is closed in another context than it ran in.
            _log.debug("%r was left in a context that did not enter it", self._request)


class _Background(Scope):
    """What runs after a request's response. Its id derives from the request's, which is unique. It
    has the request's options, without the deadline.
    """

    __slots__ = ("_asked", "_by_alias")

    def __init__(self, request: RequestScope) -> None:
        # Not the base class's, which would generate an id for each request.
        self.request_id = f"{request.request_id}/background"
        self.ended = False
        self.is_entered = False
        self._outer = None
        self._written = ()
        self._asked = request._asked
        self._kept = request._kept
        self._by_alias = request._by_alias
        if self._asked is None and self._kept is not _NOT_ASKED:
            self._kept = _without_deadline(request._of_all())
        request._asked = None

    def kept(self, alias: str) -> Kept | None:
        given = self._by_alias.get(alias)
        if given is not None:
            return _without_deadline(given)
        asked = self._asked
        if asked is not None:
            middleware, carrier = asked
            self._kept = _without_deadline(middleware.keep(carrier, 0.0))
            self._asked = None
        return None if self._kept is _NOT_ASKED else super().kept(alias)


def carries_scope(carrier: Mapping[str, object]) -> bool:
    """Whether an outer middleware has already opened the request's scope."""
    holder = carrier.get(SCOPE_KEY)
    return isinstance(holder, Scope) and not holder.ended


def _nothing() -> Steps[None]:
    yield from ()


def _printable(client_id: str | None) -> str:
    """The part of a client's own id that may go into a log: one line, not too long."""
    if not client_id:
        return ""
    return "".join(c if c.isprintable() else "?" for c in client_id[:_LONGEST_ID])
