"""A template's text and values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypern import _native
from hypern._pep249 import ProgrammingError
from hypern.sql._cache import Cache
from hypern.sql._identifier import check_names, quoted
from hypern.sql._template import Template

if TYPE_CHECKING:
    from collections.abc import Hashable

LONE_SURROGATE = "sql cannot be sent as UTF-8: it holds a lone surrogate"

_MARKS = 1  # of go/abi/hypern_abi.h

# What stands in a key for an interpolation; for an identifier it is the names.
_VALUE = 0
_TEMPLATE = 1

_texts: Cache[tuple[Hashable, ...], str] = Cache()


def render(template: Template, *, own_parameters: bool = False) -> tuple[str, list[Any]]:
    """The text with $1, $2, ... for the values, and the values.

    own_parameters: the strings may have such parameters themselves, where there are no values.
    """
    key: list[Hashable] = [own_parameters]
    values: list[Any] = []
    _collect(template, key, values)
    whole = tuple(key)
    text = _texts.get(whole)
    if text is None:
        text = _Text(template, own_parameters).checked()
        _texts.put(whole, text, 2 * len(text) + 16 * len(whole))
    return text, values


def _collect(template: Template, key: list[Hashable], values: list[Any]) -> None:
    """Add a template to the key of a text: its strings, then something for each interpolation."""
    key.append(template.strings)
    for part in template.interpolations:
        value = part.value
        if part.conversion is not None:
            raise TypeError(
                f"{{{part.expression}!{part.conversion}}} in SQL: a conversion would make a text "
                "of the value; leave it out, and the value becomes a parameter"
            )
        if part.format_spec == "":
            if isinstance(value, Template):
                key.append(_TEMPLATE)
                _collect(value, key, values)
            else:
                key.append(_VALUE)
                values.append(value)
        elif part.format_spec == "i":
            key.append(_names(part))
        else:
            raise TypeError(
                f"{{{part.expression}:{part.format_spec}}} in SQL: there is no format but :i, "
                "which quotes an identifier; without one the value becomes a parameter"
            )


def _names(part: Any) -> tuple[str, ...]:
    names = part.value if isinstance(part.value, tuple) and part.value else (part.value,)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(
                f"{{{part.expression}:i}} in SQL: an identifier is a str, or a tuple of str, not "
                f"{type(name).__name__}"
            )
    return tuple(str.__str__(name) for name in names)  # a subclass might compare as it likes


class _Text:
    """A text under way, and where in it each interpolation has its place."""

    def __init__(self, template: Template, own_parameters: bool) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._count = 0
        self._places: list[tuple[int, int, str]] = []
        self._own_parameters = own_parameters
        self._add(template)

    def _append(self, text: str) -> None:
        try:
            piece = text.encode()
        except UnicodeEncodeError:
            raise ProgrammingError(LONE_SURROGATE) from None
        self._pieces.append(piece)
        self._size += len(piece)

    def _add(self, template: Template) -> None:
        self._append(template.strings[0])
        for i, part in enumerate(template.interpolations):
            start = self._size
            name = part.expression or f"interpolation {i + 1}"
            if part.format_spec == "i":
                names = _names(part)
                check_names(names, f"{{{name}:i}} in SQL")
                self._append(quoted(names))
                end = self._size
                for label in names:  # each is a token of its own
                    size = len(quoted([label]).encode())
                    self._places.append((start, start + size, name))
                    start += size + 1
                assert start == end + 1
            elif isinstance(part.value, Template):
                self._add(part.value)
            else:
                self._count += 1
                self._append(f"${self._count}")
                self._places.append((start, self._size, name))
            self._append(template.strings[i + 1])

    def checked(self) -> str:
        """The text, in which each place must be what it was meant to be."""
        text = b"".join(self._pieces).decode()
        bounds = json.loads(_native.read_sql(_MARKS, text))
        marks = set(zip(bounds[::2], bounds[1::2], strict=True))
        for start, end, name in self._places:
            if (start, end) not in marks:
                raise ProgrammingError(
                    f"{{{name}}} in SQL stands inside quotes or a comment, or is joined to the "
                    "text beside it; a value needs no quotes, and wants a space around it"
                )
        if not self._own_parameters or self._count:
            self._check_parameters(text.encode(), bounds)
        return text

    def _check_parameters(self, text: bytes, bounds: list[int]) -> None:
        ours = {start for start, _, _ in self._places}
        for start, end in zip(bounds[::2], bounds[1::2], strict=True):
            if text[start : start + 1] == b"$" and start not in ours:
                raise ProgrammingError(
                    f"a Template numbers its parameters itself, but its text has "
                    f"{text[start:end].decode()}; interpolate the value in its place"
                )
