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


@pytest.fixture
def two_schemas(session: DbSession) -> Iterator[None]:
    """An enum `sort` in two schemas."""
    session.execute("CREATE SCHEMA other")
    for schema in ("public", "other"):
        session.execute(f"CREATE TYPE {schema}.sort AS ENUM ('ok')")
    yield
    session.execute("DROP SCHEMA other CASCADE")
    session.execute("DROP TYPE public.sort")


@pytest.mark.parametrize("qualified_first", [False, True])
def test_a_name_with_its_schema_counts_for_more_than_one_without(
    session: DbSession, two_schemas: None, qualified_first: bool
) -> None:
    kinds = {"sort": str.upper, "other.sort": str.title}
    for name in sorted(kinds, reverse=not qualified_first):
        register_type(name, loads=kinds[name])
    row = session.query_one(
        "SELECT 'ok'::sort AS p, 'ok'::other.sort AS o, '{ok}'::other.sort[] AS l"
    )
    assert row == {"p": "OK", "o": "Ok", "l": ["Ok"]}
    register_type("other.sort", loads=len)
    assert session.query_value("SELECT 'ok'::other.sort") == 2


@pytest.fixture
def domains(session: DbSession) -> Iterator[None]:
    """Domains over text, jsonb and a domain; a table, a view and a composite type of them."""
    for statement in (
        "CREATE DOMAIN slug AS text",
        "CREATE DOMAIN subslug AS slug",
        "CREATE DOMAIN notes AS jsonb",
        "CREATE TYPE page AS (s slug, n int)",
        "CREATE TABLE pages (id int, s slug, plain text, t subslug, l slug[], d notes, p page)",
        "CREATE VIEW viewed AS SELECT s AS v, plain AS s FROM pages",
    ):
        session.execute(statement)
    yield
    for statement in (
        "DROP VIEW viewed",
        "DROP TABLE pages",
        "DROP TYPE page",
        "DROP DOMAIN notes",
        "DROP DOMAIN subslug",
        "DROP DOMAIN slug",
    ):
        session.execute(statement)


def _insert(session: DbSession) -> None:
    session.execute(
        "INSERT INTO pages VALUES (1, $1, $2, $3, $4, $5, $6)",
        ["A", "B", "C", ["D", None], {"k": 1}, {"s": "E", "n": 2}],
    )


def test_values_of_a_domain_go_through_its_converters(session: DbSession, domains: None) -> None:
    _insert(session)  # before any converter is known
    session.execute("DELETE FROM pages")
    register_type("slug", loads=lambda text: f"<{text}>", dumps=lambda value: value.lower())
    _insert(session)
    assert session.query_value("SELECT pages::text FROM pages").startswith("(1,a,B,c,")
    read = {"id": 1, "s": "<a>", "plain": "B", "t": "<c>", "l": ["<d>", None]}
    whole = {"d": {"k": 1}, "p": {"s": "<e>", "n": 2}}
    for _ in range(2):
        assert session.query("SELECT * FROM pages") == [{**read, **whole}]
        assert list(session.stream("SELECT s FROM pages")) == [{"s": "<a>"}]
        assert session.query("SELECT * FROM viewed") == [{"v": "<a>", "s": "B"}]
    assert session.query_value("SELECT pages FROM pages") == {**read, **whole}
    assert session.query_value("UPDATE pages SET s = $1 RETURNING s", ["ZZ"]) == "<zz>"
    session.execute_many("UPDATE pages SET s = $1", [["YY"]])
    assert session.query_value("SELECT s::text FROM pages") == "yy"


def test_what_no_converter_is_registered_for_is_as_the_base_has_it(
    session: DbSession, domains: None
) -> None:
    _insert(session)
    register_type("notes", dumps=lambda value: f'{{"n": {value}}}')
    assert session.query_value("UPDATE pages SET d = $1 RETURNING d", [7]) == {"n": 7}
    register_type("notes", loads=len)
    assert session.query_value("UPDATE pages SET d = $1 RETURNING d", [{"a": 1}]) == len('{"a": 1}')
