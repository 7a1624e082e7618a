"""COPY out of a table or query: rows or data in chunks, for `Stream` and `AsyncStream`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from hypern.session.copying import quoted_table
from hypern.session.stream import Portal

if TYPE_CHECKING:
    from hypern import _native
    from hypern.session.copying import Table

_ROWS: Final = 1000  # in a chunk
_BYTES: Final = 64 * 1024

# What a query begins with, and a table's name does not: a word that something follows.
_QUERY: Final = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(?:select|with|values|table|insert|update|delete|merge)\b\W*\S",
    re.IGNORECASE | re.DOTALL,
)


def query_of(table_or_query: Table) -> str:
    """The query whose rows are copied."""
    if isinstance(table_or_query, str) and _QUERY.match(table_or_query):
        return table_or_query
    return "TABLE " + quoted_table(table_or_query)


class CopyPortal(Portal):
    """The server's side of a COPY TO STDOUT. into: bytes for the data as it is."""

    __slots__ = ("_copy",)

    def __init__(
        self,
        session: _native.Session | _native.AsyncSession,
        sql: str,
        into: Any,
        timeout: float | None,
    ) -> None:
        super().__init__(session, sql, None, into, _BYTES if into is bytes else _ROWS, timeout)
        self._copy = sql

    def receive(self) -> Any:
        """Call the session for the next chunk."""
        if self._number:
            return super().receive()
        return self._session._copy_out(self._copy, self._into, self._chunk_rows, self._timeout)
