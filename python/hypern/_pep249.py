"""The base classes of every database error, laid out as PEP 249 names them.

They are public as `hypern.errors`; they stand alone so that the generated classes below them and
the functions that choose among them do not import each other in a circle.
"""

from __future__ import annotations


class Error(RuntimeError):
    """Any error of this package or of the server.

    `str()` of a server's error reads `PostgreSQL error: <message> (SQLSTATE <code>)`; the detail,
    which may repeat values of the row, is an attribute only. The attributes are the fields of
    PostgreSQL's ErrorResponse (documentation, "Error and Notice Message Fields"), None where the
    server sent none or where the error is not the server's:

    sqlstate, severity, message, detail, hint : str or None
    constraint, schema, table, column, datatype : str or None
        what the error is about, by name
    position : int or None
        where in the statement, in characters, from 1
    sql : str or None
        the statement, without its parameters; the first 64 KiB of a longer one
    row : int or None
        which row of `execute_many`, from 0
    safe_to_retry : bool
        True only where nothing of the statement can have been run
    """

    sqlstate: str | None = None
    severity: str | None = None
    detail: str | None = None
    hint: str | None = None
    constraint: str | None = None
    schema: str | None = None
    table: str | None = None
    column: str | None = None
    datatype: str | None = None
    position: int | None = None
    sql: str | None = None
    row: int | None = None
    safe_to_retry: bool = False

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        if self.severity is not None:  # only the server sends one
            return f"PostgreSQL error: {self.message} (SQLSTATE {self.sqlstate})"
        if self.sqlstate is not None:
            return f"{self.message} (SQLSTATE {self.sqlstate})"
        return self.message


class InterfaceError(Error):
    """The package was used in a way that cannot work; the server was not involved."""


class DatabaseError(Error):
    """The database, or the way to it, failed."""


class DataError(DatabaseError):
    """A value does not fit: out of range, malformed, or not to be had in Python."""


class OperationalError(DatabaseError):
    """The server or the connection failed, or a resource ran out; not the statement's fault."""


class IntegrityError(DatabaseError):
    """A constraint forbids the change."""


class InternalError(DatabaseError):
    """The server's own state forbids the statement, or the server met a fault of its own."""


class ProgrammingError(DatabaseError):
    """The statement or its parameters are wrong."""


class NotSupportedError(DatabaseError):
    """The server, or this package, does not offer what was asked for."""
