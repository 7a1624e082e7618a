"""Has SQLAlchemy's own tests treat hypern as the drivers that they know by name.

`make test/peers` names this class in the setup.cfg of SQLAlchemy's sdist. It opens the tests of
ranges, hstore and others that are limited to a list of drivers. The pool is the one that the tests
assume: they look at a connection after it went back, which hypern's own pool resets.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import pool
from sqlalchemy.testing import exclusions
from test.requirements import DefaultRequirements

from hypern.sqlalchemy.dialect import HypernDialect


class Requirements(DefaultRequirements):  # type: ignore[misc]
    """What the tests may use, as for psycopg."""

    @property
    def range_types(self) -> Any:
        return exclusions.open()  # type: ignore[no-untyped-call]

    @property
    def multirange_types(self) -> Any:
        return exclusions.only_on("postgresql >= 14")  # type: ignore[no-untyped-call]

    @property
    def infinity_floats(self) -> Any:
        return exclusions.open()  # type: ignore[no-untyped-call]

    @property
    def native_hstore(self) -> Any:
        return exclusions.open()  # type: ignore[no-untyped-call]

    @property
    def psycopg_or_pg8000_compatibility(self) -> Any:
        return exclusions.open()  # type: ignore[no-untyped-call]


def _pool(cls: type[HypernDialect], url: object) -> type[pool.Pool]:
    return pool.AsyncAdaptedQueuePool if cls.is_async else pool.QueuePool


HypernDialect.get_pool_class = classmethod(_pool)  # type: ignore[method-assign, assignment]
