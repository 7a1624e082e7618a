"""`AsyncCursor` and `AsyncServerCursor`: statements and their results, awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypern.dbapi.results import BaseCursor, Row
from hypern.dbapi.server_side import BaseServerCursor
from hypern.session.steps import later

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from typing_extensions import Self

    from hypern.dbapi.cursor import Params
    from hypern.session.steps import Steps


class AsyncCursor(BaseCursor):
    """Made by `AsyncConnection.cursor()`; `Cursor`'s names, awaited."""

    async def execute(
        self, query: str, params: Params | None = None, *, timeout: float | None = None
    ) -> Self:
        """Run a statement, as `Cursor.execute`."""
        await self._run(self._executing(query, params, timeout))
        return self

    async def executemany(
        self,
        query: str,
        params_seq: Iterable[Params],
        *,
        returning: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Run a statement for each of the parameters, as `Cursor.executemany`."""
        await self._run(self._executing_many(query, params_seq, returning, timeout))

    async def callproc(self, procname: str, parameters: Params | None = None) -> Params:
        """Call a function; its result is the result set. Returns the parameters, as they were."""
        await self._run(self._calling(procname, parameters))
        return () if parameters is None else parameters

    async def fetchone(self) -> Row | None:
        """The next row; None after the last one."""
        return self._one()

    async def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next rows, `arraysize` of them unless a number is given."""
        return self._some(size)

    async def fetchall(self) -> list[Row]:
        """All rows that are left."""
        return self._all()

    async def scroll(self, value: int, mode: str = "relative") -> None:
        """Move in the result set; IndexError outside it."""
        self._scroll(value, mode)

    def nextset(self) -> bool | None:
        """Go to the result of the next statement; None if there is none. It is not awaited."""
        self._check()
        return self._next() or None

    async def close(self) -> None:
        """Close the cursor. A second call does nothing."""
        self._is_closed = True
        self._drop()

    async def _run(self, steps: Steps[Any]) -> Any:
        return await later(self._connection._noting(steps))

    async def __aiter__(self) -> AsyncIterator[Row]:
        self._held()
        while (row := self._one()) is not None:
            yield row

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()


class AsyncServerCursor(BaseServerCursor, AsyncCursor):
    """Made by `AsyncConnection.cursor(name)`; as `ServerCursor`, awaited."""

    async def fetchone(self) -> Row | None:
        """The next row; None after the last one."""
        rows: list[Row] = await self._run(self._receiving("FORWARD 1"))
        return rows[0] if rows else None

    async def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next rows, `arraysize` of them unless a number is given."""
        number = self._arraysize if size is None else int(size)
        rows: list[Row] = await self._run(self._receiving(f"FORWARD {number}"))
        return rows

    async def fetchall(self) -> list[Row]:
        """All rows that are left."""
        rows: list[Row] = await self._run(self._receiving("FORWARD ALL"))
        return rows

    async def scroll(self, value: int, mode: str = "relative") -> None:
        """Move in the result set."""
        await self._run(self._moving(value, mode))

    async def close(self) -> None:
        """Close the cursor, on the server, too. A second call does nothing."""
        if self._is_closed:
            return
        try:
            await self._run(self._closing())
        finally:
            await super().close()

    async def __aiter__(self) -> AsyncIterator[Row]:
        while rows := await self.fetchmany(self._itersize):
            for row in rows:
                yield row
