"""`Batch` and `AsyncBatch`: several statements in one write, and one wait for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from hypern import _native
from hypern.session.batch_results import (
    BatchCount,
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


class Statements(_native.StatementsBase):
    """What the two kinds of batch have in common: the statements, each checked as it is added."""

    __slots__ = ()
    __dir__ = public_names

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
        return self._add(BatchValue, "value", sql, params, dict)

    def query_values(self, sql: _SQL, params: _Params | None = None) -> BatchValues:
        """Add a statement; `.values` are the first column of its rows."""
        return self._add(BatchValues, "values", sql, params, dict)

    def result(self, sql: _SQL, params: _Params | None = None) -> BatchTable:
        """Add a statement; `.columns`, `.rows` (tuples), `.count` and `.tag`, as those of
        `DbSession.result`.
        """
        return self._add(BatchTable, "result", sql, params, dict)

    def execute(self, sql: _SQL, params: _Params | None = None) -> BatchCount:
        """Add a statement; `.count` is the number of rows affected."""
        return self._add(BatchCount, "count", sql, params, dict)


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
