"""What a pool calls after each statement: the slow-query log and the hooks of `on_statement` and
`on_event`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from hypern._event import Event
from hypern.errors import ConnectionLost, Error, PoolClosed, PoolTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    # (sql, seconds, rows, sqlstate): the statement's text without parameters, the time from call
    # to result, the rows affected or returned, and the error's SQLSTATE, None on success.
    StatementHook = Callable[[str, float, int, str | None], object]
    EventHook = Callable[[Event], object]
    from hypern import _native

    # (session, method, sql, parameters, batch, where, wait_secs, seconds, rows, error), as the
    # extension calls it: parameters and batch are -1 if there are none, where is "host\0port".
    Observer = Callable[
        [
            _native.Session,
            str,
            str,
            int,
            int,
            str | None,
            float,
            float,
            int,
            BaseException | None,
        ],
        object,
    ]

_H = TypeVar("_H")

_log = logging.getLogger("hypern")

# Codes for errors that no server has sent: the SQL standard's for a connection, and that of its
# call-level interface for anything else.
_CONNECTION_FAILURE = "08006"
_NO_CONNECTION = "08003"
_UNABLE_TO_CONNECT = "08001"
_GENERAL_ERROR = "HY000"


class _Hooks(NamedTuple):
    of_statements: tuple[StatementHook, ...] = ()
    of_events: tuple[EventHook, ...] = ()


# All hooks; replaced as a whole. Observers look them up at each call: sessions of a closed pool
# keep its observer.
_hooks = _Hooks()


def add_statement_hook(hook: StatementHook | None) -> None:
    """Add a hook, unless it is one already; None removes all."""
    global _hooks
    _hooks = _hooks._replace(of_statements=_added(_hooks.of_statements, hook))


def add_event_hook(hook: EventHook | None) -> None:
    """Add a hook, unless it is one already; None removes all."""
    global _hooks
    _hooks = _hooks._replace(of_events=_added(_hooks.of_events, hook))


def _added(hooks: tuple[_H, ...], hook: _H | None) -> tuple[_H, ...]:
    if hook is None:
        return ()
    if not callable(hook):
        raise TypeError(f"a hook must be a callable or None, not {type(hook).__name__}")
    return hooks if hook in hooks else (*hooks, hook)


def observer(alias: str, database: str, slow_query_secs: float | None) -> Observer | None:
    """The function for a pool to call after each statement; None, which spares the timing, if there
    is neither a hook nor a slow-query log.

    An exception of a hook is logged: it must not hide a statement's own error, nor make a statement
    that succeeded look failed.
    """
    if slow_query_secs is None and _hooks == ((), ()):
        return None

    def observe(
        session: _native.Session,
        method: str,
        sql: str,
        parameters: int,
        batch: int,
        where: str | None,
        wait_secs: float,
        seconds: float,
        rows: int,
        error: BaseException | None,
    ) -> None:
        hooks = _hooks
        sqlstate = _sqlstate(error)
        if slow_query_secs is not None and seconds >= slow_query_secs:
            label = getattr(session, "label", None)
            _log_slow(alias, label, sql, seconds, rows, sqlstate)
        for told in hooks.of_statements:
            try:
                told(sql, seconds, rows, sqlstate)
            except Exception:
                _log.exception("the on_statement hook %r failed", told)
        if not hooks.of_events:
            return
        host, port = _address(where)
        event = Event(
            alias=alias,
            request_id=session.request_id,
            label=getattr(session, "label", None),
            method=method,
            sql=sql,
            parameters=parameters if parameters >= 0 else None,
            batch_size=batch if batch >= 0 else None,
            wait_secs=wait_secs,
            seconds=seconds,
            rows=rows,
            sqlstate=sqlstate,
            error=error,
            host=host,
            port=port,
            database=database,
        )
        for hook in hooks.of_events:
            try:
                hook(event)
            except Exception:
                _log.exception("the on_event hook %r failed", hook)

    return observe


def _log_slow(
    alias: str, label: str | None, sql: str, seconds: float, rows: int, sqlstate: str | None
) -> None:
    _log.warning(
        'slow query on "%s"%s: %.3f s, %d rows, %s: %s',
        alias,
        "" if label is None else f", {label}",
        seconds,
        rows,
        f"SQLSTATE {sqlstate}" if sqlstate else "no error",
        sql,
    )


def _address(where: str | None) -> tuple[str | None, int | None]:
    if where is None:
        return None, None
    host, _, port = where.partition("\0")
    return host, int(port) if port.isdecimal() else None


def _sqlstate(error: BaseException | None) -> str | None:
    """The code of an error, which always has one; None on success."""
    if error is None:
        return None
    if isinstance(error, Error) and error.sqlstate:
        return error.sqlstate
    if isinstance(error, ConnectionLost):
        return _CONNECTION_FAILURE
    if isinstance(error, PoolTimeout):
        return _UNABLE_TO_CONNECT
    if isinstance(error, PoolClosed):
        return _NO_CONNECTION
    return _GENERAL_ERROR
