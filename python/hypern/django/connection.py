"""The DB-API connection and cursors below Django's."""

from __future__ import annotations

import logging
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from hypern import _native, dbapi
from hypern.dbapi.quoting import quote_identifier
from hypern.dbapi.server_cursor import ServerCursor as BaseServerCursor
from hypern.django.binding import bound, composed
from hypern.django.results import Zone, converted, reading
from hypern.errors import ProgrammingError, TransactionAborted

if TYPE_CHECKING:
    from hypern.dbapi.pools import SharedPool
    from hypern.session.blocking import DbSession
    from hypern.session.steps import Steps

_log = logging.getLogger("hypern")


class RawSession:
    """The session's own calls. Those of its Python object may be Django's: see `LentSession`."""

    __slots__ = ("_begin", "commit", "execute_many", "of", "result", "rollback")

    def __init__(self, session: DbSession) -> None:
        self.of = session
        self.result = session.result
        self.execute_many = session.execute_many
        self._begin = partial(_native.Session._begin, session)
        self.commit = partial(_native.Session.commit, session)
        self.rollback = partial(_native.Session.rollback, session)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.of.is_in_transaction


class Connection(dbapi.Connection):
    """A connection of the pool of one of Django's databases.

    Without autocommit a transaction is always open, if only by a BEGIN that is not sent yet: so the
    statements of `db()` are in it, too.
    """

    zone: Zone | None = None  # None: moments are in UTC
    zone_name: str | None = None  # what Django calls it
    isolation_level: Any = None  # Django's IsolationLevel; it has travelled with connecting
    next_begin: str | None = None  # the options of the next transaction
    _is_fresh = False  # nothing of Django's has run in the transaction

    def __init__(
        self, session: DbSession, pool: SharedPool, *, autocommit: bool, paramstyle: str
    ) -> None:
        raw: Any = RawSession(session)
        super().__init__(raw, pool, autocommit=autocommit, paramstyle=paramstyle)

    @cached_property
    def adapters(self) -> Any:
        """Where Django registers types with psycopg, which is not what reads them here."""
        from psycopg import adapters
        from psycopg.adapt import AdaptersMap

        return AdaptersMap(adapters)

    @property
    def autocommit(self) -> bool:
        """Whether each statement commits by itself."""
        return self._autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        if bool(value) == self._autocommit:
            return
        session = self._usable()
        if not value:
            self._check_idle("autocommit")
            self._run(self._beginning())
            self._is_fresh = True
        elif session.is_in_transaction:
            if not self._is_fresh:
                self._check_idle("autocommit")
            self._run(self._committing())
        self._autocommit = bool(value)

    def _beginning(self, begin: str | None = None) -> Steps[None]:
        self._is_fresh = True
        yield from super()._beginning(begin or self.next_begin)

    def _committing(self) -> Steps[None]:
        """As Django expects of COMMIT: one that an error has turned into ROLLBACK is logged."""
        try:
            yield from super()._committing()
        except TransactionAborted as error:
            _log.error("nothing of an atomic() block was committed", exc_info=error)

    def begin_next(self) -> None:
        """Begin the transaction that follows one, where autocommit is off."""
        if not self._autocommit and not self._usable().is_in_transaction:
            self._run(self._beginning())

    def _statement(self, text: str, values: Any, timeout: float | None) -> Steps[Any]:
        session = self._usable()
        yield from self._entering()
        self._is_fresh = False
        return (yield session.result(text, values, timeout=timeout))

    def _converted(self, sql: Any, params: object) -> tuple[str, Any]:
        if not isinstance(sql, str):
            sql = _text_of(sql, self)
        return (sql, None) if params is None else bound(sql, params)

    def _converted_rows(self, sql: str, rows: Any) -> tuple[str, Any]:
        raise NotImplementedError  # Cursor.executemany does not call it

    def _run(self, steps: Steps[Any]) -> Any:
        outer, reading.as_text = reading.as_text, True
        try:
            return super()._run(steps)
        finally:
            reading.as_text = outer


def _text_of(sql: Any, connection: Connection) -> str:
    """The text of a statement that psycopg has composed."""
    if hasattr(sql, "as_string"):
        return str(sql.as_string(None))
    if isinstance(sql, bytes):
        return sql.decode()
    if hasattr(sql, "__str__") and type(sql).__module__.startswith("django."):
        return str(sql)
    raise TypeError(f"the statement must be a str, not {type(sql).__name__}")


class Cursor(dbapi.Cursor):
    """A cursor of such a connection."""

    _connection: Connection
    query: tuple[str, Any] | None = None  # the last statement and its parameters

    def _executing(self, sql: Any, params: object, timeout: float | None) -> Steps[None]:
        self.query = (sql, params)
        yield from super()._executing(sql, params, timeout)

    def _executing_many(
        self, sql: str, rows: Any, returning: bool, timeout: float | None
    ) -> Steps[None]:
        self._check()
        self._forget()
        self.query = (sql, None)
        connection = self._connection
        session = connection._usable()
        statements = [bound(sql, row) for row in rows]
        if not returning and len({text for text, _ in statements}) == 1:
            yield from connection._entering()
            connection._is_fresh = False
            rows = [values for _, values in statements]
            self._rowcount = yield session.execute_many(statements[0][0], rows, timeout=timeout)
            return
        results = yield from connection._each(statements, True, timeout)
        self._rowcount = sum(result.count for result in results)
        if returning:
            self._hold(results)

    def _next(self) -> bool:
        if not super()._next():
            return False
        if self._rows:
            self._rows = converted(self._columns, self._rows, self._connection.zone)
        return True

    def callproc(self, procname: Any, parameters: Any = None) -> Any:
        """Call a function; its result is the result set. Returns the parameters."""
        name = procname if isinstance(procname, str) else procname.as_string(None)
        name = quote_identifier(name) if isinstance(procname, str) else name
        places = ", ".join(["%s"] * len(parameters or ()))
        self.execute(f"SELECT * FROM {name}({places})", list(parameters or ()))
        return parameters


class ServerCursor(BaseServerCursor, Cursor):
    """A cursor of the server's."""

    def _executing(self, sql: Any, params: object, timeout: float | None) -> Steps[None]:
        self.query = (sql, params)
        yield from BaseServerCursor._executing(self, sql, params, timeout)

    def _executing_many(
        self, sql: str, rows: Any, returning: bool, timeout: float | None
    ) -> Steps[None]:
        raise ProgrammingError("executemany() needs a cursor without a name")
        yield  # type: ignore[unreachable]  # it makes steps of this function

    def _receiving(self, what: str) -> Steps[list[Any]]:
        rows = yield from super()._receiving(what)
        return converted(self._columns, rows, self._connection.zone)


Connection._cursor = Cursor
Connection._server_cursor = ServerCursor

__all__ = ["Connection", "Cursor", "RawSession", "ServerCursor", "composed"]
