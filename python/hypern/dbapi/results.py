"""What blocking and awaited cursors share: their results, and the place in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypern._pep249 import InterfaceError, ProgrammingError
from hypern.dbapi.types import Column, description_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hypern.dbapi.base import BaseConnection
    from hypern.session.steps import Steps

Row = tuple[Any, ...]


class BaseCursor:
    """A cursor's results and its steps; a row is a tuple."""

    def __init__(self, connection: BaseConnection) -> None:
        self._connection = connection
        self._is_closed = False
        self._arraysize = 1
        self._forget()

    def _forget(self) -> None:
        self._results: Iterator[Any] = iter(())
        self._rows: list[Row] | None = None  # None: there is no result set
        self._at = 0
        self._columns: Any = ()
        self._description: list[Column] | None = None
        self._rowcount = -1
        self._tag = ""

    def _drop(self) -> None:
        """Let go of the rows; what is known of the statement stays."""
        self._results, self._rows = iter(()), None

    @property
    def closed(self) -> bool:
        """Whether the cursor, or its connection, is closed."""
        return self._is_closed or self._connection.closed

    @property
    def connection(self) -> Any:
        """The connection that made it."""
        return self._connection

    @property
    def description(self) -> list[Column] | None:
        """The columns of the present result set; None if there is none."""
        if self._description is None and self._columns:
            self._description = description_of(self._columns)
        return self._description

    @property
    def rowcount(self) -> int:
        """The rows that the statement has returned or changed; -1 if it has neither."""
        return self._rowcount

    @property
    def rownumber(self) -> int | None:
        """The place of the next row in the result set, from 0; None if there is none."""
        return None if self._rows is None else self._at

    @property
    def statusmessage(self) -> str | None:
        """The server's command tag, such as "INSERT 0 1"; None before the first statement."""
        return self._tag or None

    @property
    def arraysize(self) -> int:
        """How many rows `fetchmany()` returns unless it is told; 1 at first."""
        return self._arraysize

    @arraysize.setter
    def arraysize(self, value: int) -> None:
        if not isinstance(value, int) or value < 1:
            raise ProgrammingError("arraysize must be 1 or more")
        self._arraysize = value

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """PEP 249's; it does nothing: the server reports the types of parameters."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """PEP 249's; it does nothing: values are received whole."""

    # Steps

    def _executing(self, sql: str, params: object, timeout: float | None) -> Steps[None]:
        self._check()
        self._forget()
        results = yield from self._connection._running(sql, params, timeout)
        self._hold(results)

    def _executing_many(
        self, sql: str, rows: Any, returning: bool, timeout: float | None
    ) -> Steps[None]:
        self._check()
        self._forget()
        if not returning:
            self._rowcount = yield from self._connection._many(sql, rows, timeout)
            return
        results = yield from self._connection._many_results(sql, rows, timeout)
        self._hold(results)
        if results:
            self._rowcount = sum(result.count for result in results)

    def _calling(self, name: str, params: Any) -> Steps[None]:
        self._check()
        self._forget()
        text, values = call(name, params)
        self._hold([(yield from self._connection._statement(text, values, None))])

    def _hold(self, results: list[Any]) -> None:
        self._results = iter(results)
        self._next()

    def _next(self) -> bool:
        result = next(self._results, None)
        if result is None:
            return False
        self._columns, self._description, self._at = result.columns, None, 0
        self._tag = result.tag
        self._rows = result.rows if self._columns else None
        self._rowcount = result.count if self._rows is not None or _counts(result.tag) else -1
        return True

    # Rows

    def _check(self) -> None:
        if self._is_closed:
            raise InterfaceError("the cursor is closed")
        self._connection._usable()

    def _held(self) -> list[Row]:
        """The rows, which have been received: the connection may have been closed meanwhile."""
        if self._rows is None or self._is_closed:
            self._check()
            raise ProgrammingError("there is no result set: the last statement returned no rows")
        return self._rows

    def _one(self) -> Row | None:
        rows = self._held()
        at = self._at
        if at >= len(rows):
            return None
        self._at = at + 1
        return rows[at]

    def _some(self, size: int | None) -> list[Row]:
        rows = self._held()
        at = self._at
        found = rows[at : at + (self._arraysize if size is None else size)]
        self._at = at + len(found)
        return found

    def _all(self) -> list[Row]:
        rows = self._held()
        at, self._at = self._at, len(rows)
        return rows[at:] if at else list(rows)

    def _scroll(self, value: int, mode: str) -> None:
        rows = self._held()
        if mode not in ("relative", "absolute"):
            raise ValueError('mode must be "relative" or "absolute"')
        at = value + (self._at if mode == "relative" else 0)
        if not 0 <= at < len(rows):
            raise IndexError("the place is outside the result set")
        self._at = at


def call(name: str, params: Any) -> tuple[str, Any]:
    """The SELECT of a function, which is what `callproc` calls."""
    from hypern.dbapi.quoting import quote_identifier

    if not isinstance(name, str) or not name:
        raise ProgrammingError("callproc() needs the name of a function")
    function = ".".join(
        part if part.isidentifier() else quote_identifier(part) for part in name.split(".")
    )
    if params is None:
        params = ()
    if hasattr(params, "keys"):
        pairs = [(quote_identifier(key), params[key]) for key in params]
        places = ", ".join(f"{key} => ${n}" for n, (key, _) in enumerate(pairs, 1))
        return f"SELECT * FROM {function}({places})", [value for _, value in pairs] or None
    places = ", ".join(f"${n}" for n in range(1, len(params) + 1))
    return f"SELECT * FROM {function}({places})", list(params) or None


def _counts(tag: str) -> bool:
    """Whether a command tag has a number of rows."""
    return tag[-1:].isdigit()
