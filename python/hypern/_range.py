"""`Range`: a value of PostgreSQL's range types, and an element of a multirange."""

from __future__ import annotations

from functools import total_ordering
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

_BOUNDS = ("[)", "[]", "(]", "()")


@total_ordering
class Range(Generic[_T]):
    """The values between two bounds; immutable, hashable, and ordered as PostgreSQL orders ranges.

    lower, upper: the bounds; None is unbounded, which is never inclusive. bounds: "[)", "[]", "(]"
    or "()", where a square bracket includes the bound. empty: the range that contains nothing; a
    range whose bounds leave no room is empty, too.

    `value in range` is whether the range contains the value. The server returns discrete types in
    canonical form: int4range(1, 3, '[]') is `Range(1, 4, "[)")` (PostgreSQL, "Range Types").
    """

    __slots__ = ("bounds", "empty", "lower", "upper")

    lower: _T | None
    upper: _T | None
    bounds: str
    empty: bool

    def __init__(
        self,
        lower: _T | None = None,
        upper: _T | None = None,
        bounds: str = "[)",
        empty: bool = False,
    ) -> None:
        if bounds not in _BOUNDS:
            raise ValueError(f"bounds must be one of: {', '.join(_BOUNDS)}")
        if empty or (lower is not None and lower == upper and bounds != "[]"):
            lower, upper, empty = None, None, True
        opening = "(" if lower is None else bounds[0]
        closing = ")" if upper is None else bounds[1]
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)
        object.__setattr__(self, "bounds", opening + closing)
        object.__setattr__(self, "empty", bool(empty))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Range cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a Range cannot be changed")

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.lower, self.upper, self.bounds, self.empty))

    def __repr__(self) -> str:
        if self.empty:
            return "Range(empty=True)"
        return f"Range({self.lower!r}, {self.upper!r}, {self.bounds!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Range):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return (self.lower, self.upper, self.bounds, self.empty)

    def __lt__(self, other: Any) -> bool:
        if not isinstance(other, Range):
            return NotImplemented
        if self.empty or other.empty:
            return self.empty and not other.empty
        if self.lower != other.lower:
            return self.lower is None or (other.lower is not None and self.lower < other.lower)
        if self.bounds[0] != other.bounds[0]:
            return self.bounds[0] == "["
        if self.upper != other.upper:
            return other.upper is None or (self.upper is not None and self.upper < other.upper)
        return self.bounds[1] == ")" and other.bounds[1] == "]"

    def __contains__(self, value: Any) -> bool:
        lower: Any = self.lower
        upper: Any = self.upper
        if self.empty:
            return False
        if lower is not None and not (value >= lower if self.bounds[0] == "[" else value > lower):
            return False
        return upper is None or bool(value <= upper if self.bounds[1] == "]" else value < upper)
