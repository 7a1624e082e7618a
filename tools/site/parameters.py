"""Parameters of a docstring as a list: `name: what it is`, a line each, is one paragraph of text.

In a paragraph that begins with the name of a parameter and a colon, each further name at the start
of a line or of a sentence begins an item, and "Raises" a paragraph.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


class ParametersAsList(griffe.Extension):
    """Rewrites the docstrings of functions and classes before they are read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None and isinstance(obj, griffe.Function | griffe.Class):
            obj.docstring.value = as_list(obj.docstring.value, names(obj))


def names(obj: griffe.Function | griffe.Class) -> set[str]:
    """What a docstring may explain: parameters, and attributes of a class."""
    found = {parameter.name for parameter in obj.parameters}
    return found | set(obj.members) if isinstance(obj, griffe.Class) else found


def as_list(text: str, known: set[str]) -> str:
    """A docstring in which each of these names has an item of a list."""
    return "\n\n".join(_paragraph(part, known) for part in re.split(r"\n\s*\n", text))


def _paragraph(text: str, known: set[str]) -> str:
    name = "|".join(map(re.escape, sorted(known, key=len, reverse=True))) or "(?!)"
    starts = rf"(?:{name})(?:, (?:{name}))*: "
    if not re.match(starts, text):
        return text
    parts = re.split(rf"(?:\n|(?<=\. ))(?={starts})|(?<=\.)\s(?=Raises )", text)
    items = []
    for part in parts:
        joined = " ".join(part.split())
        if found := re.match(starts, joined):
            quoted = ", ".join(f"`{name}`" for name in found[0][:-2].split(", "))
            items.append(f"- {quoted}: {joined[found.end() :]}")
        else:
            items.append(f"\n{joined}")
    return "\n".join(items)
