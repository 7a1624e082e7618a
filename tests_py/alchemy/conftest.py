"""Both kinds of engines, and a table on the module's database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alchemy.engines import Kind, admin

from hypern.database import Database


@pytest.fixture(params=[False, True], ids=["blocking", "async"])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """Both kinds, in turn."""
    made = Kind(request.param)
    yield made
    made.close()


@pytest.fixture
def numbers(configured: str) -> Iterator[str]:
    """The empty table numbers (n int PRIMARY KEY) on the alias "default"."""
    with admin(configured) as run:
        run("CREATE TABLE numbers (n int PRIMARY KEY)")
    yield configured
    with admin(configured) as run:
        run("DROP TABLE numbers")


@pytest.fixture(autouse=True, scope="module")
def _pools_closed() -> Iterator[None]:
    yield
    Database.close()
