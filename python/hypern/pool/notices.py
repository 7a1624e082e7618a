"""What the server says beside its answers: the logger "hypern.notice", and the functions of
`Database.on_notice`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypern._notice import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hypern import _native

    NoticeHook = Callable[[Notice], object]

_log = logging.getLogger("hypern.notice")
_errors = logging.getLogger("hypern")

_LEVELS = {
    "DEBUG": logging.DEBUG,
    "LOG": logging.INFO,
    "INFO": logging.INFO,
    "NOTICE": logging.INFO,
    "WARNING": logging.WARNING,
}

# The fields of a message by their codes (PostgreSQL, "Error and Notice Message Fields").
_FIELDS = {
    "V": "severity",  # not translated
    "C": "sqlstate",
    "M": "message",
    "D": "detail",
    "H": "hint",
    "P": "position",
    "s": "schema",
    "t": "table",
    "c": "column",
    "d": "datatype",
    "n": "constraint",
}

_SQL_MAX = 64 << 10  # bytes of a statement to keep, as an error does

_hooks: tuple[NoticeHook, ...] = ()  # replaced as a whole


def add_hook(hook: NoticeHook | None) -> None:
    """Add a function, unless it is there already; None removes all."""
    global _hooks
    if hook is None:
        _hooks = ()
    elif not callable(hook):
        raise TypeError(f"a hook must be a callable or None, not {type(hook).__name__}")
    elif hook not in _hooks:
        _hooks = (*_hooks, hook)


def deliver(session: _native.Session, sql: str | None, frames: bytes) -> None:
    """Log the NoticeResponse messages of one operation, and call the functions with each.

    The extension calls this once the operation has its outcome, which an exception does not change.
    """
    if sql is not None and len(sql) > _SQL_MAX:
        sql = sql[:_SQL_MAX]
    for fields in _parsed(frames):
        notice = _notice(session, sql, fields)
        level = _LEVELS.get(notice.severity.rstrip("12345"), logging.INFO)
        _log.log(level, 'on "%s": %s', session.alias, notice, extra={"notice": notice})
        for hook in _hooks:
            try:
                hook(notice)
            except Exception:
                _errors.exception("the on_notice hook %r failed", hook)


def _parsed(frames: bytes) -> Iterator[dict[str, str]]:
    """The fields of each message by their codes. The lengths have been checked in C."""
    at = 0
    while at < len(frames):
        end = at + 1 + int.from_bytes(frames[at + 1 : at + 5], "big")
        fields = frames[at + 5 : end].split(b"\0")
        yield {chr(field[0]): field[1:].decode(errors="replace") for field in fields if field}
        at = end


def _notice(session: _native.Session, sql: str | None, fields: dict[str, str]) -> Notice:
    named = {name: fields[code] for code, name in _FIELDS.items() if code in fields}
    severity = named.pop("severity", None) or fields.get("S", "NOTICE")
    message = named.pop("message", "")
    position = named.pop("position", "")
    return Notice(
        alias=session.alias,
        request_id=session.request_id,
        sql=sql,
        severity=severity,
        message=message,
        position=int(position) if position.isdecimal() else None,
        **named,
    )
