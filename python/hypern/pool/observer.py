"""What is told after each statement: the slow-query log, and the one hook of `on_statement`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypern.errors import ConnectionLost, Error, PoolClosed, PoolTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    # (sql, seconds, rows, sqlstate): the statement's text without parameters, the time from call
    # to result, the rows affected or returned, and the error's SQLSTATE; None: it succeeded.
    StatementHook = Callable[[str, float, int, str | None], object]
    # What a pool calls: as a hook, but with the exception itself.
    Observer = Callable[[str, float, int, BaseException | None], object]

_log = logging.getLogger("hypern")


# For errors that no server has sent: the SQL standard's codes for a connection, and that of its
# call-level interface for anything else.
_CONNECTION_FAILURE = "08006"
_NO_CONNECTION = "08003"
_UNABLE_TO_CONNECT = "08001"
_GENERAL_ERROR = "HY000"


# The one hook; asked for at each call, since sessions of a closed pool keep that pool's observer.
_hook: StatementHook | None = None


def set_hook(hook: StatementHook | None) -> None:
    """Make it the hook that every observer calls."""
    global _hook
    _hook = hook


def observer(alias: str, slow_query_secs: float | None) -> Observer | None:
    """What a pool should call after each statement; None where nobody listens.

    With None nothing is timed. An exception of the hook is logged: it must neither hide a
    statement's own error nor make a statement that succeeded look failed.
    """
    if slow_query_secs is None:
        return None if _hook is None else _tell_hook
    slow = slow_query_secs

    def observe(sql: str, seconds: float, rows: int, error: BaseException | None) -> None:
        if seconds >= slow:
            sqlstate = _sqlstate(error)
            _log.warning(
                'slow query on "%s": %.3f s, %d rows, %s: %s',
                alias,
                seconds,
                rows,
                f"SQLSTATE {sqlstate}" if sqlstate else "no error",
                sql,
            )
        _tell_hook(sql, seconds, rows, error)

    return observe


def _sqlstate(error: BaseException | None) -> str | None:
    """None for success alone: an error always has a code."""
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


def _tell_hook(sql: str, seconds: float, rows: int, error: BaseException | None) -> None:
    hook = _hook
    if hook is None:
        return
    try:
        hook(sql, seconds, rows, _sqlstate(error))
    except Exception:
        _log.exception("the on_statement hook failed")
