"""`sql()`, `identifier()` and `join()`: templates without t-strings."""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING, Any, Literal, cast

from hypern.sql._identifier import check_names
from hypern.sql._template import Interpolation, Template

if TYPE_CHECKING:
    from collections.abc import Iterable

_parse = Formatter().parse


def sql(text: str, /, *values: Any, **named: Any) -> Template:
    """The template of a text with a value for each `{}`, in order, and for each `{name}`.

    A value becomes a parameter, a `Template` (what this function, `identifier()` and `join()`
    return) a part of the text. `{:i}` and `{name:i}` quote a str, or a tuple of them, as an
    identifier. `{{` and `}}` are braces. The text is the program's own, as any SQL text is: what
    comes from a user is a value. Raises TypeError where values and places do not match.
    """
    if not isinstance(text, str):
        raise TypeError(f"sql() takes a str, not {type(text).__name__}")
    parts: list[str | Interpolation] = []
    used: set[str] = set()
    count = 0
    for string, field, spec, conversion in _parse(text):
        parts.append(string)
        if field is None:
            continue
        if field == "":
            if count == len(values):
                raise TypeError(f"sql() has no value for the {{}} number {count + 1} of its text")
            value = values[count]
            expression = str(count)
            count += 1
        elif field.isidentifier():
            if field not in named:
                raise TypeError(f"sql() has no value for {{{field}}}")
            value = named[field]
            used.add(field)
            expression = field
        else:
            raise TypeError(f"sql() takes {{}} and {{name}}, not {{{field}}}")
        how = cast("Literal['a', 'r', 's'] | None", conversion)
        parts.append(Interpolation(value, expression, how, spec or ""))
    if count < len(values):
        raise TypeError(f"sql() has {len(values)} values for the {count} {{}} of its text")
    if unused := sorted(named.keys() - used):
        raise TypeError(f"sql() has no place for {', '.join(unused)} in its text")
    return Template(*parts)


def identifier(*names: str) -> Template:
    """A name of the database, quoted: `identifier("users")`, `identifier("public", "users")`.

    Raises TypeError for anything but str, ProgrammingError for what cannot be a name: an empty
    one, one with a NUL character, one of more than 63 bytes, which the server would cut.
    """
    if not names:
        raise TypeError("identifier() takes a name, or several that lead to it")
    check_names(names, "identifier()")
    return Template(Interpolation(names, "identifier()", None, "i"))


def join(separator: str | Template, templates: Iterable[Template], /) -> Template:
    """One template of several, with the separator between them: `join(" AND ", conditions)`."""
    if not isinstance(separator, (str, Template)):
        raise TypeError(f"join() takes a str or a Template first, not {type(separator).__name__}")
    parts: list[str | Interpolation] = []
    for i, template in enumerate(templates):
        if not isinstance(template, Template):
            raise TypeError(
                f"join() takes templates, as sql() makes: number {i} is {type(template).__name__}"
            )
        if i:
            parts.extend([separator] if isinstance(separator, str) else separator)
        parts.extend(template)
    return Template(*parts)
