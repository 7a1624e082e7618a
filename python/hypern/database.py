"""The public interface: configure databases, get a request's session, finalize it.

Call `Database.configure` once per alias, then `db(ctx)` wherever a request is handled; the
middleware, a `scope()` or `finalize_db(ctx)` finalizes its sessions. Each statement commits by
itself unless a transaction is open: `session.transaction()`, `session.begin()`, or the first
statement in an atomic scope. Most of the file is the docstrings of `Database`.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

# The extension calls _standstill, rows and sql._resolve when they are first needed. They are
# imported here: a child that another thread forks during an import waits for its end forever.
from hypern import _standstill  # noqa: F401
from hypern._event import Event
from hypern._literals import Infinity, Isolation, Pooler, Reset, State, StatementCache
from hypern._notice import Notice
from hypern._range import Range
from hypern._result import Column, Description, Parameter, Result
from hypern._status import Holder, PoolStatus
from hypern.config.settings import PoolConfig
from hypern.errors import SessionClosed
from hypern.listening.events import Notification, Reconnected
from hypern.listening.listener import AsyncListener, Listener, listen
from hypern.pool import attendant, notices, registry
from hypern.pool.off_loop import off_loop
from hypern.rows import fit, plan  # noqa: F401
from hypern.scope.identify import CURRENT, identify
from hypern.scope.options import variant
from hypern.scope.scope import Scope, closed, current_scope, scope
from hypern.scope.scoped import scoped
from hypern.session.awaited import AsyncDbSession, AsyncTransaction
from hypern.session.blocking import DbSession, Transaction
from hypern.session.finalizing import borrow, finalizing, report
from hypern.session.steps import awaited, blocking, later, now
from hypern.sql import _resolve  # noqa: F401

# For db(), whose every call looks at them.
_configured, _lenders = registry._configured, registry.lenders

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypern.config.settings import JsonDumps, JsonLoads, Password
    from hypern.pool.attendant import ConnectHook
    from hypern.pool.notices import NoticeHook
    from hypern.pool.observer import EventHook, StatementHook

    _Hook = TypeVar("_Hook", bound=StatementHook | None)
    _EventHook = TypeVar("_EventHook", bound=EventHook | None)
    _NoticeHook = TypeVar("_NoticeHook", bound=NoticeHook | None)
    _ConnectHook = TypeVar("_ConnectHook", bound=ConnectHook)

__all__ = [
    "AsyncDbSession",
    "AsyncListener",
    "AsyncTransaction",
    "Column",
    "Database",
    "DbSession",
    "Description",
    "Event",
    "Holder",
    "Infinity",
    "Isolation",
    "Listener",
    "Notice",
    "Notification",
    "Parameter",
    "PoolStatus",
    "Pooler",
    "Range",
    "Reconnected",
    "Reset",
    "Result",
    "Scope",
    "State",
    "StatementCache",
    "Transaction",
    "adb",
    "afinalize_db",
    "db",
    "finalize_db",
    "listen",
    "register_type",
    "scope",
    "scoped",
]


class Database:
    """Static methods on the pools of this process, one per alias."""

    @staticmethod
    def configure(
        url: str,
        max_size: int = 16,
        min_idle: int | None = None,
        connect_timeout_secs: float = 30,
        idle_timeout_secs: float | None = None,
        max_lifetime_secs: float | None = None,
        test_before_acquire: bool = False,
        keepalive_secs: int | None = None,
        alias: str = "default",
        *,
        acquire_timeout_secs: float | None = None,
        statement_timeout_secs: float | None = None,
        commit_timeout_secs: float | None = 60.0,
        application_name: str | None = None,
        statement_cache: StatementCache = "auto",
        reset: Reset = "full",
        password: str | Password | None = None,
        infinity: Infinity = "error",
        json_loads: JsonLoads | None = None,
        json_dumps: JsonDumps | None = None,
        slow_query_secs: float | None = None,
        statement_max_age_secs: float | None = 60.0,
        atomic: bool = False,
        settings: Literal["required"] | None = None,
        replica: str | None = None,
        replica_wait_secs: float = 0.1,
        sql_comments: bool = False,
        pooler: Pooler = "auto",
        listen_url: str | None = None,
    ) -> None:
        """Configure a database under an alias. The first session connects, not this call.

        A setting that is not given here is taken from the URL, then the service file, then the
        environment (PGHOST and so on), then the default, as in libpq (PostgreSQL, "Database
        Connection Control Functions"). Configuring an alias again with the same settings does
        nothing.

        url: str, a postgresql:// URL or key=value pairs, with libpq's keywords
        max_size: int, the most connections that this process opens at a time
        min_idle: int, the number of connections to keep open while idle; None is 0
        connect_timeout_secs: seconds for one connect; if left at 30, connect_timeout from the URL
            applies
        idle_timeout_secs: seconds after which an idle connection above min_idle is closed; None
            keeps it open
        max_lifetime_secs: seconds after which a connection is replaced, less some jitter, so that
            connections do not end together; None never replaces one
        test_before_acquire: bool, whether to test a connection with a round trip before it is used
        keepalive_secs: int, seconds of silence before a TCP keepalive probe; None is 30
        alias: str, the name for `db(ctx, alias=...)`
        acquire_timeout_secs: seconds to wait for a free connection; None is connect_timeout_secs
        statement_timeout_secs: seconds after which the server cancels a statement; None leaves the
            server's setting
        commit_timeout_secs: seconds to wait for the answer to a COMMIT, after which its connection
            is closed and the outcome is unknown (ConnectionLost); None waits as long as TCP keeps
            the connection
        application_name: str, shown by pg_stat_activity; None is the URL's, else "hypern"
        statement_cache: "named" prepares a statement once per connection; "describe" keeps only its
            description, which a pooler in transaction mode requires; "off" keeps nothing; "auto" is
            "named", or "describe" if a pooler is detected
        reset: what to undo when a connection is given back. "full" undoes what DISCARD ALL does
            (see docs/reliability.md); "transaction" and "off" roll back an open transaction only
        password: str, or a callable without arguments that returns one, called for every connection
            that is made, in a thread of hypern's; if it is async, on an event loop of that thread
        infinity: "error" raises DataError for an infinite date or timestamp; "minmax" returns
            datetime's minimum or maximum
        json_loads, json_dumps: callables to parse and write json and jsonb; None is the built-in
        slow_query_secs: seconds from which a statement is logged, by the logger "hypern"; None logs
            none
        statement_max_age_secs: seconds for which a prepared statement is reused before it is parsed
            and described again, since another session may have changed the schema; None is no limit
        atomic: bool, whether a request's first statement begins a transaction, which ends with the
            request; the default of `scope(atomic=...)` on this alias
        settings: "required" refuses a statement whose scope has no settings= (InterfaceError)
        replica: str, where sessions that only read connect to, as `url`; its hosts must be standbys
            unless it sets target_session_attrs. Its pool has the same limits. See docs/replicas.md
        replica_wait_secs: seconds for a replica to reach the position of `scope(not_before=...)`,
            after which the primary is read
        sql_comments: bool, whether the label of a statement's scope follows it as a comment, for
            pg_stat_activity and the server's log
        pooler: what url leads to. "auto" finds out; "none" is the server itself, "session" a pooler
            in session mode, "shared" one whose clients share its servers
        listen_url: str, as url: the server's own address for `listen`, where url leads to a pooler
            that shares its servers; None is url

        Raises ConfigurationError for settings that cannot work, or that differ from the alias's
        present ones. Its text never contains a password.
        """
        registry.configure(
            alias,
            PoolConfig(
                url=url,
                max_size=max_size,
                min_idle=min_idle,
                connect_timeout_secs=connect_timeout_secs,
                idle_timeout_secs=idle_timeout_secs,
                max_lifetime_secs=max_lifetime_secs,
                test_before_acquire=test_before_acquire,
                keepalive_secs=keepalive_secs,
                acquire_timeout_secs=acquire_timeout_secs,
                statement_timeout_secs=statement_timeout_secs,
                commit_timeout_secs=commit_timeout_secs,
                application_name=application_name,
                statement_cache=statement_cache,
                reset=reset,
                password=password,
                infinity=infinity,
                json_loads=json_loads,
                json_dumps=json_dumps,
                slow_query_secs=slow_query_secs,
                statement_max_age_secs=statement_max_age_secs,
                atomic=atomic,
                settings=settings,
                replica=replica,
                replica_wait_secs=replica_wait_secs,
                sql_comments=sql_comments,
                pooler=pooler,
                listen_url=listen_url,
            ),
        )

    @staticmethod
    def is_configured(alias: str = "default") -> bool:
        """Whether a database is configured under the alias."""
        return registry.is_configured(alias)

    @staticmethod
    def aliases() -> tuple[str, ...]:
        """The configured aliases, in the order in which they were configured."""
        return registry.aliases()

    @staticmethod
    def status(alias: str = "default") -> PoolStatus:
        """The pool's status in this process; before its first use, zeros and max_size.

        Raises ConfigurationError for an unknown alias.
        """
        return registry.status(alias)

    @staticmethod
    def ready(alias: str = "default", timeout: float | None = None) -> None:
        """Connect, and wait until min_idle connections are open: for start-up and readiness probes.

        timeout: seconds; None is acquire_timeout_secs. Raises the error that keeps the database
        from being used, PoolTimeout or QueryCanceled after the timeout, ConfigurationError for an
        unknown alias.
        """
        registry.ready(alias, timeout)

    @staticmethod
    async def aready(alias: str = "default", timeout: float | None = None) -> None:
        """As `ready`, without blocking the event loop."""
        await off_loop(registry.ready, alias, timeout)

    @staticmethod
    def drain(alias: str = "default") -> None:
        """Replace the pool's connections, after a change of the server's settings or a failover for
        instance. Idle ones are closed at once, those in use when they are given back.

        Raises ConfigurationError for an unknown alias.
        """
        registry.drain(alias)

    @staticmethod
    def close(alias: str | None = None) -> None:
        """Close one pool, or every pool if None, and forget the settings. An unknown alias is
        ignored.

        Idle connections close at once. Running statements are cancelled, and their sessions raise
        PoolClosed. Takes a few seconds at most.
        """
        registry.close(alias)

    @staticmethod
    async def aclose(alias: str | None = None) -> None:
        """As `close`, without blocking the event loop."""
        await off_loop(registry.close, alias)

    @staticmethod
    def on_statement(hook: _Hook) -> _Hook:
        """Add a function to call after every statement in this process; None removes all of them.

        hook: called as `hook(sql, seconds, rows, sqlstate)` in the statement's thread, with its
        text (str, without parameters), the time from call to result (float), the rows affected or
        returned (int), and the error's SQLSTATE (str) or None on success. Errors that the server
        did not send have "08006" (ConnectionLost), "08001" (PoolTimeout), "08003" (PoolClosed) or
        "HY000" (any other). Several hooks are called in the order in which they were added; one
        that was added before is not added again. An exception that a hook raises is logged (logger
        "hypern"), and changes neither the statement's outcome nor what the other hooks are called
        with. Returns the hook, so that this works as a decorator. Raises TypeError for anything
        that cannot be called.
        """
        registry.add_statement_hook(hook)
        return hook

    @staticmethod
    def on_event(hook: _EventHook) -> _EventHook:
        """Add a function to call with an Event after every statement in this process; None removes
        all that were added here.

        hook: called as `hook(event)`. Otherwise as `on_statement`, beside which it can be used.
        """
        registry.add_event_hook(hook)
        return hook

    @staticmethod
    def on_notice(hook: _NoticeHook) -> _NoticeHook:
        """Add a function to call with a Notice for every message that the server sends with a
        statement (NOTICE, WARNING and so on); None removes all that were added here.

        hook: called as `hook(notice)` in the statement's thread, once the statement has ended. The
        logger "hypern.notice" has each message, too. At most 1 MiB of messages is kept for an
        operation. Otherwise as `on_statement`.
        """
        notices.add_hook(hook)
        return hook

    @staticmethod
    @overload
    def on_connect(hook: _ConnectHook, alias: str = "default") -> _ConnectHook: ...
    @staticmethod
    @overload
    def on_connect(
        hook: None = None, alias: str = "default"
    ) -> Callable[[_ConnectHook], _ConnectHook]: ...
    @staticmethod
    def on_connect(hook: Any = None, alias: str = "default") -> Any:
        """Add a function to call once with a session on each new connection to an alias's server,
        for LOAD, a warm-up or SET; what it has set, the role included, is set again behind each
        reset.

        hook: called as `hook(session)` with a DbSession, in a thread of hypern's, before anyone
        gets the connection. It must not be a coroutine function. An exception refuses the
        connection, and is raised to the caller who waits for it. It has connect_timeout_secs.
        Without a hook this is a decorator: `@Database.on_connect(alias="reports")`. Functions stay
        when the pool is closed. Connections that there are already are replaced. Where a pooler
        shares its servers, there is no connection to call it for: NotSupportedError.
        """
        if hook is None:
            return functools.partial(Database.on_connect, alias=alias)
        attendant.add_hook(alias, hook)
        return hook


def db(
    ctx_or_request_id: object = CURRENT, alias: str = "default", *, read_only: bool | None = None
) -> DbSession:
    """The session of a request on a database; the same one for the same id and alias.

    Each statement commits by itself unless a transaction is open: `transaction()`, `begin()`, or
    the first statement in an atomic scope (`atomic=True` for `scope`, the middleware or
    `Database.configure`). That one ends with the request.

    ctx_or_request_id: a request id (str), an object with a str `request_id`, a framework's request
    that DatabaseMiddleware has seen, or nothing for the request that the middleware or `scope()`
    has opened. read_only: True, a session whose transactions are READ ONLY, on a replica if the
    alias has one; False, one on the primary that may write; None, as the scope says. A request can
    have one of each. Raises ConfigurationError for an unknown alias, TypeError for any other object
    (including None), ValueError for an empty id, InterfaceError for no argument outside every
    request, SessionClosed for a scope that has ended.
    """
    if _lenders or alias not in _configured:
        lent = None if read_only else _lent(ctx_or_request_id, alias)
        if lent is not None:
            return lent
    return _own(ctx_or_request_id, alias, read_only)


def _lent(ctx_or_request_id: object, alias: str) -> DbSession | None:
    """The session of this thread's connection in Django, if the ORM can be used in it. A scope
    whose options change what statements do has sessions of its own, which are opened with them.
    """
    registry.find(alias)
    lender = _lenders.get(alias)
    if lender is None:
        return None
    if ctx_or_request_id is CURRENT and current_scope.get() is None:
        return lender()
    request_id, owner = identify(ctx_or_request_id)
    kept = None if owner is None or owner._kept is None else owner.kept(alias)
    if kept is not None and not kept.options.is_plain:
        return None
    session = lender()
    if session is not None:
        borrow(request_id, session)
    return session


def _own(ctx_or_request_id: object, alias: str, read_only: bool | None) -> DbSession:
    """The request's own session on a database."""
    owner = current_scope.get() if ctx_or_request_id is CURRENT else None
    if owner is None or owner.ended or not owner.is_entered:  # else it need not be identified
        request_id, owner = identify(ctx_or_request_id)
    else:
        request_id = owner.request_id
    if read_only is not None:
        if not isinstance(read_only, bool):
            raise TypeError(f"read_only must be a bool, not {type(read_only).__name__}")
        kept = None if owner is None else owner.kept(alias)
        session = registry.open_session(alias, request_id, variant(kept, alias, read_only))
    elif owner is None or owner._kept is None:
        session = registry.open_session(alias, request_id)
    else:
        kept = owner.kept(alias)
        if kept is not None and kept.not_before is not None:
            kept = kept.of(alias, None)
        session = registry.open_session(alias, request_id, kept)
    if owner is not None and owner.ended:
        # Another thread has ended it since identify(), so nobody else will finalize this session.
        report(request_id, now(finalizing(blocking, request_id, alias, failed=True)))
        raise closed(request_id)
    return session


def finalize_db(ctx_or_request_id: object = CURRENT, alias: str | None = None) -> None:
    """Finalize a request's sessions: commit, or roll back if an error was marked or auto-commit is
    off; then give the connections back. An id without sessions is ignored.

    ctx_or_request_id: as for `db`. alias: finalize that database's session only; None finalizes all
    of them. Every session is finalized before the first failure, if any, is raised: a failed commit
    is never silent. Further failures are logged (logger "hypern"). If an error had aborted a
    transaction that was to be committed, TransactionAborted is raised; while another exception is
    being handled, it is logged instead. Inside a transaction() block it rolls back and raises
    InterfaceError.
    """
    try:
        request_id, owner = identify(ctx_or_request_id)
    except SessionClosed:
        return  # its scope has finalized it
    if owner is not None and registry.has_replicas:
        owner.keep_written(alias)
    report(request_id, now(finalizing(blocking, request_id, alias)))


def adb(
    ctx_or_request_id: object = CURRENT, alias: str = "default", *, read_only: bool | None = None
) -> AsyncDbSession:
    """The session of a request on a database, for coroutines; underneath it is the session of `db`.

    adb() never blocks and must not be awaited. Arguments and errors are those of `db`.
    """
    return AsyncDbSession(_own(ctx_or_request_id, alias, read_only))


async def afinalize_db(ctx_or_request_id: object = CURRENT, alias: str | None = None) -> None:
    """As `finalize_db`, awaited. Once begun it continues to its end even if its task is cancelled
    meanwhile; a failure is then logged (logger "hypern").
    """
    try:
        request_id, owner = identify(ctx_or_request_id)
    except SessionClosed:
        return  # its scope has finalized it
    if owner is not None and registry.has_replicas:
        owner.keep_written(alias)
    report(request_id, await later(finalizing(awaited, request_id, alias)))


def register_type(
    name: str,
    loads: Callable[[str], object] | None = None,
    dumps: Callable[[Any], str] | None = None,
    alias: str = "default",
) -> None:
    """Register converters for the values of a type of the database, which are exchanged as text.

    name: str, the type's name in PostgreSQL, with its schema (`schema.name`) or without; a name
    with a schema takes precedence. loads: called with the server's text (str), returns the Python
    value; None returns the text itself. dumps: called with a parameter, returns the text (str);
    with None parameters must be str. The converters of a domain apply to parameters, arrays,
    composites and the columns of tables and views; one that is None is that of its base type. In an
    expression (`x::slug`) they do not apply, since the server reports the base type only. alias:
    str. Raises ConfigurationError for an unknown alias.
    """
    registry.register_type(alias, name, loads, dumps)


def _find_missing(alias: str) -> PoolConfig | None:
    """The settings of an alias that was not configured, in a project of Django's."""
    if "django.db" not in sys.modules:
        return None
    from hypern.web import django_databases

    return django_databases.find(alias)


registry.find_missing = _find_missing


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__name__"]


# Users import them from here, so repr() and pickle name this module rather than an internal one.
for _cls in (AsyncDbSession, AsyncTransaction, DbSession, Scope, Transaction):
    _cls.__module__ = __name__
