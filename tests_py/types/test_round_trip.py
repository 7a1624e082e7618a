"""Every built-in type, both ways: alone, in arrays, and against the text that the server prints."""

from __future__ import annotations

from typing import Any

import pytest
from types_values import AS_PARSED, VALUES

from hypern import Range, _native
from hypern.database import DbSession

pytestmark = pytest.mark.usefixtures("kind")

CASES = [(name, value) for name, values in VALUES.items() for value in values]
# Types without values of their own for a client, and xml, which not every server is built with.
NOT_HERE = {
    "unknown",
    "void",
    "cstring",
    "record",
    "gtsvector",
    "pg_node_tree",
    "pg_ndistinct",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "xml",
}
# Values whose lists are the value itself, so that an array of them holds lists in a list.
VECTORS = {"int2vector", "oidvector"}


def expected(name: str, value: Any) -> Any:
    return AS_PARSED.get((name, value), value) if isinstance(value, str) else value


def same(got: Any, want: Any) -> None:
    assert got == want
    assert type(got) is type(want)
    assert repr(got) == repr(want)


def test_every_type_of_the_table_has_a_value_here() -> None:
    named = {name.split("(")[0].strip('"') for name in VALUES}
    assert {name for _, name, _, _ in _native.types()} == named | NOT_HERE


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_value_comes_back_equal(session: DbSession, name: str, value: Any) -> None:
    same(session.query_value(f"SELECT $1::{name}", [value]), expected(name, value))


@pytest.mark.parametrize(("name", "value"), CASES)
def test_the_servers_text_means_the_same_value(session: DbSession, name: str, value: Any) -> None:
    text = session.query_value(f"SELECT ($1::{name})::text", [value])
    if name == "bpchar":
        text = value
    same(session.query_value(f"SELECT $1::{name}", [text]), expected(name, value))


@pytest.mark.parametrize(("name", "values"), VALUES.items())
def test_an_array_of_them_comes_back_equal(
    session: DbSession, name: str, values: list[Any]
) -> None:
    few = [value for value in values if len(str(value)) < 1000]
    wanted = [expected(name, value) for value in few]
    same(session.query_value(f"SELECT $1::{name}[]", [[*few, None]]), [*wanted, None])
    same(session.query_value(f"SELECT $1::{name}[]", [[]]), [])
    if name not in VECTORS and not any(isinstance(value, list) for value in few):
        nested = session.query_value(f"SELECT $1::{name}[]", [[few, few]])
        same(nested, few and [wanted, wanted]) if name not in {"json", "jsonb"} else None


@pytest.mark.parametrize("name", VALUES)
def test_null_is_none(session: DbSession, name: str) -> None:
    assert session.query_value(f"SELECT $1::{name}", [None]) is None
    assert session.query_value(f"SELECT $1::{name}[]", [None]) is None


def test_other_lower_bounds_do_not_matter(session: DbSession) -> None:
    assert session.query_value("SELECT '[5:6][0:1]={{1,2},{3,4}}'::int[]") == [[1, 2], [3, 4]]
    boxes = "[5:6]={(3,4),(1,2);(7,8),(5,6)}"
    assert session.query_value(f"SELECT '{boxes}'::box[]") == ["(3,4),(1,2)", "(7,8),(5,6)"]


def test_ranges_over_integers_come_back_in_the_servers_form(session: DbSession) -> None:
    assert session.query_value("SELECT $1::int4range", [Range(1, 5, "[]")]) == Range(1, 6)
