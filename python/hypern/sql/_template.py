"""`Template` and `Interpolation`: the standard library's, and below CPython 3.14 their like."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

if sys.version_info >= (3, 14):
    from string.templatelib import Interpolation as Interpolation
    from string.templatelib import Template as Template
else:

    @final
    class Interpolation:
        """What stands between braces: a value, and the expression it comes from."""

        __slots__ = ("conversion", "expression", "format_spec", "value")
        __match_args__ = ("value", "expression", "conversion", "format_spec")

        def __init__(
            self,
            value: Any,
            expression: str = "",
            conversion: Literal["a", "r", "s"] | None = None,
            format_spec: str = "",
        ) -> None:
            if conversion not in (None, "a", "r", "s"):
                raise ValueError("conversion must be one of 'a', 'r', 's', or None")
            self.value = value
            self.expression = expression
            self.conversion = conversion
            self.format_spec = format_spec

        def __repr__(self) -> str:
            # Without the value, which may be a secret.
            rest = f"{self.expression!r}, {self.conversion!r}, {self.format_spec!r}"
            return f"Interpolation(..., {rest})"

    @final
    class Template:
        """Strings and the interpolations between them: one string more than interpolations."""

        __slots__ = ("interpolations", "strings")

        strings: tuple[str, ...]
        interpolations: tuple[Interpolation, ...]

        def __init__(self, *args: str | Interpolation) -> None:
            strings = [""]
            interpolations = []
            for arg in args:
                if isinstance(arg, str):
                    strings[-1] += arg
                elif isinstance(arg, Interpolation):
                    interpolations.append(arg)
                    strings.append("")
                else:
                    raise TypeError(
                        f"Template arguments must be str or Interpolation, not {type(arg).__name__}"
                    )
            self.strings = tuple(strings)
            self.interpolations = tuple(interpolations)

        @property
        def values(self) -> tuple[Any, ...]:
            """The interpolations' values."""
            return tuple(i.value for i in self.interpolations)

        def __iter__(self) -> Iterator[str | Interpolation]:
            for string, interpolation in zip(self.strings, self.interpolations, strict=False):
                if string:
                    yield string
                yield interpolation
            if self.strings[-1]:
                yield self.strings[-1]

        def __add__(self, other: Template) -> Template:
            if not isinstance(other, Template):
                return NotImplemented
            return Template(*self, *other)

        def __repr__(self) -> str:
            return f"Template(strings={self.strings!r}, interpolations={self.interpolations!r})"
