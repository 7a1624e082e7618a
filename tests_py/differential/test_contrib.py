"""hstore, citext and ltree, which come with PostgreSQL as extensions."""

from __future__ import annotations

from typing import Any

import pytest

from hypern import errors
from hypern.database import DbSession

HSTORE = {"a": "1", "b": None, 'c "q"\\': 'x=>y, "z"', "": ""}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hstore", {}),
        ("hstore", HSTORE),
        ("hstore", {"k": "ü" * 10_000}),
        ("citext", ""),
        ("citext", "MiXed"),
        ("ltree", "a.b.c"),
        ("ltree", ""),
    ],
)
def test_a_value_comes_back_equal_alone_and_in_arrays(
    rich: DbSession, name: str, value: Any
) -> None:
    assert rich.query_value(f"SELECT $1::{name}", [value]) == value
    assert rich.query_value(f"SELECT $1::{name}[]", [[value, None]]) == [value, None]
    assert rich.query_value(f"SELECT $1::{name}[]", [[]]) == []
    assert rich.query_value(f"SELECT $1::{name}", [None]) is None


def test_an_anonymous_record_of_them_is_a_tuple_or_says_what_to_do(rich: DbSession) -> None:
    values = [HSTORE, "MiXed"]
    assert rich.query_value("SELECT ($1::hstore, $2::citext)", values) == tuple(values)
    with pytest.raises(errors.DataError, match=r'column "row": .* cast'):
        rich.query_value("SELECT (1, 'a.b'::ltree)")
    assert rich.query_value("SELECT (1, 'a.b'::ltree::text)") == (1, "a.b")


def test_the_server_understands_them(rich: DbSession) -> None:
    assert rich.query_value("SELECT $1::hstore -> 'a'", [HSTORE]) == "1"
    assert rich.query_value("SELECT $1::hstore ? 'b'", [HSTORE]) is True
    assert rich.query_value("SELECT $1::citext = 'MIXED'", ["mixed"]) is True
    assert rich.query_value("SELECT $1::ltree @> $2::ltree", ["a", "a.b"]) is True


def test_an_hstore_takes_text_and_nothing_but_str_or_none(rich: DbSession) -> None:
    assert rich.query_value("SELECT $1::hstore", ['a=>1, "b"=>NULL']) == {"a": "1", "b": None}
    for wrong in ({1: "x"}, {"x": 1}, ["x"]):
        with pytest.raises(TypeError, match="hstore"):
            rich.query_value("SELECT $1::hstore", [wrong])
    assert rich.query_value("SELECT 1") == 1
