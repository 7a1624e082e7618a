"""What an annotation says about a value, as far as it can be converted without guessing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Float:
    """A float, which numeric becomes."""


@dataclass(frozen=True)
class Member:
    """A member of an enum, which a text or an enum's label becomes."""

    cls: Any


@dataclass(frozen=True)
class Row:
    """An object of a class, which a composite or a JSON object becomes."""

    into: Any


@dataclass(frozen=True)
class Items:
    """A list, whose items are converted."""

    item: Guide


Guide: TypeAlias = "Float | Member | Row | Items"
