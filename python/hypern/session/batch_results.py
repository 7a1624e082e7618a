"""What the statements of a batch return: results that are there after its block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hypern import _native
from hypern._result import Result
from hypern.session.names import public_names

if TYPE_CHECKING:
    from hypern._result import Column

_T = TypeVar("_T")


class BatchResult(_native.BatchResultBase, Generic[_T]):
    """What a statement of a batch returns. It is there after the batch's block."""

    __slots__ = ()
    __dir__ = public_names

    if TYPE_CHECKING:

        def _value(self) -> _T: ...


class BatchCount(BatchResult[None]):
    """The result of `execute` in a batch: `.count`."""

    __slots__ = ()


class BatchRows(BatchResult[list[_T]]):
    """The result of `query` in a batch."""

    __slots__ = ()

    @property
    def rows(self) -> list[_T]:
        """All rows. InterfaceError before the block has ended, or if the batch has failed."""
        return self._value()


class BatchRow(BatchResult[_T]):
    """The result of `query_one` or `query_one_or_none` in a batch."""

    __slots__ = ()

    @property
    def row(self) -> _T:
        """The row. NoRows, or TooManyRows, where the session's method raises it: the statement has
        run. InterfaceError before the block has ended, or if the batch has failed.
        """
        return self._value()


class BatchValue(BatchResult[Any]):
    """The result of `query_value` in a batch."""

    __slots__ = ()

    @property
    def value(self) -> Any:
        """The first column of the first row; NoRows if there is none. InterfaceError before the
        block has ended, or if the batch has failed.
        """
        return self._value()


class BatchTable(BatchResult[Result]):
    """The result of `result` in a batch: all that `hypern.database.Result` has."""

    __slots__ = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, known without rows, too; empty for a statement that returns none.
        InterfaceError before the block has ended, or if the batch has failed.
        """
        return self._value().columns

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """All rows, as tuples. InterfaceError before the block has ended, or if the batch has
        failed.
        """
        return self._value().rows

    @property
    def tag(self) -> str:
        """The server's command tag, such as "INSERT 0 3". InterfaceError before the block has
        ended, or if the batch has failed.
        """
        return self._value().tag


class BatchValues(BatchResult[list[Any]]):
    """The result of `query_values` in a batch."""

    __slots__ = ()

    @property
    def values(self) -> list[Any]:
        """The first column of all rows. InterfaceError before the block has ended, or if the batch
        has failed.
        """
        return self._value()
