"""Values that Django's fields exchange, and that hypern does not know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypern._range import Range

if TYPE_CHECKING:
    from collections.abc import Callable


class Int2(int):
    """A number of a field that is a smallint."""


class Int8(int):
    """A number of a field that is a bigint."""


class Json:
    """A value that is sent as jsonb; the text is made when it is needed."""

    __slots__ = ("adapted", "dumps")

    def __init__(self, adapted: Any, dumps: Callable[[Any], str] | None = None) -> None:
        self.adapted = adapted  # psycopg2's name
        self.dumps = dumps or json.dumps

    @property
    def obj(self) -> Any:
        """The value, under the name that psycopg has for it."""
        return self.adapted

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def text(self) -> str:
        """The value as JSON."""
        return self.dumps(self.adapted)


class DjangoRange(Range[Any]):
    """A range with the names that Django uses."""

    __slots__ = ()

    @property
    def isempty(self) -> bool:
        """Whether it contains nothing."""
        return self.empty

    @property
    def _bounds(self) -> str | None:
        return None if self.empty else self.bounds

    @property
    def lower_inf(self) -> bool:
        """Whether it has no lower bound."""
        return not self.empty and self.lower is None

    @property
    def upper_inf(self) -> bool:
        """Whether it has no upper bound."""
        return not self.empty and self.upper is None

    @property
    def lower_inc(self) -> bool:
        """Whether the lower bound is in it."""
        return not self.empty and self.lower is not None and self.bounds[0] == "["

    @property
    def upper_inc(self) -> bool:
        """Whether the upper bound is in it."""
        return not self.empty and self.upper is not None and self.bounds[1] == "]"

    def __bool__(self) -> bool:
        return not self.empty

    def __repr__(self) -> str:
        if self.empty:
            return f"{type(self).__name__}(empty=True)"
        return f"{type(self).__name__}({self.lower!r}, {self.upper!r}, {self.bounds!r})"
