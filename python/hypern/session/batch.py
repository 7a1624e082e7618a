"""`Batch` and `AsyncBatch`: several statements in one write, and one wait for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from hypern import _native
from hypern.errors import InterfaceError
from hypern.session.batch_results import (
    BatchCount,
    BatchResult,
    BatchRow,
    BatchRows,
    BatchTable,
    BatchValue,
    BatchValues,
)
from hypern.session.batch_run import running
from hypern.session.names import public_names
from hypern.session.steps import later, now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Self

    from hypern.sql import Template

    _SQL = str | Template
    _Params = Sequence[Any] | Mapping[str, Any]

_T = TypeVar("_T")
_R = TypeVar("_R", bound=BatchResult[Any])


class Statements:
    """What the two kinds of batch have in common: the statements, each checked as it is added."""

    __slots__ = ("_items", "_session", "_state", "_timeout")
    __dir__ = public_names

    def __init__(self, session: Any, timeout: float | None) -> None:
        self._session = session
        self._timeout = timeout
        self._items: list[BatchResult[Any]] = []
        self._state = "new"

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def query(
        self, sql: _SQL, params: _Params | None = None, *, into: type[dict[str, Any]] = ...
    ) -> BatchRows[dict[str, Any]]: ...

    @overload
    def query(
        self, sql: _SQL, params: _Params | None = None, *, into: type[_T]
    ) -> BatchRows[_T]: ...

    @overload
    def query(
        self, sql: _SQL, params: _Params | None = None, *, into: Callable[..., _T]
    ) -> BatchRows[_T]: ...

    def query(
        self, sql: _SQL, params: _Params | None = None, *, into: Any = dict
    ) -> BatchRows[Any]:
        """Add a statement; `.rows` are all its rows, as `DbSession.query` returns them.

        sql, params and into are as for the session's method. TypeError or an Error for arguments
        that cannot be a statement, InterfaceError outside the batch's block.
        """
        return self._add(BatchRows, "rows", sql, params, into)

    @overload
    def query_one(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[dict[str, Any]] = ...,
        strict: bool = False,
    ) -> BatchRow[dict[str, Any]]: ...

    @overload
    def query_one(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: type[_T],
        strict: bool = False,
    ) -> BatchRow[_T]: ...

    @overload
    def query_one(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: Callable[..., _T],
        strict: bool = False,
    ) -> BatchRow[_T]: ...

    def query_one(
        self,
        sql: _SQL,
        params: _Params | None = None,
        *,
        into: Any = dict,
        strict: bool = False,
    ) -> BatchRow[Any]:
        """Add a statement; `.row` is its first row, as `DbSession.query_one` returns it."""
        word = "only row" if strict else "row"
        return self._add(BatchRow, word, sql, params, into)

    @overload
    def query_one_or_none(
        self, sql: _SQL, params: _Params | None = None, *, into: type[dict[str, Any]] = ...
    ) -> BatchRow[dict[str, Any] | None]: ...

    @overload
    def query_one_or_none(
        self, sql: _SQL, params: _Params | None = None, *, into: type[_T]
    ) -> BatchRow[_T | None]: ...

    @overload
    def query_one_or_none(
        self, sql: _SQL, params: _Params | None = None, *, into: Callable[..., _T]
    ) -> BatchRow[_T | None]: ...

    def query_one_or_none(
        self, sql: _SQL, params: _Params | None = None, *, into: Any = dict
    ) -> BatchRow[Any]:
        """Add a statement; `.row` is its first row, or None."""
        return self._add(BatchRow, "row or none", sql, params, into)

    def query_value(self, sql: _SQL, params: _Params | None = None) -> BatchValue:
        """Add a statement; `.value` is the first column of its first row."""
        return self._add(BatchValue, "value", sql, params)

    def query_values(self, sql: _SQL, params: _Params | None = None) -> BatchValues:
        """Add a statement; `.values` are the first column of its rows."""
        return self._add(BatchValues, "values", sql, params)

    def result(self, sql: _SQL, params: _Params | None = None) -> BatchTable:
        """Add a statement; `.columns`, `.rows` (tuples), `.count` and `.tag`, as those of
        `DbSession.result`.
        """
        return self._add(BatchTable, "result", sql, params)

    def execute(self, sql: _SQL, params: _Params | None = None) -> BatchCount:
        """Add a statement; `.count` is the number of rows affected."""
        return self._add(BatchCount, "count", sql, params)

    def _refusal(self) -> InterfaceError:
        """Why no statement can be added."""
        return InterfaceError(
            "statements are added to a batch inside its `with` block"
            if self._state == "new"
            else "the batch's block has ended; begin another batch"
        )

    def _add(
        self,
        result: type[_R],
        word: str,
        sql: _SQL,
        params: _Params | None,
        into: Any = dict,
    ) -> _R:
        if self._state != "open":
            raise self._refusal()
        added = result(self, _native.statement(sql, params, into, word))
        self._items.append(added)
        return added

    def _missing(self) -> str:
        """Why a result is not there."""
        if self._state == "open":
            return "the batch has not been sent: its results are there after its block"
        return "the batch was not completed, so that it has no results"

    def _begin(self) -> None:
        if self._state != "new":
            raise InterfaceError("a batch is entered once; begin another one")
        self._state = "open"

    def _end(self) -> None:
        self._state = "over"


class Batch(Statements):
    """The `with` block of `DbSession.batch()`."""

    __slots__ = ()

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._end()
        if kind is None:
            now(running(self._session, self._items, self._timeout))


class AsyncBatch(Statements):
    """The `async with` block of `AsyncDbSession.batch()`."""

    __slots__ = ()

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._end()
        if kind is None:
            await later(running(self._session, self._items, self._timeout))
