"""What programs do with the row makers of other drivers, done with `into=`.

psycopg has a factory for each shape of a row, pgx a function for each way to collect structs.
"""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import pytest

from hypern import errors
from hypern.database import DbSession

pytestmark = pytest.mark.usefixtures("kind")

T = TypeVar("T")


@dataclass
class Person:
    name: str
    age: int = 7
    number: int = 10


NAMES = "SELECT name FROM (VALUES ('Smith'), ('Jones')) AS people (name)"


def test_a_class_is_called_with_the_columns_by_keyword(session: DbSession) -> None:
    """class_row, kwargs_row."""
    sql = "SELECT 'John' AS name, 120 AS age"
    assert session.query_one(sql, into=Person) == Person("John", 120, 10)
    assert session.query_one(sql, into=lambda **kw: sorted(kw)) == ["age", "name"]
    assert session.query_one(sql, into=lambda name, age: f"{name} is {age}") == "John is 120"


def test_a_class_that_does_not_fit_is_refused_at_once(session: DbSession) -> None:
    """class_row fails at the first row, and not at all if there is none."""
    for sql in ("SELECT 1 AS foo", "SELECT 1 AS foo WHERE false"):
        with pytest.raises(errors.RowMismatch, match='"foo" has no field'):
            session.query(sql, into=Person)
    assert session.query_value("SELECT 1") == 1


def test_the_second_result_may_be_of_another_class(session: DbSession) -> None:
    """A factory belongs to a cursor there; here each call has its own."""
    assert session.query(NAMES, into=Person) == [Person("Smith"), Person("Jones")]
    assert session.query(NAMES, into=tuple) == [("Smith",), ("Jones",)]
    assert session.query(NAMES) == [{"name": "Smith"}, {"name": "Jones"}]
    assert session.query(NAMES, into=Person) == [Person("Smith"), Person("Jones")]


def test_values_by_position(session: DbSession) -> None:
    """args_row, tuple_row: a tuple is unpacked."""
    pairs = session.query("SELECT n, n * n FROM generate_series(1, 3) AS n", into=tuple)
    assert [a + b for a, b in pairs] == [2, 6, 12]
    assert session.query_one("SELECT 1, 2, 3", into=tuple) == (1, 2, 3)


def test_columns_of_one_name(session: DbSession) -> None:
    """dict_row keeps the last, namedtuple_row renames; here it is said, or a tuple keeps both."""
    sql = "SELECT 1 AS a, 2 AS a"
    assert session.query_one(sql) == {"a": 2}
    assert session.query_one(sql, into=tuple) == (1, 2)
    with pytest.raises(errors.RowMismatch, match='2 columns are named "a"'):
        session.query_one(sql, into=namedtuple("Both", "a"))


def test_named_tuples(session: DbSession) -> None:
    """namedtuple_row makes the class of the columns; here the class is the program's own."""
    pair = namedtuple("pair", ["name", "age"])
    row: Any = session.query_one("SELECT 120 AS age, 'John' AS name", into=pair)
    assert (row, row._fields, row.name) == (("John", 120), ("name", "age"), "John")
    assert row._asdict() == {"name": "John", "age": 120}
    odd = namedtuple("odd", ["ascii", "_1", "foo"], rename=True)
    with pytest.raises(errors.RowMismatch):
        session.query_one('SELECT 1 AS ascii, 2 AS "1", 3 AS foo', into=odd)


def test_one_column(session: DbSession) -> None:
    """scalar_row has methods of its own here."""
    assert session.query_values(NAMES) == ["Smith", "Jones"]
    assert session.query_value(NAMES) == "Smith"
    with pytest.raises(errors.ProgrammingError, match="without columns"):
        session.query_value("SELECT")
    with pytest.raises(errors.NoRows):
        session.query_value("SELECT 1 WHERE false")


def test_statements_without_rows(session: DbSession) -> None:
    """dict_row and tuple_row of a command give nothing."""
    assert session.query("SET application_name = 'x'") == []
    assert session.query("SET application_name = 'x'", into=tuple) == []
    assert session.query("SELECT 1 AS name WHERE false", into=Person) == []


def test_rows_of_returning(session: DbSession) -> None:
    session.execute("CREATE TEMP TABLE people (name text, age int)")
    insert = "INSERT INTO people VALUES ($1, $2) RETURNING name, age"
    assert session.query_one(insert, ["Ann", 3], into=Person) == Person("Ann", 3)
    update = "UPDATE people SET age = age + 1 RETURNING *"
    assert session.query(update, into=Person) == [Person("Ann", 4)]


class ByName(msgspec.Struct):
    first_name: str
    last_name: str
    age: int


def test_structs_by_name_in_any_order(session: DbSession) -> None:
    """RowToStructByName."""
    sql = "SELECT 21 AS age, 'Smith' AS last_name, 'Ann' AS first_name"
    assert session.query_one(sql, into=ByName) == ByName("Ann", "Smith", 21)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT 'Ann' AS first_name, 'Smith' AS last_name", 'field "age" has no column'),
        (
            "SELECT 'Ann' AS first_name, 'Smith' AS last_name, 1 AS age, null AS ignore",
            'column "ignore" has no field',
        ),
        ("SELECT 'Ann', 'Smith' AS last_name, 1 AS age", r'column "\?column\?" has no field'),
    ],
)
def test_structs_with_a_field_or_a_column_too_many(
    session: DbSession, sql: str, words: str
) -> None:
    with pytest.raises(errors.RowMismatch, match=words):
        session.query(sql, into=ByName)


def test_lax_structs_are_those_with_defaults(session: DbSession) -> None:
    """RowToStructByNameLax leaves a field at its zero value."""
    assert session.query_one("SELECT 'Ann' AS name", into=Person) == Person("Ann", 7, 10)
    with pytest.raises(errors.RowMismatch):
        session.query_one("SELECT 'Ann' AS name, 5 AS unknown", into=Person)


def test_names_are_compared_as_they_are(session: DbSession) -> None:
    """pgx ignores case; PostgreSQL folds what is not quoted, and a Python name is what it is."""
    assert session.query_one("SELECT 'Ann' AS NAME", into=Person) == Person("Ann")
    with pytest.raises(errors.RowMismatch, match='column "Name" has no field'):
        session.query_one("SELECT 'Ann' AS \"Name\"", into=Person)


class Tagged(msgspec.Struct):
    """Fields under other names: pgx's `db` tags."""

    user: str = msgspec.field(name="last_name")
    hidden: int = 3


def test_fields_with_another_name_for_the_column(session: DbSession) -> None:
    assert session.query_one("SELECT 'Smith' AS last_name", into=Tagged) == Tagged("Smith")


@dataclass
class Base:
    id: int


@dataclass
class Middle(Base):
    name: str


@dataclass
class Leaf(Middle):
    age: int = 0


def test_embedded_structs_are_base_classes(session: DbSession) -> None:
    sql = "SELECT 5 AS age, 'x' AS name, 1 AS id"
    assert session.query_one(sql, into=Leaf) == Leaf(1, "x", 5)


@dataclass
class Pair(Generic[T]):
    left: T
    right: T


def test_generic_structs(session: DbSession) -> None:
    found = session.query_one("SELECT 1.5 AS left, 2.5 AS right", into=Pair[float])
    assert found == Pair(1.5, 2.5)
    assert type(found.left) is float


def test_one_row_exactly(session: DbSession) -> None:
    """CollectExactlyOneRow, CollectOneRow."""
    assert session.query_one(NAMES, into=Person) == Person("Smith")
    with pytest.raises(errors.TooManyRows) as raised:
        session.query_one(NAMES, into=Person, strict=True)
    assert isinstance(raised.value, errors.DatabaseError)
    with pytest.raises(errors.NoRows):
        session.query_one(NAMES + " WHERE false", into=Person, strict=True)


class Point(NamedTuple):
    x: int
    y: int


def test_positions_of_a_named_tuple_are_not_those_of_the_columns(session: DbSession) -> None:
    """RowToStructByPos is not had: a named field is filled by its name."""
    assert session.query_one("SELECT 1 AS y, 2 AS x", into=Point) == Point(x=2, y=1)
    with pytest.raises(errors.RowMismatch):
        session.query_one("SELECT 1, 2", into=Point)


def test_each_row_by_itself_in_bounded_memory(session: DbSession) -> None:
    """ForEachRow, and stream() with a factory."""
    sql = "SELECT n AS x, -n AS y FROM generate_series(1, 2500) AS n"
    total = sum(point.x + point.y for point in session.stream(sql, into=Point, chunk_rows=100))
    assert total == 0


def test_null_where_a_field_does_not_expect_it(session: DbSession) -> None:
    """pgx refuses to scan NULL into a string; a Python field holds None, as each does."""
    found = session.query_one("SELECT NULL::text AS name", into=Person)
    assert dataclasses.asdict(found) == {"name": None, "age": 7, "number": 10}
