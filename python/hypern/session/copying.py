"""COPY into a table: from which of its columns, and by what a row becomes their values."""

from __future__ import annotations

import functools
import inspect
import operator
import time
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from hypern.errors import Error, ParameterTypeError, ProgrammingError
from hypern.rows.classes import kind_of
from hypern.rows.plan import compiled
from hypern.session.steps import in_block

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from hypern.session.steps import Steps

Table: TypeAlias = str | tuple[str, str]

_CHUNK: Final = 128 * 1024  # bytes of a file
_NOTHING: Final = object()
_COLUMNS: Final = (
    "SELECT attname::pg_catalog.text FROM pg_catalog.pg_attribute "
    "WHERE attrelid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass "
    "AND attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT attisdropped "
    "AND attgenerated OPERATOR(pg_catalog.=) ''::pg_catalog.\"char\" ORDER BY attnum"
)


def quoted(name: str) -> str:
    """A name as an identifier in SQL."""
    return '"' + name.replace('"', '""') + '"'


def quoted_table(table: Table) -> str:
    """A table's name in SQL: of a str, or of a tuple of schema and table."""
    names = (table,) if isinstance(table, str) else table
    if not (isinstance(names, tuple) and 1 <= len(names) <= 2):
        raise TypeError("table must be a str, or a tuple (schema, table)")
    for name in names:
        _check_name("table", name)
    return ".".join(quoted(name) for name in names)


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{what} must be named by str, not {type(name).__name__}")
    if not name or "\0" in name:
        raise ProgrammingError(f"the name of a {what} is empty or holds a NUL character")


def copying(
    session: Any,
    table: Table,
    rows: Iterable[Any] | AsyncIterable[Any],
    columns: Sequence[str] | None,
    timeout: float | None,
) -> Steps[int]:
    """Copy the rows into the table, in a transaction() block; the number of rows."""
    target = quoted_table(table)
    names = None if columns is None else _checked(columns)
    first, rows = yield from _peek(rows)
    left = _left_of(timeout)

    def within() -> Steps[int]:
        named, values_of = _reading(first)
        chosen = names or named
        if chosen is None:
            found = yield session.query_values(_COLUMNS, [target], timeout=left())
            chosen = tuple(found)
        if not chosen:
            raise ProgrammingError(f"the table {target} has no column that rows can be copied into")
        data = rows if values_of is None else _mapped(rows, values_of(chosen))
        marks = ", ".join(f"${n}" for n in range(1, len(chosen) + 1))
        insert = "INSERT INTO " + f"{target} ({', '.join(map(quoted, chosen))}) VALUES ({marks})"
        count: int = yield session._copy_rows(insert, data, chosen, left())
        return count

    return (yield from in_block(session, within()))


def _checked(columns: Sequence[str]) -> tuple[str, ...]:
    if isinstance(columns, str):
        raise TypeError("columns must be a sequence of names, not a str")
    for name in columns:
        _check_name("column", name)
    if not columns:
        raise ProgrammingError("columns must name at least one column")
    return tuple(columns)


def _left_of(timeout: float | None) -> Callable[[], float | None]:
    """What is left of a limit for all the calls that it is for."""
    if timeout is None:
        return lambda: None
    until = time.monotonic() + timeout
    return lambda: max(until - time.monotonic(), 0.0)


def _peek(rows: Any) -> Steps[tuple[Any, Any]]:
    """The first row, and all of them once more."""
    if isinstance(rows, (list, tuple)):
        return (rows[0] if rows else _NOTHING), rows
    if isinstance(rows, Iterable):
        iterator = iter(rows)
        first = next(iterator, _NOTHING)
        return first, (chain([first], iterator) if first is not _NOTHING else [])
    if not isinstance(rows, AsyncIterable):
        raise TypeError(f"rows must be an iterable of rows, not {type(rows).__name__}")
    later = aiter(rows)
    try:
        first = yield anext(later)
    except StopAsyncIteration:
        return _NOTHING, []
    return first, _after(first, later)


async def _after(first: Any, rest: AsyncIterator[Any]) -> AsyncIterator[Any]:
    yield first
    async for row in rest:
        yield row


_Values: TypeAlias = "Callable[[Any], Any]"


def _reading(
    first: Any,
) -> tuple[tuple[str, ...] | None, Callable[[tuple[str, ...]], _Values] | None]:
    """The columns that rows like the first one name, and what makes the function that takes the
    values of columns from a row; None for sequences, which are values as they are.
    """
    if isinstance(first, Mapping):
        return _checked(tuple(first)) if first else None, _of_mapping
    kind = kind_of(type(first))
    if kind is None:
        return None, None
    fields = compiled(type(first))[0].fields
    places = {field.columns[0]: field.name for field in fields}

    def of_object(columns: tuple[str, ...]) -> _Values:
        return _getter(operator.attrgetter, [places.get(name, name) for name in columns])

    return tuple(places), of_object


def _getter(make: Any, places: Sequence[Any]) -> _Values:
    if len(places) > 1:
        getter: _Values = make(*places)
        return getter
    one = make(*places)
    return lambda row: (one(row),)


def _of_mapping(columns: tuple[str, ...]) -> _Values:
    get, known = _getter(operator.itemgetter, columns), set(columns)

    def values(row: Any) -> Any:
        found = get(row)
        if len(row) != len(columns) and (more := [name for name in row if name not in known]):
            raise KeyError(more[0])
        return found

    return values


def _mapped(rows: Any, values: _Values) -> Any:
    return (
        _later_mapped(rows, values)
        if isinstance(rows, AsyncIterable)
        else _now_mapped(rows, values)
    )


def _now_mapped(rows: Iterable[Any], values: _Values) -> Iterator[Any]:
    for number, row in enumerate(rows):
        try:
            found = values(row)
        except (KeyError, AttributeError, TypeError) as error:
            raise _unlike(number, error) from error
        yield found


async def _later_mapped(rows: AsyncIterable[Any], values: _Values) -> AsyncIterator[Any]:
    number = 0
    async for row in rows:
        try:
            found = values(row)
        except (KeyError, AttributeError, TypeError) as error:
            raise _unlike(number, error) from error
        yield found
        number += 1


def _unlike(number: int, error: Exception) -> Error:
    """For a row whose fields are not the columns."""
    if isinstance(error, KeyError):
        what = f"its keys are not the columns: {error.args[0]!r} is on one side only"
    elif isinstance(error, AttributeError):
        what = f"it has no attribute {error.name!r}"
    else:
        what = "it is of another kind than the first row"
    raised = ParameterTypeError(f"row {number}: {what}")
    raised.row = number
    return raised


def chunks_of(chunks: Any) -> Any:
    """The data of `copy_in_raw` as an iterable of chunks."""
    if isinstance(chunks, (bytes, bytearray, memoryview)):
        return [chunks]
    read = getattr(chunks, "read", None)
    if inspect.iscoroutinefunction(read):
        return _read_later(read)
    if callable(read):
        return iter(functools.partial(read, _CHUNK), b"")
    if isinstance(chunks, str) or not isinstance(chunks, (Iterable, AsyncIterable)):
        raise ParameterTypeError(
            "the data of a COPY must be bytes, an iterable of them, or a binary file, not "
            f"{type(chunks).__name__}"
        )
    return chunks


async def _read_later(read: Any) -> AsyncIterator[bytes]:
    while chunk := await read(_CHUNK):
        yield chunk
