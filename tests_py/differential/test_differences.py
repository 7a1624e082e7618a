"""Every type against what the server prints, and beside other drivers: the table of docs/types.md.

`make test/types` writes the table; the ordinary suite checks that it is the committed one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from differential import types_page
from differential.comparison import cell, outcome, own_cell, python_type, quoted, with_arrays
from differential.differences import REASONS
from differential.drivers import Asyncpg, Driver, Hypern, Psqlpy, Psycopg
from differential.literals import ARRAYS, EDGES, MADE_HERE
from differential.types_page import Row
from types_values import VALUES

from hypern import _native
from hypern.database import Database, db, scope

# Pseudo-types, and types that no client can make a value of.
NO_VALUES = {
    "unknown",
    "void",
    "cstring",
    "gtsvector",
    "pg_node_tree",
    "pg_ndistinct",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "record",
}


@pytest.fixture(scope="module")
def texts(rich_url: str) -> dict[str, list[str]]:
    """For each type's name the texts to try, as the server prints them."""
    Database.configure(rich_url, alias="texts")
    with scope():
        session = db(alias="texts")
        names = [*VALUES, *(name for name in EDGES if name not in VALUES), *MADE_HERE]
        found: dict[str, list[str]] = {}
        for name in names:
            if name == "record":
                continue
            given = [*VALUES.get(name, []), *EDGES.get(name, []), *MADE_HERE.get(name, [])]
            printed = [session.query_value(f"SELECT $1::{name}::text", [value]) for value in given]
            found[name] = list(dict.fromkeys(printed))
    Database.close("texts")
    return found


@pytest.fixture(scope="module")
def drivers(rich_url: str) -> Iterator[list[Driver]]:
    """Us, and then the peers."""
    connected: list[Driver] = [
        Hypern(rich_url),
        Psycopg(rich_url),
        Asyncpg(rich_url),
        Psqlpy(rich_url),
    ]
    yield connected
    for driver in connected:
        driver.close()


@pytest.fixture(scope="module")
def rows(drivers: list[Driver], texts: dict[str, list[str]]) -> list[Row]:
    """The table."""
    return [_row(drivers, name, few) for name, few in texts.items()]


def _row(drivers: list[Driver], name: str, texts: list[str]) -> Row:
    ours, *theirs = ([outcome(driver, name, text) for text in texts] for driver in drivers)
    arrays = _arrays(drivers[0], name, texts)
    our_arrays, *their_arrays = (
        [outcome(driver, f"{name}[]", text) for text in arrays] for driver in drivers
    )
    cells = {"hypern": with_arrays(own_cell(ours), own_cell(our_arrays))}
    for driver, few, several in zip(drivers[1:], theirs, their_arrays, strict=True):
        cells[driver.name] = with_arrays(cell(ours, few), cell(our_arrays, several))
    return Row(name, python_type(ours), cells)


def _arrays(driver: Driver, name: str, texts: list[str]) -> list[str]:
    items = ", ".join(f"{quoted(text)}::{name}" for text in texts[:2])
    made = driver.value(f"SELECT ARRAY[{items}, NULL]::{name}[]::text")
    return [made, *ARRAYS.get(name, [])]


def test_every_type_of_the_table_is_compared(texts: dict[str, list[str]]) -> None:
    named = {name.split("(")[0].strip('"') for name in texts}
    assert {name for _, name, _, _ in _native.types()} - NO_VALUES <= named


def test_what_we_read_is_what_the_server_has_or_the_loss_is_documented(rows: list[Row]) -> None:
    for row in rows:
        for driver, clause in row.clauses():
            if driver == "hypern":
                assert types_page.reason(driver, row.name, clause), (row.name, clause)


def test_every_difference_has_a_reason_and_every_reason_a_difference(rows: list[Row]) -> None:
    found = [
        (driver, row.name, clause, types_page.reason(driver, row.name, clause))
        for row in rows
        for driver, clause in row.clauses()
    ]
    assert [(d, name, clause) for d, name, clause, why in found if why is None] == []
    assert [why for why in REASONS if why not in [why for _, _, _, why in found]] == []


def test_the_page_has_this_table(rows: list[Row], full: bool) -> None:
    table = types_page.table(rows)
    if full:
        types_page.keep(table)
    assert types_page.committed() == table, "make test/types writes the table anew"
