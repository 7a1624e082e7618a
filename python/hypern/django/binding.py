"""Statements with `%s`, made into PostgreSQL's `$1` with the type that a literal would have.

Django's statements are made for values that are part of the text. `$1::int4` is to the server what
the literal 42 is, so that it chooses the same operators and functions. Strings, lists and ranges
stay without a type, as their literals are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from hypern.django.casts import literal, typed
from hypern.errors import ProgrammingError
from hypern.sql._cache import Cache

_PERCENT: Final = re.compile(r"%(?:\(([^)]*)\))?(.)?", re.DOTALL)
_WRITES: Final = re.compile(r"\s*(?:INSERT|UPDATE)\b", re.IGNORECASE)
_ARRAY: Final = re.compile(r"\bARRAY\[(%s(?:, *%s)*)\]")
_PLACE: Final = re.compile(r"%[%s]")
_GROUPS: Final = re.compile(r"\b(?:GROUP\s+BY|DISTINCT)\b", re.IGNORECASE)

MAX_PARAMETERS: Final = 65_535  # of one statement, in the server's protocol


class Parsed(NamedTuple):
    """A statement without its placeholders."""

    pieces: tuple[str, ...]  # what is around them: one more than there are
    names: tuple[str, ...] | None  # one for each place; None if values go by position
    writes: bool  # INSERT and UPDATE, where a NULL has its column's type
    groups: bool  # equal values must be the same parameter
    elements: frozenset[int]  # the places directly within ARRAY[]


_texts: Cache[tuple[str, tuple[Any, ...]], str] = Cache()


@lru_cache(maxsize=2048)
def parsed(sql: str) -> Parsed:
    """Take a statement apart at its placeholders. Raises ProgrammingError for an unknown one."""
    pieces, names, piece, at = [], [], [], 0
    is_named = None
    for found in _PERCENT.finditer(sql):
        name, kind = found.groups()
        piece.append(sql[at : found.start()])
        at = found.end()
        if name is None and kind == "%":
            piece.append("%")
            continue
        if kind != "s":
            raise ProgrammingError(
                f'unknown placeholder "{found.group()}" at character {found.start() + 1}: a '
                "literal % is written %% where there are parameters"
            )
        if is_named not in (None, name is not None):
            raise ProgrammingError("the statement mixes %s and %(name)s placeholders")
        is_named = name is not None
        pieces.append("".join(piece))
        names.append(name)
        piece = []
    pieces.append("".join(piece) + sql[at:])
    return Parsed(
        tuple(pieces),
        tuple(names) if is_named else None,
        _WRITES.match(sql) is not None,
        _GROUPS.search(sql) is not None,
        frozenset() if is_named else _elements(sql),
    )


def _elements(sql: str) -> frozenset[int]:
    """The places within ARRAY[], where a list without a type would be its text."""
    found: set[int] = set()
    for array in _ARRAY.finditer(sql):
        before = _PLACE.findall(sql, 0, array.start()).count("%s")
        found.update(range(before, before + array[1].count("%s")))
    return frozenset(found)


def bound(sql: str, params: Any) -> tuple[str, list[Any] | None]:
    """The statement with `$1`, and its values."""
    statement = parsed(sql)
    given = _in_order(statement, params)
    if len(given) > MAX_PARAMETERS:
        return _composed(statement, given), None
    values: list[Any] = []
    casts = []
    for value in given:
        cast, value = typed(value)
        if cast == "NULL" and not statement.writes:
            casts.append(cast)
            continue
        values.append(value)
        casts.append("" if cast == "NULL" else cast)
    for place in statement.elements:
        if casts[place] == "" and isinstance(given[place], (list, tuple)):
            casts[place] = "::text[]"
    places = tuple(casts)
    if statement.groups or statement.names is not None:
        places, values = _shared(casts, values)
    key = (sql, places)
    text = _texts.get(key)
    if text is None:
        text = _text(statement.pieces, places)
        _texts.put(key, text, len(sql) + len(text))
    return text, values


def composed(sql: str, params: Any) -> str:
    """The statement with literals in the places of its placeholders."""
    statement = parsed(sql)
    return _composed(statement, _in_order(statement, params))


def _composed(statement: Parsed, given: Sequence[Any]) -> str:
    parts = [statement.pieces[0]]
    for value, piece in zip(given, statement.pieces[1:], strict=True):
        parts += (literal(value), piece)
    return "".join(parts)


def _in_order(statement: Parsed, params: Any) -> Sequence[Any]:
    names, size = statement.names, len(statement.pieces) - 1
    if isinstance(params, Mapping):
        if names is None:
            if size:
                raise ProgrammingError("%s placeholders need a sequence of parameters")
            return ()
        try:
            return [params[name] for name in names]
        except KeyError as error:
            raise ProgrammingError(f"the parameters have no value for: {error.args[0]}") from None
    if names is not None:
        raise ProgrammingError(
            "the statement has %(name)s placeholders, so its parameters must be a mapping, not "
            f"{type(params).__name__}"
        )
    if not isinstance(params, (list, tuple)):
        if isinstance(params, (str, bytes)):
            raise TypeError(f"parameters must be a sequence, not {type(params).__name__}")
        params = list(params)
    if len(params) != size:
        raise ProgrammingError(
            f"the query has {size} placeholders but {len(params)} parameters were passed"
        )
    return params  # type: ignore[no-any-return]


def _shared(casts: list[str], values: list[Any]) -> tuple[tuple[Any, ...], list[Any]]:
    """Equal values as one parameter: else the server takes two equal expressions for different
    ones. A place is then a number and a cast.
    """
    numbers: dict[Any, int] = {}
    kept: list[Any] = []
    places: list[Any] = []
    given = iter(values)
    for cast in casts:
        if cast == "NULL":
            places.append(cast)
            continue
        value = next(given)
        key = (cast, type(value), repr(value))
        number = numbers.get(key)
        if number is None:
            kept.append(value)
            number = numbers[key] = len(kept)
        places.append((number, cast))
    return tuple(places), kept


def _text(pieces: tuple[str, ...], places: tuple[Any, ...]) -> str:
    parts = [pieces[0]]
    number = 0
    for place, piece in zip(places, pieces[1:], strict=True):
        if place == "NULL":
            parts += (place, piece)
        elif isinstance(place, tuple):
            parts += (f"${place[0]}{place[1]}", piece)
        else:
            number += 1
            parts += (f"${number}{place}", piece)
    return "".join(parts)
