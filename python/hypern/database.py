"""The public face: configure databases, get a request's session, end it.

`Database.configure` once per alias, then `db(ctx)` wherever a request is handled; a middleware, a
`scope()` or `finalize_db(ctx)` ends it. Each statement commits by itself unless a transaction is
open: `session.transaction()`, `session.begin()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from hypern import _pools, _scope
from hypern._async_session import AsyncDbSession, AsyncTransaction
from hypern._config import PoolConfig
from hypern._finalizing import afinalize, finalize, report_aborted
from hypern._off_loop import off_loop
from hypern._range import Range
from hypern._scope import Scope, scope
from hypern._session import DbSession, Transaction
from hypern._status import Holder, PoolStatus
from hypern.errors import SessionClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypern._config import JsonDumps, JsonLoads
    from hypern._observer import StatementHook

    _Hook = TypeVar("_Hook", bound=StatementHook | None)

__all__ = [
    "AsyncDbSession",
    "AsyncTransaction",
    "Database",
    "DbSession",
    "Holder",
    "PoolStatus",
    "Range",
    "Scope",
    "Transaction",
    "adb",
    "afinalize_db",
    "db",
    "finalize_db",
    "register_type",
    "scope",
]


class Database:
    """Static methods to configure and look after the pools of this process, one per alias."""

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
        statement_cache: str = "auto",
        reset: str = "full",
        password: str | Callable[[], str] | None = None,
        infinity: str = "error",
        json_loads: JsonLoads | None = None,
        json_dumps: JsonDumps | None = None,
        slow_query_secs: float | None = None,
        statement_max_age_secs: float | None = 60.0,
    ) -> None:
        """Set up a database under an alias. Connects to nothing: the first session does.

        Where a setting is not given here, the URL's counts, then the service file's, then the
        environment's (PGHOST and so on), then the default, as in libpq (PostgreSQL, "Database
        Connection Control Functions"). Configuring an alias again with the same settings does
        nothing.

        url: str, a postgresql:// URL or key=value pairs, with libpq's keywords
        max_size: int, most connections at a time in this process
        min_idle: int, connections kept open while idle; None: 0
        connect_timeout_secs: seconds for one connect; left at 30, connect_timeout in the URL counts
        idle_timeout_secs: seconds after which an idle connection above min_idle is closed; None: no
        max_lifetime_secs: seconds after which a connection is replaced, a little less by chance, so
            that connections do not end together; None: never
        test_before_acquire: bool, ask the server for a sign of life before a connection is used
        keepalive_secs: int, seconds of silence before a TCP keepalive probe; None: 30
        alias: str, the name for `db(ctx, alias=...)`
        acquire_timeout_secs: seconds to wait for a free connection; None: connect_timeout_secs
        statement_timeout_secs: seconds after which the server cancels a statement; None: its own
        commit_timeout_secs: seconds for the answer to a COMMIT; then its connection is closed and
            the outcome unknown (ConnectionLost); None: as long as TCP keeps the connection
        application_name: str, what pg_stat_activity shows; None: the URL's, else "hypern"
        statement_cache: "named": prepared once per connection; "describe": only their descriptions
            are kept, as a pooler in transaction mode needs; "off"; "auto": named, or describe where
            a pooler is noticed
        reset: what is undone when a connection is given back. "full": what DISCARD ALL undoes (see
            docs/reliability.md); "transaction" and "off": an open transaction only
        password: str, or a callable without arguments that returns one, called before a connect
        infinity: "error": a date or timestamp that is infinite raises DataError; "minmax": it is
            datetime's least or greatest
        json_loads, json_dumps: callables to parse and write json and jsonb; None: built in
        slow_query_secs: seconds from which a statement is logged, logger "hypern"; None: none is
        statement_max_age_secs: seconds for which a prepared statement is reused before it is parsed
            and described anew, since another session may have changed the schema; None: no limit

        Raises ConfigurationError for settings that cannot work or that differ from the alias's
        present ones. No text of it shows a password.
        """
        _pools.configure(
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
            ),
        )

    @staticmethod
    def is_configured(alias: str = "default") -> bool:
        """Whether a database is configured under the alias."""
        return _pools.is_configured(alias)

    @staticmethod
    def status(alias: str = "default") -> PoolStatus:
        """The pool's status in this process; before its first use, zeros and max_size.

        Raises ConfigurationError for an unknown alias.
        """
        return _pools.status(alias)

    @staticmethod
    def close(alias: str | None = None) -> None:
        """Close one pool, or with None all, and forget the settings. An unknown alias is fine.

        Idle connections close at once. Statements that still run are cancelled, and their sessions
        raise PoolClosed. Takes a few seconds at most.
        """
        _pools.close(alias)

    @staticmethod
    async def aclose(alias: str | None = None) -> None:
        """As `close`, without blocking the event loop."""
        await off_loop(_pools.close, alias)

    @staticmethod
    def on_statement(hook: _Hook) -> _Hook:
        """Have a function called after each statement of this process; None: no longer.

        hook: called as `hook(sql, seconds, rows, sqlstate)` in the thread of the statement: its
        text (str, no parameters), the time from call to result (float), rows affected or returned
        (int), and None for success or the error's SQLSTATE (str); errors that the server did not
        send have "08006" (ConnectionLost), "08001" (PoolTimeout), "08003" (PoolClosed) or "HY000"
        (any other). There is one hook; setting it replaces it. An exception that it raises is
        logged. Returns the hook, so that this works as a decorator.
        """
        _pools.set_hook(hook)
        return hook


def db(ctx_or_request_id: object = _scope.CURRENT, alias: str = "default") -> DbSession:
    """The session of a request on a database; the same one for the same id and alias.

    ctx_or_request_id: a request id (str), an object with a str `request_id`, a framework's request
    that DatabaseMiddleware has seen, or nothing for the request that the middleware or `scope()`
    has opened. Raises ConfigurationError for an unknown alias, TypeError for any other object (None
    too), ValueError for an empty id, InterfaceError for no argument where no request is open,
    SessionClosed for a scope that has ended.
    """
    request_id, owner = _scope.identify(ctx_or_request_id)
    session = _pools.open_session(alias, request_id)
    if owner is not None and owner.ended:
        # It ended, in another thread, after it was looked at: nobody else will finalize this one.
        finalize(request_id, alias, failed=True)
        raise _scope.closed(request_id)
    return session


def finalize_db(ctx_or_request_id: object = _scope.CURRENT, alias: str | None = None) -> None:
    """End a request's sessions: commit, or roll back where an error was marked or auto-commit is
    off; then give the connections back. An id without sessions is fine.

    ctx_or_request_id: as for `db`. alias: that database's session only; None: all of the request's.
    All of them are ended before the first failure, if any, is raised: a commit that failed is never
    silent. Further failures are logged (logger "hypern"). Where an error had aborted a transaction
    that was to be committed, TransactionAborted is raised; while another exception is being
    handled, it is logged instead. Inside a transaction() block it rolls back and raises an
    InterfaceError.
    """
    try:
        request_id, _ = _scope.identify(ctx_or_request_id)
    except SessionClosed:
        return  # its scope has finalized it
    report_aborted(request_id, finalize(request_id, alias))


def adb(ctx_or_request_id: object = _scope.CURRENT, alias: str = "default") -> AsyncDbSession:
    """The session of a request on a database, to be awaited: the one that `db` gives, underneath.

    Itself it waits for nothing and is not awaited. Arguments and errors are those of `db`.
    """
    return AsyncDbSession(db(ctx_or_request_id, alias))


async def afinalize_db(
    ctx_or_request_id: object = _scope.CURRENT, alias: str | None = None
) -> None:
    """As `finalize_db`, awaited. Once begun, it goes on to its end even where its task is cancelled
    meanwhile; a failure is logged then (logger "hypern").
    """
    try:
        request_id, _ = _scope.identify(ctx_or_request_id)
    except SessionClosed:
        return  # its scope has finalized it
    report_aborted(request_id, await afinalize(request_id, alias))


def register_type(
    name: str,
    loads: Callable[[str], object] | None = None,
    dumps: Callable[[Any], str] | None = None,
    alias: str = "default",
) -> None:
    """Say how values of one of the database's own types are read and written, as text.

    name: str, the type's name in PostgreSQL, with its schema (`schema.name`) or without; the former
    counts for more. loads: called with the server's text (str), returns the Python value; None: the
    text itself. dumps: called with a parameter, returns the text (str); None: parameters are str.
    A domain's serve parameters, arrays, composites and columns of tables and views, and one that is
    None is its base's; of a domain in an expression (`x::slug`) the server names the base only.
    alias: str. Raises ConfigurationError for an unknown alias.
    """
    _pools.register_type(alias, name, loads, dumps)
