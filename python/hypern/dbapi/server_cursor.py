"""`ServerCursor`: a cursor of the server's, blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypern.dbapi.cursor import Cursor
from hypern.dbapi.server_side import BaseServerCursor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypern.dbapi.results import Row


class ServerCursor(BaseServerCursor, Cursor):
    """Made by `Connection.cursor(name)`. It lives until its transaction ends, unless `withhold`."""

    def fetchone(self) -> Row | None:
        """The next row; None after the last one."""
        rows: list[Row] = self._run(self._receiving("FORWARD 1"))
        return rows[0] if rows else None

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next rows, `arraysize` of them unless a number is given."""
        number = self._arraysize if size is None else int(size)
        rows: list[Row] = self._run(self._receiving(f"FORWARD {number}"))
        return rows

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        rows: list[Row] = self._run(self._receiving("FORWARD ALL"))
        return rows

    def scroll(self, value: int, mode: str = "relative") -> None:
        """Move in the result set."""
        self._run(self._moving(value, mode))

    def close(self) -> None:
        """Close the cursor, on the server, too. A second call does nothing."""
        if self._is_closed:
            return
        try:
            self._run(self._closing())
        finally:
            super().close()

    def __iter__(self) -> Iterator[Row]:
        while rows := self.fetchmany(self._itersize):
            yield from rows
