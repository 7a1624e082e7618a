"""Values that hypothesis draws, and random schemas of twenty columns: all come back equal.

The server's text of each is sent as well, so that encoder and decoder cannot agree on an error.
`make test/types` draws fifty times as many.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest
from differential.strategies import STRATEGIES
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hypern import _native
from hypern.database import Database, DbSession, db, scope

FULL = os.environ.get("HYPERN_TYPES") == "full"
drawn = settings(
    max_examples=500 if FULL else 10,
    deadline=None,
    database=None,
    derandomize=not FULL,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
SCHEMAS = 200 if FULL else 8
COLUMNS, ROWS = 20, 25


@pytest.fixture(scope="module")
def lasting(database: str) -> Iterator[DbSession]:
    """One session for all that is drawn."""
    Database.configure(database, alias="lasting")
    with scope():
        yield db(alias="lasting")
    Database.close("lasting")


def same(got: Any, want: Any) -> None:
    assert type(got) is type(want)
    assert repr(got) == repr(want)


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_is_drawn_comes_back_equal_and_the_servers_text_means_the_same(
    lasting: DbSession, name: str
) -> None:
    unordered = name.startswith("jsonb")

    @drawn
    @given(value=STRATEGIES[name])
    def comes_back(value: Any) -> None:
        row = lasting.query_one(f"SELECT $1::{name} AS value, $1::{name}::text AS text", [value])
        again = lasting.query_value(f"SELECT $1::{name}", [row["text"]])
        if unordered:
            assert row["value"] == value
        else:
            same(row["value"], value)
        same(again, row["value"])

    comes_back()


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[Any]]]:
    """The types of twenty columns, and rows that fit them, with NULLs."""
    names = draw(st.lists(st.sampled_from(list(STRATEGIES)), min_size=COLUMNS, max_size=COLUMNS))
    row = st.tuples(*(st.none() | STRATEGIES[name] for name in names)).map(list)
    return names, draw(st.lists(row, min_size=1, max_size=ROWS))


def test_random_tables_of_twenty_columns_come_back_equal(lasting: DbSession) -> None:
    numbers = itertools.count()

    @settings(drawn, max_examples=SCHEMAS)
    @given(table=tables())
    def comes_back(table: tuple[list[str], list[list[Any]]]) -> None:
        names, rows = table
        name = f"random_rows_{next(numbers)}"
        columns = ", ".join(f"c{i} {name}" for i, name in enumerate(names))
        lasting.execute(f"CREATE TEMPORARY TABLE {name} (row serial, {columns})")
        marks = ", ".join(f"${i + 1}" for i in range(COLUMNS))
        targets = ", ".join(f"c{i}" for i in range(COLUMNS))
        insert = f"INSERT INTO {name} ({targets}) VALUES ({marks})"
        try:
            assert lasting.execute_many(insert, rows) == len(rows)
            got = lasting.query(f"SELECT {targets} FROM {name} ORDER BY row")
        finally:
            lasting.execute(f"DROP TABLE {name}")
        assert [list(row.values()) for row in got] == rows

    comes_back()


def test_every_family_of_types_is_drawn() -> None:
    drawn_families = {family for _, name, family, _ in _native.types() if name in STRATEGIES}
    all_families = {family for _, _, family, _ in _native.types()}
    # These are the server's text, or names in its catalogs: the edge values in types_values.py.
    assert all_families - drawn_families <= {"char", "reg", "money", "record"}
