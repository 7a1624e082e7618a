"""From a template, or a text with parameters by name, to a text with $1, $2, ... and its values.

The extension calls `statement`, `many` and `script` for what is not a str with a sequence. What a
text or a template comes to is kept: the next time costs a look-up.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from hypern import _native
from hypern.errors import ParameterTypeError, ProgrammingError
from hypern.sql._cache import Cache
from hypern.sql._render import LONE_SURROGATE, render
from hypern.sql._template import Template

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_NAMED = 0  # of go/abi/hypern_abi.h

_texts: Cache[str, tuple[str, tuple[str, ...]]] = Cache()


def statement(sql: Any, params: Any) -> tuple[Any, Any]:
    """What the arguments of a statement stand for. What they cannot be is left to the extension."""
    if isinstance(sql, Template):
        if params is not None:
            first = sql.interpolations[0].expression if sql.interpolations else ""
            example = f", as {{{first}}} is" if first else ""
            raise TypeError(f"a Template takes no params: its values are interpolated{example}")
        text, values = render(sql)
        return text, values or None
    if isinstance(params, Mapping) and isinstance(sql, str):
        text, names = named(sql)
        return text, arguments(text, names, params)
    return sql, params


def many(sql: Any, rows: Any) -> tuple[Any, Any]:
    """The same for execute_many and query_many: a text with names takes rows that are mappings."""
    if isinstance(sql, Template):
        sql = without_values(sql, "the values come from the rows")
    if not isinstance(sql, str):
        return sql, rows
    text, names = named(sql)
    if not names:
        return sql, rows
    if isinstance(rows, AsyncIterable):
        return text, _arows(text, names, rows)
    if isinstance(rows, Iterable):
        return text, _rows(text, names, rows)
    return text, rows


def script(sql: Any) -> Any:
    """The text of a template without values."""
    if isinstance(sql, Template):
        return without_values(sql, "a script has no parameters")
    return sql


def without_values(template: Template, why: str) -> str:
    """The text of a template of which only identifiers, and templates, are parts."""
    text, values = render(template, own_parameters=True)
    if values:
        first = _first_value(template)
        raise TypeError(f"{why}: {first} can only be an identifier, {{...:i}}, or a Template")
    return text


def _first_value(template: Template) -> str:
    for i, part in enumerate(template.interpolations):
        if isinstance(part.value, Template):
            if found := _first_value(part.value):
                return found
        elif part.format_spec != "i":
            return part.expression or f"interpolation {i + 1}"
    return ""


def named(sql: str) -> tuple[str, tuple[str, ...]]:
    """The text with $n in place of its :name, and the names in their order."""
    found = _texts.get(sql)
    if found is None:
        try:
            read = _native.read_sql(_NAMED, sql)
        except UnicodeEncodeError:
            raise ProgrammingError(LONE_SURROGATE) from None
        text, names = json.loads(read)
        if not names:
            text = sql  # the same object: one text is kept, not two
        found = text, tuple(names)
        _texts.put(sql, found, 2 * len(sql))
    return found


def arguments(text: str, names: tuple[str, ...], params: Mapping[str, Any]) -> list[Any] | None:
    """The values of the names, each of which must be there, and no other."""
    values = [params[name] for name in names if name in params]
    if len(values) == len(names) == len(params):
        return values or None
    if missing := [name for name in names if name not in params]:
        raise ProgrammingError(f"params has no value for :{', :'.join(missing)}")
    unused = [key for key in params if key not in names]
    raise ProgrammingError(_unused(text, names, unused))


def _unused(text: str, names: tuple[str, ...], keys: list[Any]) -> str:
    shown = ", ".join(
        key[:63] if isinstance(key, str) else f"a key of type {type(key).__name__}" for key in keys
    )
    message = f"params has values that the SQL text does not use: {shown}"
    if any(isinstance(key, str) and f"%({key})" in text for key in keys):
        return f"{message}; write :name in place of %(name)s"
    if any(isinstance(key, str) and f":{key}" in text for key in keys):
        return (
            f"{message}; in square brackets a parameter is written (:name), and none is inside "
            "quotes or comments"
        )
    if not names:
        return f"{message}; a mapping goes with :name, and a sequence with $1"
    return message


def _row(text: str, names: tuple[str, ...], row: Any, number: int) -> list[Any]:
    if not isinstance(row, Mapping):
        refusal = ParameterTypeError(
            f"row {number} must be a mapping such as a dict, since the SQL text has "
            f":{names[0]}, not {type(row).__name__}"
        )
        refusal.row = number
        raise refusal
    try:
        return arguments(text, names, row) or []
    except ProgrammingError as error:
        error.row = number
        raise


def _rows(text: str, names: tuple[str, ...], rows: Iterable[Any]) -> Iterator[list[Any]]:
    for number, row in enumerate(rows):
        yield _row(text, names, row, number)


async def _arows(
    text: str, names: tuple[str, ...], rows: AsyncIterable[Any]
) -> AsyncIterator[list[Any]]:
    number = 0
    async for row in rows:
        yield _row(text, names, cast("Any", row), number)
        number += 1
