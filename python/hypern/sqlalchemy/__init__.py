"""SQLAlchemy: the dialect `postgresql+hypern://`, and engines on the request's session."""

from __future__ import annotations

from hypern.sqlalchemy.dialect import HypernAsyncDialect, HypernDialect
from hypern.sqlalchemy.engine import async_engine, engine

__all__ = ["HypernAsyncDialect", "HypernDialect", "async_engine", "engine"]
