"""Types of the C extension; what its classes mean to users is in hypern.database."""

from collections.abc import (
    AsyncIterable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, TypeAlias, TypeVar, final, overload
from weakref import ReferenceType

from typing_extensions import Self, disjoint_base

from hypern._literals import State
from hypern._result import Column, Description, Result
from hypern.pool.observer import Observer
from hypern.scope.options import Kept, ScopeOptions
from hypern.scope.scope import Scope
from hypern.session.awaited import AsyncDbSession
from hypern.session.blocking import DbSession
from hypern.sql import Template

_T = TypeVar("_T")
_S = TypeVar("_S", bound=Session)
_A = TypeVar("_A", bound=AsyncSession)
_R = TypeVar("_R", bound=BatchResultBase)
_T_co = TypeVar("_T_co", covariant=True)

_SQL: TypeAlias = str | Template

# What a scope's options come to: see hypern.scope.options.Kept.
_Kept: TypeAlias = tuple[bytes, float, float, str | None, bool, str | None, object]
_Params: TypeAlias = Sequence[Any] | Mapping[str, Any]

@final
class Pool:
    """One configured alias. A light object: the core is loaded by the first `open`."""

    def __new__(
        cls,
        alias: str,
        settings: bytes,
        *,
        session_type: type[Session],
        json_loads: Callable[[bytes | str], object] | None = None,
        json_dumps: Callable[[object], str | bytes] | None = None,
        infinity_minmax: bool = False,
        attend: Callable[[], object] | None = None,
    ) -> Pool: ...
    @property
    def alias(self) -> str: ...
    observer: Observer | None
    # An instance of the pool's session_type, which a stub cannot tell without making Pool generic.
    # kept: for a session that is not open yet.
    def open(self, request_id: str, kept: _Kept | None = None, /) -> Any: ...
    def load(self) -> None: ...
    def status(self) -> bytes | None: ...
    def close(self, timeout: float) -> None: ...
    def disconnect(self, timeout: float) -> None: ...
    def drain(self) -> None: ...
    def register_type(
        self,
        name: str,
        loads: Callable[[str], object] | None,
        dumps: Callable[[Any], str] | None,
    ) -> None: ...

@disjoint_base
class Session:
    """A view of a request's session for one alias; made by `Pool.open` only."""

    @property
    def request_id(self) -> str:
        """The id of the request that the session belongs to."""
    @property
    def alias(self) -> str:
        """The alias of the session's database."""
    @property
    def _commit_lsn(self) -> str | None: ...
    @property
    def label(self) -> str | None:
        """What the session's scope does (`scope(label=...)`), None if it has no label."""
    @property
    def state(self) -> State:
        """ "idle", "connected", "in_transaction", "committed", "rolled_back" or "closed"."""
    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, one that an error has aborted included."""
    @property
    def auto_commit(self) -> bool:
        """Whether finalizing commits an open transaction."""
    @property
    def has_error(self) -> bool:
        """Whether set_error() was called."""
    @overload
    def query(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[dict[str, Any]] = ...,
        timeout: float | None = None,
    ) -> list[dict[str, Any]]:
        """Run a statement; all rows, as a list of what into makes of each (dicts by column name).

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.
        into: dict, tuple, a TypedDict, NamedTuple, dataclass, Struct, attrs or pydantic class,
        or any callable that takes the columns as keyword arguments.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free, RowMismatch if the columns do not fit into.
        """
    @overload
    def query(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[_T],
        timeout: float | None = None,
    ) -> list[_T]: ...
    @overload
    def query(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: Callable[..., _T],
        timeout: float | None = None,
    ) -> list[_T]: ...
    @overload
    def query_one(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[dict[str, Any]] = ...,
        timeout: float | None = None,
        strict: bool = False,
    ) -> dict[str, Any]:
        """Run a statement; the first row, as what into makes of it (a dict by column name).

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.
        into: dict, tuple, a TypedDict, NamedTuple, dataclass, Struct, attrs or pydantic class,
        or any callable that takes the columns as keyword arguments.
        strict: bool, raise TooManyRows if there are more rows. NoRows if there is none.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free, RowMismatch if the columns do not fit into.
        """
    @overload
    def query_one(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[_T],
        timeout: float | None = None,
        strict: bool = False,
    ) -> _T: ...
    @overload
    def query_one(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: Callable[..., _T],
        timeout: float | None = None,
        strict: bool = False,
    ) -> _T: ...
    @overload
    def query_one_or_none(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[dict[str, Any]] = ...,
        timeout: float | None = None,
    ) -> dict[str, Any] | None:
        """Run a statement; the first row, as what into makes of it, or None without rows.

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.
        into: dict, tuple, a TypedDict, NamedTuple, dataclass, Struct, attrs or pydantic class,
        or any callable that takes the columns as keyword arguments.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free, RowMismatch if the columns do not fit into.
        """
    @overload
    def query_one_or_none(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[_T],
        timeout: float | None = None,
    ) -> _T | None: ...
    @overload
    def query_one_or_none(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: Callable[..., _T],
        timeout: float | None = None,
    ) -> _T | None: ...
    def query_value(
        self, sql: _SQL, params: _Params | None = None, *, timeout: float | None = None
    ) -> Any:
        """Run a statement; the first column of the first row (Any). NoRows if there is none.

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free.
        """
    def query_values(
        self, sql: _SQL, params: _Params | None = None, *, timeout: float | None = None
    ) -> list[Any]:
        """Run a statement; the first column of all rows, as a list (list[Any]).

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free.
        """
    def result(
        self, sql: _SQL, params: _Params | None = None, *, timeout: float | None = None
    ) -> Result:
        """Run a statement; a Result: columns, rows as tuples, count and command tag.

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free.
        """
    def describe(self, sql: _SQL, *, timeout: float | None = None) -> Description:
        """Have the server describe a statement, without running it. Returns a Description:
        parameters and columns, each with name, type, OID and nullability where known.

        sql: as for query. timeout: float, seconds.

        Raises DatabaseError for a text that the server refuses.
        """
    def execute_script(
        self, text: _SQL, *, atomic: bool = True, timeout: float | None = None
    ) -> None:
        """Run any number of statements without parameters: in the open transaction, else all or
        none of them; one by itself runs as it is. Returns None.

        text: str, or a Template without values. atomic: bool; False runs the statements one by one,
        as psql does, with transaction commands among them. timeout: float, seconds for all of it.

        Raises NotSupportedError, before anything is sent, for a transaction command while atomic; a
        server's error has .statement, .line and .position in the script, each from 1.
        """
    def execute(
        self, sql: _SQL, params: _Params | None = None, *, timeout: float | None = None
    ) -> int:
        """Run a statement; the number of rows affected, or returned by a SELECT (int).

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free.
        """
    def execute_many(
        self,
        sql: _SQL,
        params_list: Iterable[_Params],
        *,
        timeout: float | None = None,
    ) -> int:
        """Run a statement once for each row of parameters, all of them or none; the number of rows
        affected (int).

        sql: str with $1, $2, ... or :name, or a Template without values. params_list: iterable of
        sequences, or of mappings for :name; it is read in chunks. timeout:
        float, seconds for all. Rows that the statement returns are dropped: query_many() returns
        them.

        Raises as execute(); an error of a row has .row (int, from 0). ProgrammingError for a
        transaction command.
        """
    @overload
    def query_many(
        self,
        sql: _SQL,
        rows: Iterable[_Params],
        *,
        into: type[dict[str, Any]] = ...,
        timeout: float | None = None,
    ) -> list[dict[str, Any]]:
        """Run a statement once for each row of parameters, all of them or none; the rows that they
        return, in the order of the input, as a list of what into makes of each (dicts by column
        name).

        sql: str with $1, $2, ... or :name, or a Template without values. rows: iterable of
        sequences, or of mappings for :name; it is read in chunks. into: as
        for query(). timeout: float, seconds for all.

        Raises as query(); an error of a row has .row (int, from 0). ProgrammingError for a
        transaction command.
        """
    @overload
    def query_many(
        self,
        sql: _SQL,
        rows: Iterable[_Params],
        *,
        into: type[_T],
        timeout: float | None = None,
    ) -> list[_T]: ...
    @overload
    def query_many(
        self,
        sql: _SQL,
        rows: Iterable[_Params],
        *,
        into: Callable[..., _T],
        timeout: float | None = None,
    ) -> list[_T]: ...
    def commit(self: _S) -> _S:
        """Commit the open transaction, then call the on_commit functions. Returns the session.

        Raises InterfaceError without a transaction or inside a transaction() block,
        TransactionAborted if an earlier error had aborted it, the server's error if a deferred
        constraint fails, ConnectionLost if the outcome is unknown.
        """
    def rollback(self: _S) -> _S:
        """Roll the open transaction back, and drop its on_commit functions. Returns the session.

        Raises InterfaceError inside a transaction() block, which ends its transaction by itself.
        """
    def release(self: _S) -> _S:
        """Give the connection back before the request ends; the next statement takes another.
        Returns the session. InterfaceError while a transaction is open.
        """
    def set_auto_commit(self: _S, enabled: bool) -> _S:
        """Whether an open transaction is committed when the session is finalized (True, the
        default), or rolled back. enabled: bool. Returns the session. SessionClosed if it has ended.
        """
    def set_error(self: _S) -> _S:
        """Have the open transaction rolled back when the session is finalized. Returns the session.
        SessionClosed if it has ended.
        """
    def on_commit(self: _S, fn: Callable[[], object]) -> _S:
        """Have fn() called once COMMIT has succeeded; never after a rollback. Returns the session.

        fn: callable without arguments. Functions are called in the order in which they were given,
        outside a transaction at the next COMMIT. TypeError for anything that is not callable.
        """
    # Of the first statements, all that run in one go.
    def _batch(self, statements: list[Any], timeout: float | None, /) -> int: ...
    def _begin(self: _S, begin_sql: str) -> _S: ...
    def _set_local(self: _S, settings: str) -> _S: ...
    def _savepoint(self, name: str) -> None: ...
    def _release(self, name: str) -> None: ...
    def _rollback_to(self, name: str) -> None: ...
    def _commit_request(self) -> None: ...
    def _rollback_request(self) -> None: ...
    # transaction() blocks, by a number that the extension chooses; text: place and BEGIN, 2 lines.
    def _enter(self: _S, number: int, text: str, /) -> _S: ...
    def _leave(self, number: int, /) -> None: ...
    def _undo(self, number: int, /) -> None: ...
    def _not_entered(self, number: int, /) -> None: ...
    def _has_block(self, number: int, /) -> bool: ...
    def _set_failed(self) -> None: ...
    # The numbers of the blocks that dependencies are suspended in, the innermost first.
    def _settle_dependencies(self) -> list[int]: ...
    @property
    def _is_finalizing(self) -> int: ...
    def _finalize(self, grace: float) -> None: ...
    # (rows, number, columns): number is for the next fetch; 0: those were the last rows.
    def _stream_open(
        self,
        sql: _SQL,
        params: _Params | None,
        into: Any,
        chunk_rows: int,
        timeout: float | None,
        /,
    ) -> tuple[list[Any], int, tuple[Column, ...]]: ...
    def _stream_fetch(
        self, number: int, into: Any, chunk_rows: int, timeout: float | None, /
    ) -> tuple[list[Any], int, tuple[Column, ...]]: ...
    def _stream_close(self, number: int, /) -> None: ...
    # As _stream_open; into is bytes for data in place of rows.
    def _copy_out(
        self, sql: str, into: Any, chunk: int, timeout: float | None, /
    ) -> tuple[list[Any], int, tuple[Column, ...]]: ...
    def _copy_data(self, sql: str, data: Any, timeout: float | None, /) -> int: ...
    # insert: of the same columns, whose names they are.
    def _copy_rows(
        self, insert: str, rows: Any, columns: tuple[str, ...], timeout: float | None, /
    ) -> int: ...
    # The number of a stream that may be open, 0 if none is.
    @property
    def _open_stream(self) -> int: ...

@final
class Operation(Coroutine[Any, None, _T_co]):
    """What a method of `AsyncSession` returns: a coroutine to Python, driven by the event loop."""

    @property
    def __name__(self) -> str: ...
    @property
    def __qualname__(self) -> str: ...
    # The operation itself. mypy takes the awaited type from Generator's third parameter only.
    def __await__(self) -> Generator[Any, None, _T_co]: ...
    def __iter__(self) -> Generator[Any, None, _T_co]: ...
    def __next__(self) -> Any: ...
    def send(self, value: None, /) -> Any: ...
    def throw(self, type: Any, value: Any = None, traceback: Any = None, /) -> Any: ...
    def close(self) -> None: ...
    # execute_many with an async iterable, whose rows hypern._awaiting collects.
    @property
    def _has_cancelled(self) -> bool: ...
    def _feed(self, rows: list[Any], more: bool, /) -> None: ...
    def _fail(self, error: BaseException, /) -> None: ...

# Its methods return an Operation. They say Coroutine, since type checkers report a forgotten
# `await` for that class only, and for none derived from it.
@disjoint_base
class AsyncSession:
    """The same session underneath, awaited; one per session while it is used."""

    def __new__(cls: type[_A], session: Session, /) -> _A: ...
    @property
    def request_id(self) -> str:
        """The id of the request that the session belongs to."""
    @property
    def alias(self) -> str:
        """The alias of the session's database."""
    @property
    def label(self) -> str | None:
        """What the session's scope does (`scope(label=...)`), None if it has no label."""
    @property
    def state(self) -> State:
        """ "idle", "connected", "in_transaction", "committed", "rolled_back" or "closed"."""
    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, one that an error has aborted included."""
    @property
    def auto_commit(self) -> bool:
        """Whether finalizing commits an open transaction."""
    @property
    def has_error(self) -> bool:
        """Whether set_error() was called."""
    @overload
    def query(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[dict[str, Any]] = ...,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, list[dict[str, Any]]]:
        """Run a statement; all rows, as a list of what into makes of each (dicts by column name).

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.
        into: dict, tuple, a TypedDict, NamedTuple, dataclass, Struct, attrs or pydantic class,
        or any callable that takes the columns as keyword arguments.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free, RowMismatch if the columns do not fit into.
        """
    @overload
    def query(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[_T],
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, list[_T]]: ...
    @overload
    def query(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: Callable[..., _T],
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, list[_T]]: ...
    @overload
    def query_one(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[dict[str, Any]] = ...,
        timeout: float | None = None,
        strict: bool = False,
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        """Run a statement; the first row, as what into makes of it (a dict by column name).

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.
        into: dict, tuple, a TypedDict, NamedTuple, dataclass, Struct, attrs or pydantic class,
        or any callable that takes the columns as keyword arguments.
        strict: bool, raise TooManyRows if there are more rows. NoRows if there is none.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free, RowMismatch if the columns do not fit into.
        """
    @overload
    def query_one(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[_T],
        timeout: float | None = None,
        strict: bool = False,
    ) -> Coroutine[Any, Any, _T]: ...
    @overload
    def query_one(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: Callable[..., _T],
        timeout: float | None = None,
        strict: bool = False,
    ) -> Coroutine[Any, Any, _T]: ...
    @overload
    def query_one_or_none(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[dict[str, Any]] = ...,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, dict[str, Any] | None]:
        """Run a statement; the first row, as what into makes of it, or None without rows.

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.
        into: dict, tuple, a TypedDict, NamedTuple, dataclass, Struct, attrs or pydantic class,
        or any callable that takes the columns as keyword arguments.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free, RowMismatch if the columns do not fit into.
        """
    @overload
    def query_one_or_none(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[_T],
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, _T | None]: ...
    @overload
    def query_one_or_none(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: Callable[..., _T],
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, _T | None]: ...
    def query_value(
        self, sql: _SQL, params: _Params | None = None, *, timeout: float | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Run a statement; the first column of the first row (Any). NoRows if there is none.

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free.
        """
    def query_values(
        self, sql: _SQL, params: _Params | None = None, *, timeout: float | None = None
    ) -> Coroutine[Any, Any, list[Any]]:
        """Run a statement; the first column of all rows, as a list (list[Any]).

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free.
        """
    def result(
        self, sql: _SQL, params: _Params | None = None, *, timeout: float | None = None
    ) -> Coroutine[Any, Any, Result]:
        """Run a statement; a Result: columns, rows as tuples, count and command tag.

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free.
        """
    def describe(
        self, sql: _SQL, *, timeout: float | None = None
    ) -> Coroutine[Any, Any, Description]:
        """Have the server describe a statement, without running it. Returns a Description:
        parameters and columns, each with name, type, OID and nullability where known.

        sql: as for query. timeout: float, seconds.

        Raises DatabaseError for a text that the server refuses.
        """
    def execute_script(
        self, text: _SQL, *, atomic: bool = True, timeout: float | None = None
    ) -> Coroutine[Any, Any, None]:
        """Run any number of statements without parameters: in the open transaction, else all or
        none of them; one by itself runs as it is. Returns None.

        text: str, or a Template without values. atomic: bool; False runs the statements one by one,
        as psql does, with transaction commands among them. timeout: float, seconds for all of it.

        Raises NotSupportedError, before anything is sent, for a transaction command while atomic; a
        server's error has .statement, .line and .position in the script, each from 1.
        """
    def execute(
        self, sql: _SQL, params: _Params | None = None, *, timeout: float | None = None
    ) -> Coroutine[Any, Any, int]:
        """Run a statement; the number of rows affected, or returned by a SELECT (int).

        sql: str with $1, $2, ... or :name, or a Template. params: sequence, or mapping for :name;
        one value per placeholder. timeout: float, seconds for waiting and running.

        Raises DatabaseError for a server's error, DataError for a value that cannot be sent or
        read, QueryCanceled or ConnectionLost when timeout has passed, PoolTimeout if no connection
        came free.
        """
    @overload
    def execute_many(
        self, sql: _SQL, params_list: Iterable[_Params], *, timeout: float | None = None
    ) -> Coroutine[Any, Any, int]:
        """Run a statement once for each row of parameters, all of them or none; the number of rows
        affected (int).

        sql: str with $1, $2, ... or :name, or a Template without values. params_list: iterable of
        sequences, or of mappings for :name, or async iterable; it is read in chunks. timeout:
        float, seconds for all. Rows that the statement returns are dropped: query_many() returns
        them.

        Raises as execute(); an error of a row has .row (int, from 0). ProgrammingError for a
        transaction command.
        """
    @overload
    def execute_many(
        self, sql: _SQL, params_list: AsyncIterable[_Params], *, timeout: float | None = None
    ) -> Coroutine[Any, Any, int]: ...
    @overload
    def query_many(
        self,
        sql: _SQL,
        rows: Iterable[_Params] | AsyncIterable[_Params],
        *,
        into: type[dict[str, Any]] = ...,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, list[dict[str, Any]]]:
        """Run a statement once for each row of parameters, all of them or none; the rows that they
        return, in the order of the input, as a list of what into makes of each (dicts by column
        name).

        sql: str with $1, $2, ... or :name, or a Template without values. rows: iterable of
        sequences, or of mappings for :name, or async iterable; it is read in chunks. into: as
        for query(). timeout: float, seconds for all.

        Raises as query(); an error of a row has .row (int, from 0). ProgrammingError for a
        transaction command.
        """
    @overload
    def query_many(
        self,
        sql: _SQL,
        rows: Iterable[_Params] | AsyncIterable[_Params],
        *,
        into: type[_T],
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, list[_T]]: ...
    @overload
    def query_many(
        self,
        sql: _SQL,
        rows: Iterable[_Params] | AsyncIterable[_Params],
        *,
        into: Callable[..., _T],
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, list[_T]]: ...
    def commit(self: _A) -> Coroutine[Any, Any, _A]:
        """Commit the open transaction, then call the on_commit functions. Returns the session.

        Raises InterfaceError without a transaction or inside a transaction() block,
        TransactionAborted if an earlier error had aborted it, the server's error if a deferred
        constraint fails, ConnectionLost if the outcome is unknown.
        """
    def rollback(self: _A) -> Coroutine[Any, Any, _A]:
        """Roll the open transaction back, and drop its on_commit functions. Returns the session.

        Raises InterfaceError inside a transaction() block, which ends its transaction by itself.
        """
    def release(self: _A) -> Coroutine[Any, Any, _A]:
        """Give the connection back before the request ends; the next statement takes another.
        Returns the session. InterfaceError while a transaction is open.
        """
    def set_auto_commit(self: _A, enabled: bool) -> _A:
        """Whether an open transaction is committed when the session is finalized (True, the
        default), or rolled back. enabled: bool. Returns the session. SessionClosed if it has ended.
        """
    def set_error(self: _A) -> _A:
        """Have the open transaction rolled back when the session is finalized. Returns the session.
        SessionClosed if it has ended.
        """
    def on_commit(self: _A, fn: Callable[[], object]) -> _A:
        """Have fn() called once COMMIT has succeeded; never after a rollback. Returns the session.

        fn: callable without arguments, or a coroutine function, which the task
        that awaits the commit awaits. Functions are called in the order in which they were given,
        outside a transaction at the next COMMIT. TypeError for anything that is not callable.
        """
    def _batch(self, statements: list[Any], timeout: float | None, /) -> Operation[int]: ...
    def _begin(self: _A, begin_sql: str) -> Coroutine[Any, Any, _A]: ...
    def _set_local(self: _A, settings: str) -> Coroutine[Any, Any, _A]: ...
    def _savepoint(self, name: str) -> Operation[None]: ...
    def _release(self, name: str) -> Operation[None]: ...
    def _rollback_to(self, name: str) -> Operation[None]: ...
    def _commit_request(self) -> Operation[None]: ...
    def _rollback_request(self) -> Operation[None]: ...
    def _enter(self: _A, number: int, text: str, /) -> Operation[_A]: ...
    def _leave(self, number: int, /) -> Operation[None]: ...
    def _undo(self, number: int, /) -> Operation[None]: ...
    def _undo_now(self, number: int, /) -> Operation[None]: ...
    def _has_block(self, number: int, /) -> bool: ...
    def _finalize(self, grace: float) -> Operation[None]: ...
    def _stream_open(
        self,
        sql: _SQL,
        params: _Params | None,
        into: Any,
        chunk_rows: int,
        timeout: float | None,
        /,
    ) -> Operation[tuple[list[Any], int, tuple[Column, ...]]]: ...
    def _stream_fetch(
        self, number: int, into: Any, chunk_rows: int, timeout: float | None, /
    ) -> Operation[tuple[list[Any], int, tuple[Column, ...]]]: ...
    def _stream_close(self, number: int, /) -> Operation[None]: ...
    def _copy_out(
        self, sql: str, into: Any, chunk: int, timeout: float | None, /
    ) -> Operation[tuple[list[Any], int, tuple[Column, ...]]]: ...
    def _copy_data(
        self, sql: str, data: Any, timeout: float | None, /
    ) -> Coroutine[Any, Any, int]: ...
    def _copy_rows(
        self, insert: str, rows: Any, columns: tuple[str, ...], timeout: float | None, /
    ) -> Coroutine[Any, Any, int]: ...

@disjoint_base
class StatementsBase:
    """What `Batch` and `AsyncBatch` have in common: the statements that were added."""

    @property
    def _session(self) -> Any: ...
    @property
    def _timeout(self) -> float | None: ...
    @property
    def _items(self) -> list[Any]: ...
    def __init__(self, session: Any, timeout: float | None) -> None: ...
    def __len__(self) -> int: ...
    # A new statement, an instance of the class. word: what the result is.
    def _add(
        self, result: type[_R], word: str, sql: _SQL, params: _Params | None, into: Any, /
    ) -> _R: ...
    def _begin(self) -> None: ...
    def _end(self) -> None: ...

@disjoint_base
class BatchResultBase:
    """A statement of a batch, and its outcome once the batch has run; made by a batch only."""

    @property
    def _sql(self) -> str: ...
    @property
    def _params(self) -> tuple[Any, ...] | None: ...
    @property
    def _into(self) -> Any: ...
    @property
    def _word(self) -> str: ...
    @property
    def count(self) -> int:
        """The number of rows affected, or returned by a SELECT (int). InterfaceError before the
        block has ended, or if the batch has failed.
        """

    def _value(self) -> Any: ...
    # Of a statement that was run by itself.
    def _settle(self, value: Any, error: BaseException | None, count: int, /) -> None: ...
    def _forget(self) -> None: ...

def sessions(request_id: str, alias: str | None) -> list[Any]: ...
def thread_of(session: Session) -> int: ...
def drive(session: Session) -> bool: ...
def now(steps: Generator[Any, Any, _T], /) -> _T: ...
def core_loaded() -> bool: ...
def pool_call(name: str, given: str, /) -> tuple[int, bytes]:
    """An operation of HN_POOL_OPS by its name, and what the core answers. The core is loaded."""

def left_open() -> bytes: ...
def debug() -> bytes: ...

# What the core reads from a text, as JSON (HN_SQL_* of go/abi/hypern_abi.h).
def read_sql(what: int, text: str, /) -> bytes: ...
def types() -> list[tuple[int, str, str, int]]: ...
def _panic() -> None: ...
def _transition(
    phase: str, driver: str, event: str, must_happen: bool, cancellable: bool, /
) -> str: ...

@final
class Maker:
    """Makes objects of rows; values/maker.h says what its arguments are."""

    def __new__(
        cls,
        making: str,
        make: Any,
        places: tuple[int, ...],
        converters: tuple[Callable[[Any], Any] | None, ...],
        names: tuple[str, ...],
        fills: tuple[tuple[int, Any, bool], ...],
        has_post_init: bool,
        /,
    ) -> Maker: ...

def encode_body(oids: list[int], params: Sequence[Any] | None) -> bytes: ...
def decode_row(description: bytes, row: bytes) -> dict[str, Any]: ...

@disjoint_base
class Block:
    """The methods of `Transaction` that `with` calls. They finish whatever interrupts them."""

    def __new__(cls, session: DbSession, begin_sql: str, /) -> Self: ...
    def __enter__(self) -> DbSession: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@disjoint_base
class AsyncBlock:
    """The methods of `AsyncTransaction` that `async with` calls."""

    def __new__(cls, session: AsyncDbSession, begin_sql: str, /) -> Self: ...
    def __aenter__(self) -> Operation[AsyncDbSession]: ...
    def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Operation[None]: ...

GENERATED: Final[str]  # begins the ids that scopes generate
current_scope: ContextVar[Scope | None]
# By request id, the scopes with a generated one and those with options.
open_scopes: dict[str, ReferenceType[Scope]]

# Scopes keep what they commit from now on, since an alias has a replica.
def track_written() -> None: ...

# Scopes are told of their end from now on, also those without sessions of their own.
def track_borrowed() -> None: ...

@disjoint_base
class ScopeBase:
    """What every `Scope` has: its attributes, and the methods that `with` and `async with` call.
    They finish whatever interrupts them, and a scope that is forgotten while `is_open` ends.
    """

    request_id: str
    is_entered: bool
    is_open: bool
    ended: bool
    _kept: ScopeOptions | Kept | None  # the options; once it is open, what they come to
    _outer: Scope | None
    _written: tuple[DbSession, ...]  # closed ones, for commit_lsn
    @property
    def _thread(self) -> int: ...  # that opened it
    def __init__(
        self, request_id: str | None = None, options: ScopeOptions | None = None
    ) -> None: ...
    def open(self) -> None:
        """Open the scope, so that sessions can be opened in it."""

    def close(self) -> None:
        """Close the scope: no session can be opened in it any more."""

    def _leave(self) -> None: ...
    def __enter__(self) -> Scope: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __aenter__(self) -> Coroutine[Any, Any, Scope]: ...
    def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Coroutine[Any, Any, None]: ...
