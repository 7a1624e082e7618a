"""`Cursor`: statements and their results, blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypern.dbapi.results import BaseCursor, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from typing_extensions import Self

    from hypern.session.steps import Steps

    Params = Sequence[Any] | Mapping[str, Any]


class Cursor(BaseCursor):
    """Made by `Connection.cursor()`. The rows of a result are tuples, received as a whole."""

    def execute(
        self, query: str, params: Params | None = None, *, timeout: float | None = None
    ) -> Self:
        """Run a statement with `%s` or `%(name)s` from params; several without parameters.

        timeout: seconds, after which it is cancelled. Returns the cursor.
        """
        self._run(self._executing(query, params, timeout))
        return self

    def executemany(
        self,
        query: str,
        params_seq: Iterable[Params],
        *,
        returning: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Run a statement for each of the parameters, all or none of them.

        returning: keep each one's rows; `nextset()` goes to the next. `rowcount` is of all.
        """
        self._run(self._executing_many(query, params_seq, returning, timeout))

    def callproc(self, procname: str, parameters: Params | None = None) -> Params:
        """Call a function; its result is the result set. Returns the parameters, as they were."""
        self._run(self._calling(procname, parameters))
        return () if parameters is None else parameters

    def fetchone(self) -> Row | None:
        """The next row; None after the last one."""
        return self._one()

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next rows, `arraysize` of them unless a number is given."""
        return self._some(size)

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        return self._all()

    def scroll(self, value: int, mode: str = "relative") -> None:
        """Move in the result set; IndexError outside it."""
        self._scroll(value, mode)

    def nextset(self) -> bool | None:
        """Go to the result of the next statement; None if there is none."""
        self._check()
        return self._next() or None

    def close(self) -> None:
        """Close the cursor. A second call does nothing."""
        self._is_closed = True
        self._drop()

    def _run(self, steps: Steps[Any]) -> Any:
        return self.connection._run(steps)

    def __iter__(self) -> Iterator[Row]:
        self._held()
        while (row := self.fetchone()) is not None:
            yield row

    def __next__(self) -> Row:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
