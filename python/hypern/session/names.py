"""What a shell or a notebook completes: public names only."""

from __future__ import annotations


def public_names(self: object) -> list[str]:
    """As `object.__dir__`, without the names that begin with one underscore."""
    return [
        name
        for name in object.__dir__(self)
        if not name.startswith("_") or (name.startswith("__") and name.endswith("__"))
    ]
