"""Statements with `%s` and `%(name)s`, rewritten to PostgreSQL's `$1`.

The rules are psycopg's: without parameters the text is sent as it is, and with parameters each `%`
counts, wherever it is written, so that a literal one is doubled, in quotes and comments, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from hypern.errors import ProgrammingError
from hypern.sql._cache import Cache

_PERCENT: Final = re.compile(r"%(?:\(([^)]*)\))?(.)?", re.DOTALL)


class Converted(NamedTuple):
    """A statement with `$1`, and where its values come from."""

    sql: str
    names: tuple[str, ...] | None  # of the parameters; None if they go by position
    size: int  # the number of parameters


_texts: Cache[str, Converted] = Cache()


def converted(sql: str) -> Converted:
    """The statement with `$1` in the place of its placeholders."""
    known = _texts.get(sql)
    if known is None:
        known = _convert(sql)
        _texts.put(sql, known, 2 * len(sql))
    return known


def values_of(statement: Converted, params: object) -> Sequence[Any]:
    """The values of one set of parameters, in the order of `$1`, `$2`."""
    names = statement.names
    if isinstance(params, Mapping):
        if names is None:
            if statement.size:
                raise ProgrammingError(
                    "the statement has %s placeholders, so its parameters must be a sequence, "
                    "not a mapping"
                )
            return ()
        try:
            return [params[name] for name in names]
        except KeyError:
            missing = ", ".join(name for name in names if name not in params)
            raise ProgrammingError(f"the parameters have no value for: {missing}") from None
    if names is not None:
        raise ProgrammingError(
            "the statement has %(name)s placeholders, so its parameters must be a mapping, not "
            f"{type(params).__name__}"
        )
    if isinstance(params, (str, bytes, bytearray)) or not isinstance(params, Sequence):
        raise TypeError(
            f"parameters must be a sequence or a mapping, not {type(params).__name__}; "
            "write [value] for a single one"
        )
    if len(params) != statement.size:
        raise ProgrammingError(
            f"the statement has {statement.size} placeholders, and {len(params)} parameters were "
            "given; a literal % is written %% where there are parameters"
        )
    return params


def _convert(sql: str) -> Converted:
    names: dict[str, int] = {}  # by name, its number
    count = 0

    def replace(found: re.Match[str]) -> str:
        nonlocal count
        name, kind = found.groups()
        if name is None and kind == "%":
            return "%"
        if kind != "s":
            raise ProgrammingError(
                f'unknown placeholder "{found.group()}" at character {found.start() + 1}: only %s '
                "and %(name)s are, and a literal % is written %% where there are parameters"
            )
        if name is None:
            count += 1
            return f"${count}"
        return f"${names.setdefault(name, len(names) + 1)}"

    text = _PERCENT.sub(replace, sql)
    if names and count:
        raise ProgrammingError("the statement mixes %s and %(name)s placeholders; use one of them")
    return Converted(text, tuple(names) if names else None, len(names) or count)
