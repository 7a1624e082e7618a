"""Griffe's view of the extension's stub: a method that is overloaded has one entry, its first form.

Griffe keeps overloads apart from members, since the implementation follows them elsewhere. A stub
of C has no implementation, so the method would be missing.
"""

from __future__ import annotations

from typing import Any

import griffe


class OverloadsOfStubs(griffe.Extension):
    """Adds the overloaded methods of `hypern._native` to their classes."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        if "_native" not in pkg.members:
            return
        for cls in pkg["_native"].classes.values():
            for name, forms in cls.overloads.items():
                if forms and name not in cls.members:
                    forms[0].labels.discard("overload")
                    cls.set_member(name, forms[0])
