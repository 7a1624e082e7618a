"""`DbSession`: a session whose calls block.

Statements, commit and rollback are the base class's, in C.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, overload

from hypern import _native
from hypern.session.attempts import attempts
from hypern.session.batch import Batch
from hypern.session.begin import OWN_BEGIN, begin_sql
from hypern.session.copying import chunks_of, copying
from hypern.session.copying_out import CopyPortal, query_of
from hypern.session.names import public_names
from hypern.session.notify import NOTIFY_SQL, notify_params
from hypern.session.settings import local_settings
from hypern.session.steps import now
from hypern.session.stream import Portal, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, BinaryIO, TypeVar

    from typing_extensions import Self

    from hypern._literals import Isolation
    from hypern.session.copying import Table
    from hypern.sql import Template

    _T = TypeVar("_T")


class DbSession(_native.Session):
    """A request's session on one database: at most one connection and one transaction at a time.

    `db()` makes it; the same request id and alias give the same session until it is finalized. It
    takes a connection when it is first used, and gives it back when `finalize_db`, the middleware
    or the end of the `scope()` finalizes it. A statement outside a transaction commits by itself.
    Several threads may use one session: their statements run one after the other.
    """

    __slots__ = ()
    __dir__ = public_names

    def begin(
        self,
        isolation: Isolation | None = None,
        read_only: bool | None = None,
        deferrable: bool | None = None,
    ) -> DbSession:
        """Open a transaction, taking a connection. BEGIN is sent with the first statement.

        isolation: "read committed", "repeatable read", "serializable" or "read uncommitted"; case
        does not matter and underscores may stand for spaces. read_only, deferrable: bool. None
        leaves each to the server's default_transaction_* settings (PostgreSQL, "BEGIN"). Returns
        the session. Raises InterfaceError if a transaction is open, PoolTimeout or OperationalError
        if no connection is available, ValueError for another isolation.
        """
        return self._begin(begin_sql(isolation, read_only, deferrable))

    def transaction(
        self,
        isolation: Isolation | None = None,
        read_only: bool | None = None,
        deferrable: bool | None = None,
    ) -> Transaction:
        """A `with` block that commits at its end and rolls back on any exception.

        The options are those of `begin`. Inside an open transaction the block is a savepoint, and
        takes no options. The block's variable is the session. Only the block ends its transaction:
        commit() and rollback() raise InterfaceError inside it.
        """
        return Transaction(self, begin_sql(isolation, read_only, deferrable))

    def set_local(self, **settings: str) -> DbSession:
        """Set settings of the server for the open transaction, ahead of its next statement.

        In an atomic scope, or one with settings, they hold for its later transactions, too. A name
        with a dot is passed as in `set_local(**{"app.user_id": "42"})`. Returns the session. Raises
        InterfaceError outside a transaction of a scope that is not atomic, ConfigurationError for a
        name or value that cannot work.
        """
        return self._set_local(local_settings(settings))

    def notify(self, channel: str, payload: str = "") -> None:
        """Send a notification to those who listen to the channel: at COMMIT inside a transaction,
        which a rollback prevents, else at once.

        payload: str, of fewer than 8,000 bytes. The server delivers notifications with the same
        channel and payload in one transaction once. Raises DataError for a name that cannot be a
        channel.
        """
        self.query_value(NOTIFY_SQL, notify_params(channel, payload))

    @overload
    def stream(
        self,
        sql: str | Template,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        into: type[dict[str, Any]] = ...,
        chunk_rows: int = 1000,
        timeout: float | None = None,
    ) -> Stream[dict[str, Any]]: ...

    @overload
    def stream(
        self,
        sql: str | Template,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        into: type[_T],
        chunk_rows: int = 1000,
        timeout: float | None = None,
    ) -> Stream[_T]: ...

    @overload
    def stream(
        self,
        sql: str | Template,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        into: Callable[..., _T],
        chunk_rows: int = 1000,
        timeout: float | None = None,
    ) -> Stream[_T]: ...

    def stream(
        self,
        sql: str | Template,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        into: Any = dict,
        chunk_rows: int = 1000,
        timeout: float | None = None,
    ) -> Stream[Any]:
        """The rows of a statement one by one, in bounded memory however many there are.

        into: what a row is, as for `query`.

        It is an iterator, and a context manager that closes it. The statement runs when the first
        row is requested. chunk_rows (int) rows are received at a time, each chunk within timeout
        (seconds). The stream ends after the last row, with close() or its `with` block, or when
        anything else is run on the session; its next row then raises InterfaceError. Outside a
        transaction it has one of its own, which is committed when the stream ends and rolled back
        on an error. A loop that breaks leaves the stream open: the session's next call, or its end,
        ends the stream and raises any error of its COMMIT. A `with` block ends it at once.
        """
        return Stream(Portal(self, sql, params, into, chunk_rows, timeout))

    def batch(self, *, timeout: float | None = None) -> Batch:
        """A `with` block whose statements are sent together at its end, and waited for once.

        The block's variable has the session's `query`, `query_one`, `query_one_or_none`,
        `query_value`, `query_values` and `execute`; what they return has the result after the
        block: `.rows`, `.row`, `.value`, `.values`, `.count`. timeout: seconds for all of it.

        The statements run in their order: in the open transaction, else all of them or none. The
        first that fails is raised at the block's end, with its place as `.index` (int, from 0), and
        none after it has run. A block that an exception leaves sends nothing. Transaction commands
        and COPY through the session are refused (ProgrammingError, NotSupportedError).
        """
        return Batch(self, timeout)

    def copy_in(
        self,
        table: Table,
        rows: Iterable[Any],
        columns: Sequence[str] | None = None,
        *,
        timeout: float | None = None,
    ) -> int:
        """Insert rows by binary COPY, all of them or none; the number of rows (int).

        table: its name, or a tuple (schema, table); quoted here. rows: an iterable of sequences,
        mappings, or objects of a class that `into=` takes. columns: their names, in the order of a
        sequence's values; None: the keys of the first mapping or the fields of its class, else all
        columns of the table that are not generated. timeout: seconds for all.

        Values are encoded by the types of the columns, as parameters are. A str for another type
        than text must be a text that can be read here exactly (docs/copy.md): DataError for
        others, such as "NOW()". The rows go in a transaction() block. An error has .row (int, from
        0), and .column where it is of one. What iterating over the rows raises is raised, and no
        row is kept.
        """
        return now(copying(self, table, rows, columns, timeout))

    def copy_in_raw(
        self,
        sql: str,
        chunks: bytes | Iterable[bytes] | BinaryIO,
        *,
        timeout: float | None = None,
    ) -> int:
        """Run a COPY ... FROM STDIN of any format; the number of rows (int).

        chunks: the data: bytes, an iterable of bytes, or a binary file, which is read in pieces.
        It is one statement: all of the data is copied, or nothing. What the iterable raises is
        raised, and the copy fails. An error of the server has the line of the data as .line.
        """
        return self._copy_data(sql, chunks_of(chunks), timeout)

    @overload
    def copy_out(
        self,
        table_or_query: Table,
        *,
        into: type[dict[str, Any]] = ...,
        timeout: float | None = None,
    ) -> Stream[dict[str, Any]]: ...

    @overload
    def copy_out(
        self, table_or_query: Table, *, into: type[_T], timeout: float | None = None
    ) -> Stream[_T]: ...

    @overload
    def copy_out(
        self, table_or_query: Table, *, into: Callable[..., _T], timeout: float | None = None
    ) -> Stream[_T]: ...

    def copy_out(
        self, table_or_query: Table, *, into: Any = dict, timeout: float | None = None
    ) -> Stream[Any]:
        """The rows of a table or query by binary COPY, one by one, in bounded memory.

        table_or_query: a table's name, a tuple (schema, table), or a query: a str that begins with
        SELECT, WITH, VALUES, TABLE or a command with RETURNING. It has no parameters. into: what a
        row is, as for `query`. timeout: seconds for each chunk.

        The result is an iterator, and a context manager that ends it, as `stream` returns it. The
        COPY runs when the first row is requested, and ends after the last one, with close() or its
        `with` block, or when anything else is run on the session. Ended before its last row, it is
        cancelled on the server: what a data-changing query has done is undone. A column of a type
        that has no binary format here is NotSupportedError.
        """
        if into is bytes:
            raise TypeError("into=bytes is not a row; copy_out_raw() has the data as it is")
        return Stream(CopyPortal(self, query_of(table_or_query), into, timeout))

    def copy_out_raw(self, sql: str, *, timeout: float | None = None) -> Stream[bytes]:
        """The data of a COPY ... TO STDOUT of any format, in chunks of bytes and bounded memory.

        It is an iterator and a context manager; it begins and ends as `copy_out`. timeout: seconds
        for each chunk.
        """
        return Stream(CopyPortal(self, sql, bytes, timeout))

    def run(self, fn: Callable[[Self], _T], retries: int = 3) -> _T:
        """Call fn(session) in a transaction, commit, and return the result of fn.

        If the server gives the transaction up for the sake of another one (SerializationFailure,
        DeadlockDetected), in fn or in the commit, it is rolled back and fn is called again after a
        growing pause, up to `retries` (int) times. So fn must have no side effects besides those on
        this session. Any other exception rolls back and is raised. Raises InterfaceError inside an
        open transaction, which could not be repeated as a whole.
        """
        for attempt in attempts(retries, is_in_transaction=self.is_in_transaction):
            with attempt, Transaction(self, OWN_BEGIN):
                self.on_commit(attempt.committed)
                return fn(self)
            time.sleep(attempt.pause())
        raise AssertionError("unreachable: the last attempt returns or raises")


class Transaction(_native.Block):
    """The context manager of `DbSession.transaction()`; it can be entered again after its end.

    Blocks form a stack, whatever thread enters them. A block that ends while an inner one is open
    rolls the whole transaction back and raises InterfaceError, as does each statement until the
    inner block has been left.
    """

    __slots__ = ()
