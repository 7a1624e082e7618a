"""What a pool calls after each statement: the slow-query log and the hook of `on_statement`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypern.errors import ConnectionLost, Error, PoolClosed, PoolTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    # (sql, seconds, rows, sqlstate): the statement's text without parameters, the time from call
    # to result, the rows affected or returned, and the error's SQLSTATE, None on success.
    StatementHook = Callable[[str, float, int, str | None], object]
    # The same with the exception in place of its SQLSTATE.
    Observer = Callable[[str, float, int, BaseException | None], object]

_log = logging.getLogger("hypern")

# Codes for errors that no server has sent: the SQL standard's for a connection, and that of its
# call-level interface for anything else.
_CONNECTION_FAILURE = "08006"
_NO_CONNECTION = "08003"
_UNABLE_TO_CONNECT = "08001"
_GENERAL_ERROR = "HY000"

# The only hook. Observers look it up at each call: sessions of a closed pool keep its observer.
_hook: StatementHook | None = None


def set_hook(hook: StatementHook | None) -> None:
    """Set the hook that every observer calls."""
    global _hook
    _hook = hook


def observer(alias: str, slow_query_secs: float | None) -> Observer | None:
    """The function for a pool to call after each statement; None, which spares the timing, if there
    is neither a hook nor a slow-query log.

    An exception of the hook is logged: it must not hide a statement's own error, nor make a
    statement that succeeded look failed.
    """
    if slow_query_secs is None:
        return None if _hook is None else _call_hook
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
        _call_hook(sql, seconds, rows, error)

    return observe


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


def _call_hook(sql: str, seconds: float, rows: int, error: BaseException | None) -> None:
    hook = _hook
    if hook is None:
        return
    try:
        hook(sql, seconds, rows, _sqlstate(error))
    except Exception:
        _log.exception("the on_statement hook failed")
