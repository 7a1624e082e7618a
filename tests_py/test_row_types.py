"""What annotations say of values: members of enums, floats, objects within objects; nothing else is
guessed."""

from __future__ import annotations

import dataclasses
import enum
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    TypeVar,
    Union,
)

import attrs
import msgspec
import pydantic
import pytest
from either import db
from typing_extensions import NotRequired, ReadOnly, Required, TypeAliasType, TypedDict

from hypern import errors
from hypern.database import DbSession, register_type

pytestmark = pytest.mark.usefixtures("kind")

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"
    AZURE = "blue"  # noqa: PIE796 - an alias


class Size(str, enum.Enum):
    SMALL = "s"

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return cls.SMALL if value == "tiny" else None


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Address:
    street: str
    town: str = "here"


class AddressStruct(msgspec.Struct, rename="camel"):
    street_name: str
    color: Color | None = None


class AddressDict(TypedDict):
    street: str
    price: NotRequired[float]


class AddressTuple(NamedTuple):
    street: str
    town: str


@attrs.frozen
class AddressAttrs:
    street: str
    town: str


class AddressModel(pydantic.BaseModel):
    street: str
    town: str


Short = TypeAliasType("Short", Color)
Paint = NewType("Paint", Color)


@pytest.fixture(autouse=True)
def _types(session: DbSession) -> Iterator[None]:
    session.execute("CREATE TYPE color AS ENUM ('red', 'blue', 'green')")
    session.execute("CREATE TYPE address AS (street text, town text)")
    session.execute("CREATE TYPE house AS (color color, price numeric, address address)")
    session.execute("CREATE DOMAIN price AS numeric CHECK (VALUE > 0)")
    yield
    session.execute("DROP DOMAIN price")
    session.execute("DROP TYPE house, address, color")


def value(session: DbSession, annotation: Any, sql: str) -> Any:
    """The value of a field annotated so, of each kind of class alike."""
    data = dataclasses.make_dataclass("Data", [("v", annotation)])
    struct = type("Struct", (msgspec.Struct,), {"__annotations__": {"v": annotation}})
    named = NamedTuple("named", [("v", annotation)])  # noqa: UP014
    typed = TypedDict("typed", {"v": annotation})  # noqa: UP013
    made = attrs.make_class("Made", {"v": attrs.field(type=annotation)})
    objects: list[Any] = [data, struct, named, made]
    found = [session.query_one(f"SELECT {sql} AS v", into=into).v for into in objects]
    found += [session.query_one(f"SELECT {sql} AS v", into=typed)["v"]]
    for other in found[1:]:
        assert (type(other), other) == (type(found[0]), found[0])
    return found[0]


SAID: list[tuple[Any, str, Any]] = [
    (Color, "'red'", Color.RED),
    (Color, "'blue'::color", Color.AZURE),
    (Color, "'blue'::varchar(9)", Color.BLUE),
    (Size, "'s'", Size.SMALL),
    (Size, "'tiny'", Size.SMALL),
    (Color, "NULL::color", None),
    (Optional[Color], "'red'", Color.RED),  # noqa: UP045
    (Union[None, Color], "'red'", Color.RED),  # noqa: UP007
    (Color | None, "'red'", Color.RED),
    (Annotated[Color, "a note"], "'red'", Color.RED),
    (Annotated[Color | None, "a note"], "'red'", Color.RED),
    (Paint, "'red'", Color.RED),
    (Short, "'red'", Color.RED),
    (list[Color], "'{red,NULL}'::color[]", [Color.RED, None]),
    (Sequence[Color], "'{red}'::text[]", [Color.RED]),
    (list[list[Color]], "'{{red},{blue}}'::text[]", [[Color.RED], [Color.BLUE]]),
    (list[Color], "'{{red},{blue}}'::text[]", [[Color.RED], [Color.BLUE]]),
    (Color, "'\"red\"'::json", Color.RED),
    (list[Color], "'[\"red\", null, 3]'::jsonb", [Color.RED, None, 3]),
    (float, "1.5::numeric", 1.5),
    (float, "1.5::price", 1.5),
    (float, "'NaN'::numeric + 1 IS NULL", False),
    (float | None, "NULL::numeric", None),
    (list[float], "'{1.5,2}'::numeric[]", [1.5, 2.0]),
    (Address, "ROW('a', 'b')::address", Address("a", "b")),
    (Address, "NULL::address", None),
    (Address, '\'{"street": "a"}\'::json', Address("a")),
    (Address, '\'{"street": "a", "town": null}\'::jsonb', Address("a", None)),  # type: ignore[arg-type]
    (
        AddressStruct,
        '\'{"streetName": "a", "color": "red"}\'::jsonb',
        AddressStruct("a", Color.RED),
    ),
    (AddressStruct, '\'{"street_name": "a"}\'::jsonb', AddressStruct("a")),
    (AddressTuple, "ROW('a', 'b')::address", AddressTuple("a", "b")),
    (AddressAttrs, "ROW('a', 'b')::address", AddressAttrs("a", "b")),
    (AddressModel, "ROW('a', 'b')::address", AddressModel(street="a", town="b")),
    (AddressModel, '\'{"street": "a", "town": "b"}\'::json', AddressModel(street="a", town="b")),
    (AddressDict, "ROW('a', 'b')::address", {"street": "a", "town": "b"}),
    (AddressDict, '\'{"street": "a", "x": 1}\'::json', {"street": "a", "x": 1}),
    (list[Address], "ARRAY[ROW('a', 'b'), NULL]::address[]", [Address("a", "b"), None]),
    (list[Address], '\'[{"street": "a"}, null]\'::json', [Address("a"), None]),
    (
        list[AddressDict] | None,
        "(SELECT json_agg(a) FROM (VALUES ('x'), ('y')) AS a (street))",
        [{"street": "x"}, {"street": "y"}],
    ),
]


@pytest.mark.parametrize(("annotation", "sql", "expected"), SAID, ids=[str(c[:2]) for c in SAID])
def test_what_an_annotation_says(
    session: DbSession, annotation: Any, sql: str, expected: Any
) -> None:
    found = value(session, annotation, sql)
    assert (type(found), found) == (type(expected), expected)


NOT_SAID: list[tuple[Any, str, Any]] = [
    (float, "1", 1),
    (float | Decimal, "1.5::numeric", Decimal("1.5")),
    (int, "1.5::numeric", Decimal("1.5")),
    (str, "1", 1),
    (bool, "0", 0),
    (Level, "1", 1),
    (Color | Size, "'red'", "red"),
    (Color | str, "'red'", "red"),
    (Literal["red"], "'blue'", "blue"),
    (uuid.UUID, "'x'", "x"),
    (Any, "1.5::numeric", Decimal("1.5")),
    (object, "'red'", "red"),
    (list, "'{red}'::text[]", ["red"]),
    (tuple[Color, ...], "'{red}'::text[]", ["red"]),
    (set[Color], "'{red}'::text[]", ["red"]),
    (dict[str, Color], '\'{"a": "red"}\'::json', {"a": "red"}),
    (Address, "'a text'", "a text"),
    (Address, "'[1]'::json", [1]),
    (Address, "ROW('a', 'b')", ("a", "b")),
    (list[Address], '\'{"street": "a"}\'::json', {"street": "a"}),
    (Address | AddressDict, "ROW('a', 'b')::address", {"street": "a", "town": "b"}),
    (T, "1.5::numeric", Decimal("1.5")),
]


@pytest.mark.parametrize(
    ("annotation", "sql", "expected"), NOT_SAID, ids=[str(c[:2]) for c in NOT_SAID]
)
def test_nothing_else_is_guessed(
    session: DbSession, annotation: Any, sql: str, expected: Any
) -> None:
    found = value(session, annotation, sql)
    assert (type(found), found) == (type(expected), expected)


def test_objects_within_objects(session: DbSession) -> None:
    @dataclass
    class House:
        color: Color
        price: float
        address: Address | None

    @dataclass
    class Street:
        name: str
        houses: list[House]
        prices: ClassVar[float] = 0

    sql = "SELECT 'x' AS name, ARRAY[ROW('red', 1.5, ROW('a', 'b')), ROW('blue', 2, NULL)]::house[]"
    expected = Street("x", [House(Color.RED, 1.5, Address("a", "b")), House(Color.BLUE, 2.0, None)])
    assert session.query(f"{sql} AS houses", into=Street) == [expected]
    # In JSON a number is one already, and an enum's label is a text.
    json = f"SELECT name, to_json(houses) AS houses FROM ({sql} AS houses) AS streets"
    assert session.query(json, into=Street) == [expected]


@dataclass
class Node:
    name: str
    kids: list[Node] = dataclasses.field(default_factory=list)
    parent: Optional[Node] = None  # noqa: UP045


@dataclass
class Tree:
    root: Node


class Comment(TypedDict):
    text: Required[str]
    score: ReadOnly[float]
    replies: NotRequired[list[Comment]]


class Thread(msgspec.Struct):
    comments: list[Comment]


def test_recursion_in_annotations(session: DbSession) -> None:
    text = (
        '{"name": "a", "kids": [{"name": "b", "kids": [{"name": "c"}], "parent": {"name": "p"}}]}'
    )
    found = session.query_one("SELECT $1::json AS root", [text], into=Tree)
    assert found == Tree(Node("a", [Node("b", [Node("c")], Node("p"))]))
    comments: list[Any] = [{"text": "a", "score": 1, "replies": [{"text": "b", "score": 2}]}]
    thread = session.query_one("SELECT $1::jsonb AS comments", [comments], into=Thread)
    assert thread.comments == comments
    with pytest.raises(errors.DataError, match='"text" is missing'):
        session.query_one("SELECT '[{\"score\": 1}]'::jsonb AS comments", into=Thread)


def nested(depth: int) -> str:
    return '{"name": "a", "kids": [' * depth + '{"name": "z"}' + "]}" * depth


def test_recursion_of_data(session: DbSession) -> None:
    found = session.query_one("SELECT $1::json AS root", [nested(100)], into=Tree)
    depth, node = 0, found.root
    while node.kids:
        depth, node = depth + 1, node.kids[0]
    assert (depth, node.name) == (100, "z")
    with pytest.raises(RecursionError):
        session.query_one("SELECT $1::json AS root", [nested(990)], into=Tree)
    assert session.query_value("SELECT 1") == 1


@dataclass
class Page(Generic[T]):
    number: int
    items: list[T]
    best: T | None = None


class Pages(Page[Color]):
    pass


@dataclass
class Book(Generic[T]):
    page: Page[T]


class StructPage(msgspec.Struct, Generic[T]):
    number: int
    item: T


class TypedPage(TypedDict, Generic[T]):
    item: T


def test_generic_classes(session: DbSession) -> None:
    sql = "SELECT 1 AS number, '{red}'::color[] AS items, 'blue' AS best"
    colors = session.query_one(sql, into=Page[Color])
    assert colors == Page(1, [Color.RED], Color.BLUE)
    assert session.query_one(sql, into=Page) == Page(1, ["red"], "blue")
    assert session.query_one(sql, into=Pages) == Pages(1, [Color.RED], Color.BLUE)
    assert session.query_one(sql, into=Page[str]) == Page(1, ["red"], "blue")
    price = session.query_one("SELECT 1 AS number, 1.5 AS item", into=StructPage[float])
    assert price == StructPage(1, 1.5)
    assert session.query_one("SELECT 1.5 AS item", into=TypedPage[float]) == {"item": 1.5}
    page = '{"number": 1, "items": ["red"]}'
    book = session.query_one("SELECT $1::json AS page", [page], into=Book[Color])
    assert book == Book(Page(1, [Color.RED]))


def test_classes_that_are_defined_inside_functions(session: DbSession) -> None:
    class Mood(enum.Enum):
        GLAD = "glad"

    @dataclass
    class Inner:
        mood: Mood

    class Outer(NamedTuple):
        inner: Inner
        mood: Mood

    sql = "SELECT 'glad' AS mood, '{\"mood\": \"glad\"}'::json AS inner"
    assert session.query_one(sql, into=Outer) == (Inner(Mood.GLAD), Mood.GLAD)


@dataclass
class Shadowing:
    """A field has the name of a type that a later one is annotated with."""

    Color: str
    second: Color = dataclasses.field(default=None)  # type: ignore[valid-type]


def test_a_field_may_have_the_name_of_a_type(session: DbSession) -> None:
    found = session.query_one("SELECT 'x' AS \"Color\", 'red' AS second", into=Shadowing)
    assert found == Shadowing("x", Color.RED)


@dataclass
class Car:
    color: Color


@dataclass
class Quoted:
    color: "Color | None"  # noqa: UP037


def test_an_annotation_may_be_quoted_twice(session: DbSession) -> None:
    assert session.query_one("SELECT 'red' AS color", into=Quoted) == Quoted(Color.RED)


@dataclass
class Home:
    address: Address


def test_a_value_that_is_no_member_is_an_error_that_names_the_column(session: DbSession) -> None:
    with pytest.raises(errors.DataError) as raised:
        session.query("SELECT 'green'::color AS color", into=Car)
    assert str(raised.value) == 'column "color": the value is none of the members of Color'
    assert isinstance(raised.value.__cause__, ValueError)
    with pytest.raises(errors.DataError, match=r'column "a": .*none of the members of Color'):
        session.query(
            "SELECT '{green}'::text[] AS a",
            into=dataclasses.make_dataclass("Cars", [("a", list[Color])]),
        )
    assert session.query_value("SELECT 1") == 1


def test_a_composite_that_does_not_fit_is_refused_before_the_statement_runs(
    session: DbSession, numbers: None
) -> None:
    insert = "INSERT INTO numbers VALUES (1) RETURNING ROW('red', 1, NULL)::house AS address"
    with pytest.raises(errors.RowMismatch) as raised:
        session.query(insert, into=Home)
    assert str(raised.value) == (
        'column "address": the fields of the composite do not fit Address: column "color" has no '
        'field; column "price" has no field; column "address" has no field; field "street" has no '
        "column (columns: color, price, address; fields: street, town)"
    )
    assert session.query("SELECT n FROM numbers") == []


@pytest.mark.parametrize(
    ("json", "words"),
    [
        ("{}", '"street" is missing'),
        ('{"street": "a", "zip": 1}', '"zip" is no field'),
    ],
)
def test_a_json_object_that_does_not_fit_is_an_error(
    session: DbSession, json: str, words: str
) -> None:
    with pytest.raises(errors.DataError) as raised:
        session.query("SELECT $1::json AS address", [json], into=Home)
    assert str(raised.value) == f'column "address": a JSON object does not fit Address: {words}'
    assert session.query_value("SELECT 1") == 1


@dataclass
class Move:
    before: Address
    after: Address


def test_the_error_names_the_column_that_it_is_about(session: DbSession) -> None:
    sql = "SELECT '{\"street\": \"a\"}'::json AS before, '{}'::json AS after"
    with pytest.raises(errors.DataError, match=r'column "after": .*"street" is missing'):
        session.query(sql, into=Move)


def test_a_registered_converter_has_decided(session: DbSession) -> None:
    register_type("color", lambda text: f"<{text}>", None)
    assert session.query("SELECT 'red'::color AS color", into=Car) == [Car("<red>")]  # type: ignore[arg-type]


def test_a_nested_constructor_that_raises(session: DbSession) -> None:
    @dataclass
    class Picky:
        n: int

        def __post_init__(self) -> None:
            if self.n == 57:
                raise LookupError("fifty-seven")

    @dataclass
    class Holder:
        picky: Picky

    sql = "SELECT json_build_object('n', n) AS picky FROM generate_series(1, 100) AS n"
    assert len(session.query(f"{sql} LIMIT 56", into=Holder)) == 56
    with pytest.raises(LookupError, match="fifty-seven"):
        session.query(sql, into=Holder)
    assert db("the test").query_value("SELECT 1") == 1
