"""Composite types within composite types, many levels of them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from either import db, finalize_db

from hypern.database import DbSession

pytestmark = pytest.mark.usefixtures("kind")

LEVELS = 40


@pytest.fixture
def levels(session: DbSession) -> Iterator[None]:
    """The types level0 to level39; each has two attributes of the one below.

    From the top down: the server looks through all that a new attribute is made of.
    """
    session.begin()
    for n in range(LEVELS):
        session.execute(f"CREATE TYPE level{n} AS ()")
    for n in reversed(range(LEVELS)):
        part = f"level{n - 1}" if n else "int"
        session.execute(f"ALTER TYPE level{n} ADD ATTRIBUTE a {part}, ADD ATTRIBUTE b {part}")
    session.commit()
    yield
    session.begin()
    for n in reversed(range(LEVELS)):
        session.execute(f"DROP TYPE level{n}")
    session.commit()


def test_types_that_share_their_parts_are_learned_in_linear_time(
    levels: None,
) -> None:
    """Two attributes a level: whoever follows each of them does 2**40 steps."""
    began = time.monotonic()
    top = f"level{LEVELS - 1}"
    value = db("r").query_value(f"SELECT $1::{top}", [{"a": None, "b": None}])
    assert value == {"a": None, "b": None}
    assert db("r").query_value(f"SELECT ARRAY[$1::{top}]", [(None, None)]) == [value]
    assert time.monotonic() - began < 5
    finalize_db("r")
