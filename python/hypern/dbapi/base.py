"""What blocking and awaited connections decide alike: each course of action is a generator of
steps on the session (`hypern.session.steps`).

It is one class, whose courses share the state of the transaction and of the two-phase transaction.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from hypern import _native, errors
from hypern._literals import Isolation
from hypern._pep249 import DatabaseError, InterfaceError, OperationalError, ProgrammingError
from hypern.dbapi.pyformat import converted, values_of
from hypern.dbapi.quoting import quote_literal
from hypern.dbapi.types import Warning as Pep249Warning
from hypern.dbapi.xid import Xid, as_xid, make_xid, recovered
from hypern.session.begin import begin_sql
from hypern.session.finalizing import finalizing
from hypern.sql._cache import Cache

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hypern.dbapi.pools import SharedPool
    from hypern.session.steps import Steps, View

PARAMSTYLES = ("pyformat", "numeric_dollar")

_PARTS = 2  # HN_SQL_PARTS of go/abi/hypern_abi.h
# A connection that is lost stays so: the session underneath would take another one, where neither
# settings nor temporary tables are.
LOST = (errors.ConnectionLost, errors.PoolClosed)
_IDLE, _ACTIVE, _PREPARED = range(3)  # a two-phase transaction

_RECOVER = (
    "SELECT gid, prepared, owner::pg_catalog.text, database::pg_catalog.text"
    " FROM pg_catalog.pg_prepared_xacts"
    " WHERE database OPERATOR(pg_catalog.=) pg_catalog.current_database()"
)

_scripts: Cache[str, list[tuple[str, str]]] = Cache()


class BaseConnection:
    """A connection's state, and its steps. One session is underneath, and ends with it."""

    Warning: ClassVar = Pep249Warning
    Error: ClassVar = errors.Error
    InterfaceError: ClassVar = errors.InterfaceError
    DatabaseError: ClassVar = errors.DatabaseError
    DataError: ClassVar = errors.DataError
    OperationalError: ClassVar = errors.OperationalError
    IntegrityError: ClassVar = errors.IntegrityError
    InternalError: ClassVar = errors.InternalError
    ProgrammingError: ClassVar = errors.ProgrammingError
    NotSupportedError: ClassVar = errors.NotSupportedError

    def __init__(
        self, session: Any, pool: SharedPool, *, autocommit: bool, paramstyle: str
    ) -> None:
        self._session = session  # a blocking or an awaited one
        self._pool = pool
        self._autocommit = autocommit
        self._paramstyle = paramstyle
        self._isolation: Isolation | None = None
        self._read_only: bool | None = None
        self._deferrable: bool | None = None
        self._begin_sql = "BEGIN"
        self._is_closed = False
        self._is_lost = False
        self._tpc: tuple[Xid, int] | None = None
        self.transactions = 0  # how many have begun: a server-side cursor lives in one

    # What the application sees

    @property
    def closed(self) -> bool:
        """Whether the connection cannot be used any more: closed, or lost."""
        return self._is_closed or self._is_lost

    @property
    def broken(self) -> bool:
        """Whether the connection was lost, and nobody has closed it."""
        return self._is_lost and not self._is_closed

    @property
    def autocommit(self) -> bool:
        """Whether each statement commits by itself. It can be set outside a transaction."""
        return self._autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._check_idle("autocommit")
        self._autocommit = bool(value)

    @property
    def isolation_level(self) -> Isolation | None:
        """The isolation of transactions to come, such as "serializable"; None is the server's."""
        return self._isolation

    @isolation_level.setter
    def isolation_level(self, value: Isolation | None) -> None:
        self._configure(value, self._read_only, self._deferrable)

    @property
    def read_only(self) -> bool | None:
        """Whether the transactions to come are READ ONLY; None is the server's default."""
        return self._read_only

    @read_only.setter
    def read_only(self, value: bool | None) -> None:
        self._configure(self._isolation, value, self._deferrable)

    @property
    def deferrable(self) -> bool | None:
        """Whether the transactions to come are DEFERRABLE; None is the server's default."""
        return self._deferrable

    @deferrable.setter
    def deferrable(self, value: bool | None) -> None:
        self._configure(self._isolation, self._read_only, value)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, aborted or not."""
        return not self.closed and bool(self._session.is_in_transaction)

    def xid(self, format_id: int, gtrid: str, bqual: str) -> Xid:
        """The id of a two-phase transaction, for `tpc_begin`."""
        return make_xid(format_id, gtrid, bqual)

    def _configure(
        self, isolation: Isolation | None, read_only: bool | None, deferrable: bool | None
    ) -> None:
        self._check_idle("the options of a transaction")
        self._begin_sql = begin_sql(isolation, read_only, deferrable)
        self._isolation, self._read_only, self._deferrable = isolation, read_only, deferrable

    def _check_idle(self, what: str) -> None:
        if self._usable().is_in_transaction:
            raise ProgrammingError(f"{what} cannot be changed inside a transaction")

    def _usable(self) -> Any:
        """The session. Raises if the connection has ended."""
        if self._is_closed:
            raise InterfaceError("the connection is closed")
        if self._is_lost:
            raise OperationalError("the connection was lost; close it and connect again")
        return self._session

    # Steps

    def _noting(self, steps: Steps[Any]) -> Steps[Any]:
        """The same steps; a connection that is lost on the way stays so, see LOST."""
        try:
            return (yield from steps)
        except LOST:
            self._is_lost = True
            raise

    def _connecting(self) -> Steps[None]:
        """Take a connection, so that what is wrong with the address or the login is raised here.
        BEGIN is not sent before the first statement, hence not at all.
        """
        yield self._session._begin("BEGIN")
        yield self._session.rollback()

    def _beginning(self, begin: str | None = None) -> Steps[None]:
        session = self._session
        try:
            yield session._begin(begin or self._begin_sql)
        except InterfaceError:
            if not session.is_in_transaction:  # else another thread has just begun
                raise
        else:
            self.transactions += 1

    def _entering(self) -> Steps[None]:
        """What precedes each statement: BEGIN, where none is open and autocommit is off."""
        if not self._autocommit and not self._session.is_in_transaction:
            yield from self._beginning()

    def _statement(
        self, text: str, values: Sequence[Any] | None, timeout: float | None
    ) -> Steps[Any]:
        """Run one statement, in a transaction unless autocommit is on; its Result."""
        session = self._usable()
        yield from self._entering()
        return (yield session.result(text, values, timeout=timeout))

    def _running(self, sql: str, params: object, timeout: float | None) -> Steps[list[Any]]:
        """Run a statement, or several without parameters; their results."""
        text, values = self._converted(sql, params)
        if not values and (";" in text or not text.strip()):
            parts = _parts(text)
            if len(parts) != 1:
                return (yield from self._script(parts, timeout))
        return [(yield from self._statement(text, values, timeout))]

    def _script(self, parts: list[tuple[str, str]], timeout: float | None) -> Steps[list[Any]]:
        """Several statements: with autocommit all or none, as in a Query message."""
        wholly = not any(control for _, control in parts)
        return (yield from self._each(((text, None) for text, _ in parts), wholly, timeout))

    def _each(
        self, statements: Iterable[tuple[str, Any]], wholly: bool, timeout: float | None
    ) -> Steps[list[Any]]:
        """Statements and their values, one after the other; their results. wholly: with autocommit
        and no transaction open, all or none.
        """
        session = self._usable()
        alone = wholly and self._autocommit and not session.is_in_transaction
        if alone:
            yield from self._beginning("BEGIN")
        results: list[Any] = []
        try:
            for text, values in statements:
                results.append((yield from self._statement(text, values, timeout)))
            if alone:
                yield session.commit()
        except BaseException:
            if alone and session.is_in_transaction:
                yield session.rollback()
            raise
        return results

    def _many(self, sql: str, rows: Any, timeout: float | None) -> Steps[int]:
        """Run a statement for each of the rows, all or none of them."""
        session = self._usable()
        text, rows = self._converted_rows(sql, rows)
        yield from self._entering()
        count: int = yield session.execute_many(text, rows, timeout=timeout)
        return count

    def _many_results(self, sql: str, rows: Any, timeout: float | None) -> Steps[list[Any]]:
        """The same one by one, with the result of each."""
        self._usable()
        text, rows = self._converted_rows(sql, rows)
        return (yield from self._each(((text, values) for values in rows), True, timeout))

    def _pinging(self) -> Steps[None]:
        yield self._usable().execute("SELECT 1")

    def _committing(self) -> Steps[None]:
        session = self._usable()
        self._refuse_tpc("commit", "tpc_commit")
        if session.is_in_transaction:
            yield session.commit()

    def _rolling_back(self) -> Steps[None]:
        session = self._usable()
        self._refuse_tpc("rollback", "tpc_rollback")
        if session.is_in_transaction:
            yield session.rollback()

    def _refuse_tpc(self, method: str, instead: str) -> None:
        if self._tpc is not None:
            raise ProgrammingError(
                f"{method}() cannot end a two-phase transaction; use {instead}()"
            )

    def _ending(self, view: View) -> Steps[None]:
        """Roll back what is open, and give the connection back. view: of the blocking session."""
        if self._is_closed:
            return
        self._is_closed = True
        request_id, alias = self._session.request_id, self._session.alias
        try:
            endings = yield from finalizing(view, request_id, alias, failed=True)
            if endings is not None:
                endings.outcome()  # raises; that nothing was committed is what close() means
        finally:
            self._pool.release(request_id)

    def _tpc_recovering(self) -> Steps[list[Xid]]:
        result = yield self._usable().result(_RECOVER)
        return [recovered(*row) for row in result.rows]

    def _tpc_beginning(self, xid: Xid | str) -> Steps[None]:
        session = self._usable()
        xid = as_xid(xid)
        if self._tpc is not None or session.is_in_transaction:
            raise ProgrammingError("tpc_begin() cannot be used inside a transaction")
        if self._autocommit:
            raise ProgrammingError("tpc_begin() cannot be used with autocommit")
        yield from self._beginning()
        self._tpc = (xid, _ACTIVE)

    def _tpc_preparing(self) -> Steps[None]:
        session = self._usable()
        if self._tpc is None or self._tpc[1] != _ACTIVE:
            raise ProgrammingError("tpc_prepare() must follow tpc_begin()")
        xid = self._tpc[0]
        try:
            yield session.execute(f"PREPARE TRANSACTION {_name_of(xid)}")
        except DatabaseError:
            self._tpc = None  # the server has rolled it back
            if session.is_in_transaction:
                yield session.rollback()
            raise
        self._tpc = (xid, _PREPARED)

    def _tpc_ending(self, commits: bool, xid: Xid | str | None) -> Steps[None]:
        """Commit or roll back: this connection's two-phase transaction, or another's that is
        prepared.
        """
        session = self._usable()
        method = "tpc_commit" if commits else "tpc_rollback"
        if xid is not None:
            if self._tpc is not None or session.is_in_transaction:
                raise ProgrammingError(
                    f"{method}() with an id must be called outside a transaction"
                )
            yield from self._tpc_end_prepared(commits, as_xid(xid))
            return
        if self._tpc is None:
            raise ProgrammingError(f"{method}() must follow tpc_begin()")
        own, phase = self._tpc
        if phase == _PREPARED:
            yield from self._tpc_end_prepared(commits, own)
        self._tpc = None
        if phase == _ACTIVE and session.is_in_transaction:
            yield session.commit() if commits else session.rollback()

    def _tpc_end_prepared(self, commits: bool, xid: Xid) -> Steps[None]:
        verb = "COMMIT" if commits else "ROLLBACK"
        yield self._session.execute(f"{verb} PREPARED {_name_of(xid)}")

    # Parameters

    def _converted(self, sql: str, params: object) -> tuple[str, Any]:
        if not isinstance(sql, str):
            raise TypeError(f"the statement must be a str, not {type(sql).__name__}")
        if params is None or self._paramstyle == "numeric_dollar":
            return sql, params
        statement = converted(sql)
        return statement.sql, values_of(statement, params)

    def _converted_rows(self, sql: str, rows: Any) -> tuple[str, Any]:
        if not isinstance(sql, str):
            raise TypeError(f"the statement must be a str, not {type(sql).__name__}")
        if self._paramstyle == "numeric_dollar":
            return sql, rows
        statement = converted(sql)
        return statement.sql, (values_of(statement, row) for row in rows)


def _name_of(xid: Xid) -> str:
    return quote_literal(str(xid))


def _parts(text: str) -> list[tuple[str, str]]:
    """The statements of a text, each with the transaction command that it is, or ""."""
    known = _scripts.get(text)
    if known is None:
        encoded = text.encode()
        try:
            parts = json.loads(_native.read_sql(_PARTS, text))
        except ProgrammingError:
            return [(text, "")]  # malformed: the server's error is the better one
        known = [(encoded[start:end].decode(), control) for start, end, control in parts]
        _scripts.put(text, known, 4 * len(text))
    return known
