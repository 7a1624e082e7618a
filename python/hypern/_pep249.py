"""The base classes of every database error, as named by PEP 249.

They are public in `hypern.errors`, which imports both them and the generated classes derived from
them; a module of their own avoids a circular import.
"""

from __future__ import annotations


class Error(RuntimeError):
    """Any error of this package or of the server.

    `str()` of a server's error reads `PostgreSQL error: <message> (SQLSTATE <code>)`. The detail
    is an attribute only, since it may contain values of the row. The attributes are the fields of
    PostgreSQL's ErrorResponse (documentation, "Error and Notice Message Fields"), None if the
    server sent none or the error is not the server's:

    sqlstate, severity, message, detail, hint : str or None
    constraint, schema, table, column, datatype : str or None
        the names of the objects that the error concerns
    position : int or None
        the position in the statement, in characters, from 1
    sql : str or None
        the statement, without its parameters; the first 64 KiB of a longer one
    row : int or None
        the row of `execute_many` or `query_many`, from 0
    index : int or None
        the statement of a batch, from 0
    statement, line : int or None
        the statement of a script, and the line that it begins in, from 1
    safe_to_retry : bool
        True only if no part of the statement can have run
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
    index: int | None = None
    statement: int | None = None
    line: int | None = None
    safe_to_retry: bool = False

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        if self.statement is not None and self.severity is not None:
            return f"{self._text()}, in statement {self.statement} (line {self.line}) of the script"
        return self._text()

    def _text(self) -> str:
        if self.severity is not None:  # only a server's error has one
            return f"PostgreSQL error: {self.message} (SQLSTATE {self.sqlstate})"
        if self.sqlstate is not None:
            return f"{self.message} (SQLSTATE {self.sqlstate})"
        return self.message


class InterfaceError(Error):
    """The package was used in a way that cannot work. The server was not involved."""


class DatabaseError(Error):
    """The database, or the connection to it, failed."""


class DataError(DatabaseError):
    """A value is out of range, malformed, or cannot be represented in Python."""


class OperationalError(DatabaseError):
    """The server or the connection failed, or a resource is exhausted."""


class IntegrityError(DatabaseError):
    """A constraint forbids the change."""


class InternalError(DatabaseError):
    """The server's state forbids the statement, or the server has an internal error."""


class ProgrammingError(DatabaseError):
    """The statement or its parameters are wrong."""


class NotSupportedError(DatabaseError):
    """The server, or this package, does not support the request."""
