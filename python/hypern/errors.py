"""The errors of this package: PEP 249's classes, one class per SQLSTATE, and the package's own.

Every class derives from `Error`, which is a RuntimeError. A server's error is an instance of the
class named after its condition (`UniqueViolation` for 23505); a code without a class of its own is
raised as the PEP 249 class of its first two characters, else as `DatabaseError`. All of them can be
pickled.
"""

# ruff: noqa: N818 - the names are those of PostgreSQL's conditions

from __future__ import annotations

import functools
import json
import logging
from typing import Any

from hypern import _sqlstate

# isort: off
from hypern._pep249 import (
    DatabaseError as DatabaseError,
    DataError as DataError,
    Error as Error,
    IntegrityError as IntegrityError,
    InterfaceError as InterfaceError,
    InternalError as InternalError,
    NotSupportedError as NotSupportedError,
    OperationalError as OperationalError,
    ProgrammingError as ProgrammingError,
)

from hypern._sqlstate import *  # noqa: F403
from hypern._sqlstate import BASE_BY_CLASS, InFailedSqlTransaction
# isort: on

_log = logging.getLogger("hypern")


class ConfigurationError(InterfaceError):
    """Settings that cannot work, an alias that is not configured, or one configured twice."""


class SessionClosed(InterfaceError):
    """The session, or the scope it belonged to, has ended."""


class RowMismatch(ProgrammingError):
    """The columns of a statement and the fields of the class given as `into=` do not match. The
    text names both. The statement was not run.
    """


class RowClassError(RowMismatch, TypeError):
    """Rows cannot be made of what was given as `into=`, whatever their columns are: it is no class
    or callable, is abstract, or has an annotation that cannot be read. A TypeError, too.
    """


class ParameterTypeError(DataError, TypeError):
    """A parameter is of a type that cannot be sent as what the statement takes, or `params` is no
    sequence or mapping. Nothing was sent. A TypeError, too.
    """


class ParameterValueError(DataError, ValueError):
    """A parameter has a value that Python itself refuses to convert. Nothing was sent. A
    ValueError, too.
    """


class ParameterOverflowError(DataError, OverflowError):
    """A parameter is larger than what can be sent. Nothing was sent. An OverflowError, too."""


class TransactionAborted(InFailedSqlTransaction):
    """A transaction that was to be committed was rolled back, since an earlier error had aborted
    it. Raised by COMMIT, and by the end of a session that would have committed.

    The earlier error is the `__cause__`.
    """


class NoRows(DatabaseError):
    """A row was required, and the statement returned none."""


class PoolTimeout(OperationalError):
    """No connection became free within `acquire_timeout_secs`. The text lists their holders."""


class PoolClosed(OperationalError):
    """`Database.close()` closed the connection."""


class ConnectionLost(OperationalError):
    """The connection broke. The statement may have run, unless `safe_to_retry`."""


class CoreUnavailable(OperationalError):
    """The core of the package could not be loaded, or has failed and refuses further calls."""


_OWN: tuple[type[Error], ...] = (
    Error,
    InterfaceError,
    DatabaseError,
    DataError,
    OperationalError,
    IntegrityError,
    InternalError,
    ProgrammingError,
    NotSupportedError,
    ConfigurationError,
    SessionClosed,
    RowMismatch,
    RowClassError,
    ParameterTypeError,
    ParameterValueError,
    ParameterOverflowError,
    TransactionAborted,
    NoRows,
    PoolTimeout,
    PoolClosed,
    ConnectionLost,
    CoreUnavailable,
)

_BY_SQLSTATE: dict[str, type[DatabaseError]] = {
    cls.sqlstate: cls for cls in vars(_sqlstate).values() if getattr(cls, "sqlstate", None)
}

_BY_NAME: dict[str, type[Error]] = {cls.__name__: cls for cls in (*_OWN, *_BY_SQLSTATE.values())}

__all__ = [*_BY_NAME, "for_sqlstate"]

# Users import them from here, so tracebacks and pickles name this module.
for _cls in _BY_NAME.values():
    _cls.__module__ = __name__


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__name__"]


def for_sqlstate(sqlstate: str) -> type[DatabaseError]:
    """The exception class of a SQLSTATE, a five-character str.

    An unknown code gets the PEP 249 class of its first two characters, else `DatabaseError`.
    """
    return _BY_SQLSTATE.get(sqlstate) or BASE_BY_CLASS.get(sqlstate[:2], DatabaseError)


_ATTRIBUTES = (
    "sqlstate",
    "severity",
    "detail",
    "hint",
    "constraint",
    "schema",
    "table",
    "column",
    "datatype",
    "position",
    "sql",
    "row",
    "index",
    "statement",
    "line",
    "safe_to_retry",
)


_KEPT = 64  # exceptions that nobody has been given yet

# By ticket: what a function of the user has raised in another thread, for the caller whose
# connection it has failed.
_for_callers: dict[str, BaseException] = {}


def keep_for_caller(ticket: str, error: BaseException) -> None:
    """Have the fault of the core's that names this ticket raise the error itself."""
    while len(_for_callers) >= _KEPT:  # of connections that were made for nobody in particular
        _for_callers.pop(next(iter(_for_callers)), None)
    _for_callers[ticket] = error


def from_core(data: bytes) -> BaseException:
    """The exception from the core's JSON (bytes, UTF-8).

    The object has `message` and, if they apply, `kind` (the name of a class of this module; if it
    is empty, `sqlstate` chooses the class), the attributes of `Error` by name, and `cause`, an
    object of the same form. An object with a `ticket` stands for the exception that was kept
    under it.
    """
    fields = json.loads(data)
    kept = _for_callers.pop(fields.get("ticket"), None)
    return _build(fields) if kept is None else kept


def _build(fields: dict[str, Any]) -> Error:
    sqlstate = fields.get("sqlstate") or ""
    cls = _BY_NAME.get(fields.get("kind") or "") or for_sqlstate(sqlstate)
    error = cls(fields["message"])
    for name in _ATTRIBUTES:
        value = fields.get(name)
        # The core omits what the server did not send, or leaves it empty; row 0 is a row.
        if value or (name in ("row", "index") and value is not None):
            setattr(error, name, value)
    cause = fields.get("cause")
    if cause:
        error.__cause__ = _build(cause)
    return error


def undo_failed(session: object, error: BaseException) -> bool:
    """Log that rolling back a transaction() block failed, if the error is one of these classes.

    The exception that has left the block stays the one that is raised. Returns False for any other
    error, such as one that a signal handler raised, which the caller must raise.
    """
    if not isinstance(error, Error):
        return False
    if isinstance(error, (ConnectionLost, PoolClosed, SessionClosed)):
        _log.debug(
            "nothing left to roll back in %r", session, exc_info=error
        )  # the server has rolled back
    else:
        _log.error("rolling back after an error failed", exc_info=error)
    return True


def pooler_found(alias: str) -> None:
    """Log, once per pool, that its connections go through a pooler that shares servers."""
    _log.info(
        'the database of alias "%s" is behind a pooler in transaction or statement mode: no '
        "statement is kept prepared, and nothing is reset between requests",
        alias,
    )


def reset_incomplete(alias: str, status: bytes | None) -> None:
    """Log, once per pool, which steps of the reset between requests its role may not run.

    status: the pool's, as the core describes it; None if it has been closed meanwhile.
    """
    refused: list[str] = json.loads(status or b"{}").get("refused", [])
    _log.warning(
        'the server of alias "%s" refuses a part of the reset between requests, '
        "which is left out from now on: %s",
        alias,
        "; ".join(refused),
    )


def replica_missed(alias: str, status: bytes | None) -> None:
    """Log, once per outage, that no replica could be reached, so that the primary serves its reads.

    status: the pool's, as the core describes it; None if it has been closed meanwhile.
    """
    replica: dict[str, Any] = json.loads(status or b"{}").get("replica") or {}
    _log.warning(
        'no replica of alias "%s" can be reached, and the primary serves its reads meanwhile: %s',
        alias,
        replica.get("last_error", "no connection was made in time"),
    )


@functools.lru_cache(maxsize=1024)
def rows_dropped(sql: str) -> None:
    """Log, once for a statement's text, that execute_many has dropped the rows that it returns."""
    _log.warning(
        "execute_many drops the rows that the statement returns; query_many returns them. "
        "Statement: %s",
        sql,
    )


def duplicate_columns(sql: str, names: list[str]) -> None:
    """Log that a statement returns several columns of one name; a dict keeps the last of them.

    The extension calls this once per description of a statement. sql: the statement's text. names:
    the column names that occur more than once.
    """
    _log.warning(
        "the statement returns more than one column named %s; the last one is kept. Statement: %s",
        ", ".join(f'"{name}"' for name in names),
        sql,
    )
