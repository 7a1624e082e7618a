"""The pool of SQLAlchemy's that hands each connection through to hypern's."""

from __future__ import annotations

from typing import Any

from sqlalchemy.pool import NullPool


class HypernPool(NullPool):
    """Keeps no connection: hypern's pool does. `dispose()` closes that once nobody uses it."""

    def status(self) -> str:
        return "the connections are in hypern's pool: see Database.status()"

    def dispose(self) -> None:
        dialect: Any = self._dialect
        retire = getattr(dialect, "retire_pools", None)
        if retire is not None:
            retire()
