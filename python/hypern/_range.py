"""Range: a value of PostgreSQL's range types."""

from __future__ import annotations

from functools import total_ordering
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_BOUNDS = ("[)", "[]", "(]", "()")


@total_ordering
class Range(Generic[T]):
    """The values between two bounds, as ``int4range``, ``tstzrange`` and their like hold them.

    ``None`` as a bound means that there is none on that side. As in PostgreSQL, such a side is
    never inclusive, a range that can hold nothing is *the* empty range, and ranges are ordered by
    their lower bounds, then by their upper ones, the empty range first. Ranges are immutable.

    The server turns ranges over integers and dates into the form ``[)``: ``Range(1, 5, "[]")`` sent
    as an ``int4range`` comes back as ``Range(1, 6, "[)")``.
    """

    __slots__ = ("bounds", "empty", "lower", "upper")

    lower: T | None
    upper: T | None
    bounds: str
    empty: bool

    def __init__(
        self,
        lower: T | None = None,
        upper: T | None = None,
        bounds: str = "[)",
        empty: bool = False,
    ) -> None:
        if bounds not in _BOUNDS:
            raise ValueError(f"the bounds of a Range must be one of {', '.join(_BOUNDS)}")
        low, high = bounds[0], bounds[1]
        if lower is None:
            low = "("
        if upper is None:
            high = ")"
        if lower is not None and lower == upper and low + high != "[]":
            empty = True
        if empty:
            lower, upper, low, high = None, None, "(", ")"
        set_once = object.__setattr__
        set_once(self, "lower", lower)
        set_once(self, "upper", upper)
        set_once(self, "bounds", low + high)
        set_once(self, "empty", bool(empty))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Range cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a Range cannot be changed")

    @property
    def lower_inclusive(self) -> bool:
        """Whether the lower bound itself is in the range."""
        return self.bounds[0] == "["

    @property
    def upper_inclusive(self) -> bool:
        """Whether the upper bound itself is in the range."""
        return self.bounds[1] == "]"

    def __contains__(self, value: Any) -> bool:
        if self.empty:
            return False
        if self.lower is not None and not (
            value >= self.lower if self.lower_inclusive else value > self.lower
        ):
            return False
        return self.upper is None or bool(
            value <= self.upper if self.upper_inclusive else value < self.upper
        )

    def _key(self) -> tuple[object, ...]:
        return (self.lower, self.upper, self.bounds, self.empty)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Range):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __lt__(self, other: Any) -> bool:
        if not isinstance(other, Range):
            return NotImplemented
        if self.empty or other.empty:
            return self.empty and not other.empty
        if self.lower != other.lower:
            return self.lower is None or (other.lower is not None and self.lower < other.lower)
        if self.lower_inclusive != other.lower_inclusive:
            return self.lower_inclusive
        if self.upper != other.upper:
            return other.upper is None or (self.upper is not None and self.upper < other.upper)
        return other.upper_inclusive and not self.upper_inclusive

    def __repr__(self) -> str:
        if self.empty:
            return "Range(empty=True)"
        return f"Range({self.lower!r}, {self.upper!r}, {self.bounds!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.lower, self.upper, self.bounds, self.empty))
