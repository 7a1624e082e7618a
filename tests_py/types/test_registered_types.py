"""register_type: what the user says of how a type of the database's own is read and written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from either import db, finalize_db

from hypern.database import Database, DbSession, register_type
from hypern.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("kind")


@dataclass(frozen=True)
class Box:
    """What PostgreSQL calls a box, of two corners."""

    corners: str

    def __str__(self) -> str:
        return self.corners


@pytest.fixture(autouse=True)
def mood(session: DbSession) -> Iterator[None]:
    """An enum `mood`."""
    session.execute("CREATE TYPE mood AS ENUM ('ok', 'so so')")
    yield
    session.execute("DROP TYPE mood")


def test_values_go_through_the_converters_alone_in_arrays_and_in_rows(session: DbSession) -> None:
    register_type("mood", loads=str.upper, dumps=lambda value: str(value).lower())
    assert session.query_value("SELECT $1::mood", ["OK"]) == "OK"
    assert session.query_value("SELECT $1::mood[]", [["OK", None, "SO SO"]]) == [
        "OK",
        None,
        "SO SO",
    ]
    assert session.query("SELECT 'ok'::mood AS m, NULL::mood AS n") == [{"m": "OK", "n": None}]
    rows = session.stream("SELECT m FROM unnest(enum_range(NULL::mood)) m", chunk_rows=1)
    assert [row["m"] for row in rows] == ["OK", "SO SO"]
    assert session.execute_many("SELECT $1::mood", [["OK"], ["SO SO"]]) == 2


def test_it_counts_for_a_type_that_was_used_before(session: DbSession) -> None:
    assert session.query_value("SELECT 'ok'::mood") == "ok"
    register_type("mood", loads=len)
    assert session.query_value("SELECT 'ok'::mood") == 2
    assert session.query_value("SELECT $1::mood", ["so so"]) == 5
    register_type("mood", loads=str.title)
    assert session.query_value("SELECT 'ok'::mood") == "Ok"


def test_a_built_in_type_and_a_name_with_its_schema(session: DbSession) -> None:
    register_type("box", loads=Box, dumps=str)
    register_type("public.mood", loads=str.upper)
    corners = Box("(2,2),(1,1)")
    assert session.query_value("SELECT $1::box", [corners]) == corners
    assert session.query_value("SELECT 'ok'::mood") == "OK"


def test_a_converter_that_fails_is_raised_and_the_session_goes_on(session: DbSession) -> None:
    def fail(_: object) -> str:
        raise LookupError("no such mood")

    register_type("mood", loads=fail, dumps=fail)
    with pytest.raises(LookupError, match="no such mood"):
        session.query("SELECT $1::mood", ["ok"])
    with pytest.raises(LookupError, match="no such mood"):
        session.query("SELECT 'ok'::mood")
    register_type("mood", dumps=lambda _: 7)  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match=r"mood must return str, not int"):
        session.query("SELECT $1::mood", ["ok"])
    assert session.query_value("SELECT 1") == 1


def test_it_is_of_one_alias_and_ends_with_its_pool(configured: str) -> None:
    Database.configure(configured, alias="other")
    register_type("mood", loads=str.upper, alias="other")
    assert db("the test").query_value("SELECT 'ok'::mood") == "ok"
    assert db("r", alias="other").query_value("SELECT 'ok'::mood") == "OK"
    finalize_db("r")
    Database.close("other")
    with pytest.raises(ConfigurationError, match="other"):
        register_type("mood", alias="other")
