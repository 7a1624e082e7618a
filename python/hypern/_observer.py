"""What is told after each statement: the slow-query log, and the one hook of `on_statement`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    # (sql, seconds, rows, sqlstate): the statement's text without parameters, the time from call
    # to result, the rows affected or returned, and the error's SQLSTATE or None.
    StatementHook = Callable[[str, float, int, str | None], object]

_log = logging.getLogger("hypern")


def observer(
    alias: str, slow_query_secs: float | None, hook: StatementHook | None
) -> StatementHook | None:
    """What a pool should call after each statement; None where nobody listens.

    With None nothing is timed. An exception of the hook is logged: it must neither hide a
    statement's own error nor make a statement that succeeded look failed.
    """
    if slow_query_secs is None:
        return None if hook is None else _guarded(hook)
    slow, guarded = slow_query_secs, None if hook is None else _guarded(hook)

    def observe(sql: str, seconds: float, rows: int, sqlstate: str | None) -> None:
        if seconds >= slow:
            _log.warning(
                'slow query on "%s": %.3f s, %d rows, %s: %s',
                alias,
                seconds,
                rows,
                f"SQLSTATE {sqlstate}" if sqlstate else "no error",
                sql,
            )
        if guarded is not None:
            guarded(sql, seconds, rows, sqlstate)

    return observe


def _guarded(hook: StatementHook) -> StatementHook:
    def call(sql: str, seconds: float, rows: int, sqlstate: str | None) -> None:
        try:
            hook(sql, seconds, rows, sqlstate)
        except Exception:
            _log.exception("the on_statement hook failed")

    return call
