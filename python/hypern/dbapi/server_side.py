"""What blocking and awaited server-side cursors share: DECLARE, FETCH, MOVE and CLOSE.

Each cursor is one of the server's, so other statements of the connection leave it as it is.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from hypern._pep249 import ProgrammingError
from hypern.dbapi.quoting import quote_identifier
from hypern.dbapi.results import BaseCursor, Row
from hypern.errors import InFailedSqlTransaction

if TYPE_CHECKING:
    from hypern.dbapi.base import BaseConnection
    from hypern.session.steps import Steps

# A FETCH returns what its cursor does: another cursor of the same name must not find it prepared.
_numbers = itertools.count(1)


class BaseServerCursor(BaseCursor):
    """A named cursor's place on the server, and its steps."""

    def __init__(
        self, connection: BaseConnection, name: str, *, scrollable: bool | None, withhold: bool
    ) -> None:
        super().__init__(connection)
        self._quoted = quote_identifier(name)
        self._scrollable = scrollable
        self._withhold = withhold
        self._transaction: int | None = None  # where it was declared; None: it is not
        self._number = 0
        self._itersize = 1000
        self.name = name

    @property
    def itersize(self) -> int:
        """How many rows a loop over the cursor receives at a time."""
        return self._itersize

    @itersize.setter
    def itersize(self, value: int) -> None:
        if not isinstance(value, int) or value < 1:
            raise ProgrammingError("itersize must be 1 or more")
        self._itersize = value

    def _executing(self, sql: str, params: object, timeout: float | None) -> Steps[None]:
        self._check()
        yield from self._closing()
        self._forget()
        text, values = self._connection._converted(sql, params)
        words = ["DECLARE", self._quoted]
        if self._scrollable is not None:
            words.append("SCROLL" if self._scrollable else "NO SCROLL")
        words += ["CURSOR WITH HOLD FOR" if self._withhold else "CURSOR FOR", text]
        yield from self._connection._statement(" ".join(words), values, timeout)
        self._transaction = self._connection.transactions
        self._number = next(_numbers)
        result = yield from self._fetching("FORWARD 0")
        self._columns, self._rows, self._tag = result.columns, [], result.tag

    def _executing_many(
        self, sql: str, rows: Any, returning: bool, timeout: float | None
    ) -> Steps[None]:
        yield from _refused("executemany")

    def _calling(self, name: str, params: Any) -> Steps[None]:
        yield from _refused("callproc")

    def _fetching(self, what: str) -> Steps[Any]:
        text = f"FETCH {what} FROM {self._quoted} /* {self._number} */"
        return (yield from self._connection._statement(text, None, None))

    def _receiving(self, what: str) -> Steps[list[Row]]:
        self._check()
        self._held()
        self._check_declared()
        result = yield from self._fetching(what)
        rows: list[Row] = result.rows
        self._at += len(rows)
        self._rowcount = len(rows)
        return rows

    def _moving(self, value: int, mode: str) -> Steps[None]:
        self._check()
        self._held()
        self._check_declared()
        if mode not in ("relative", "absolute"):
            raise ValueError('mode must be "relative" or "absolute"')
        how = "RELATIVE" if mode == "relative" else "ABSOLUTE"
        if mode == "relative" and value > 0:
            how = "FORWARD"  # which a cursor without SCROLL takes
        yield from self._connection._statement(
            f"MOVE {how} {int(value)} FROM {self._quoted}", None, None
        )
        self._at = value if mode == "absolute" else self._at + value

    def _closing(self) -> Steps[None]:
        """Close the server's cursor if it is there: else CLOSE would abort the transaction."""
        declared, self._transaction = self._is_declared(), None
        if not declared or self._connection.closed:
            return
        statement = self._connection._statement
        try:
            if self._withhold:
                query = "SELECT 1 FROM pg_catalog.pg_cursors WHERE name OPERATOR(pg_catalog.=) $1"
                if not (yield from statement(query, [self.name], None)).rows:
                    return
            yield from statement(f"CLOSE {self._quoted}", None, None)
        except InFailedSqlTransaction:
            pass  # the cursor goes with the transaction

    def _is_declared(self) -> bool:
        if self._transaction is None:
            return False
        connection = self._connection
        return self._withhold or (
            connection.in_transaction and connection.transactions == self._transaction
        )

    def _check_declared(self) -> None:
        if not self._is_declared():
            raise ProgrammingError(f'the cursor "{self.name}" has ended with its transaction')


def _refused(method: str) -> Steps[None]:
    raise ProgrammingError(f"{method}() needs a cursor without a name")
    yield  # type: ignore[unreachable]  # it makes steps of this function
