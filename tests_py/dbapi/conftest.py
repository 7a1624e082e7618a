"""Connections of both kinds, on the module's database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dbapi.faces import Awaited, Connect

from hypern import dbapi
from hypern.database import Database


@pytest.fixture(params=["blocking", "awaited"])
def connect(request: pytest.FixtureRequest, database: str) -> Iterator[Connect]:
    """`connect(**keywords)` to the module's database; what is left open is closed."""
    runner = Awaited() if request.param == "awaited" else None
    made: list[dbapi.Connection] = []
    make: Callable[..., dbapi.Connection] = dbapi.connect if runner is None else runner.connect

    def opened(*args: Any, **keywords: Any) -> dbapi.Connection:
        if not args and "alias" not in keywords:
            args = (database,)
        made.append(make(*args, **keywords))
        return made[-1]

    yield opened
    for connection in made:
        connection.close()
    if runner is not None:
        runner.close()


@pytest.fixture
def connection(connect: Connect) -> dbapi.Connection:
    """A connection."""
    return connect()


@pytest.fixture
def numbers(connection: dbapi.Connection) -> Iterator[dbapi.Connection]:
    """A connection, and the empty table numbers (n int PRIMARY KEY)."""
    connection.execute("CREATE TABLE numbers (n int PRIMARY KEY)")
    connection.commit()
    yield connection
    connection.rollback()
    connection.execute("DROP TABLE numbers")
    connection.commit()


@pytest.fixture(autouse=True, scope="module")
def _pools_closed() -> Iterator[None]:
    yield
    Database.close()
