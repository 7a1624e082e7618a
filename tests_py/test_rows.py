"""What rows become with `into=`, on a real PostgreSQL."""

from __future__ import annotations

import dataclasses
import gc
import logging
import sys
import weakref
from typing import Any, NamedTuple

import attrs
import msgspec
import pydantic
import pytest
import row_classes
from either import finalize_db
from row_classes import Data, Named

from hypern import errors
from hypern.database import DbSession
from hypern.database import db as blocking_db

pytestmark = pytest.mark.usefixtures("kind")

PEOPLE = "SELECT * FROM (VALUES (1, 'Ann', 30), (2, 'Bob', NULL)) AS people (id, name, age)"


@pytest.mark.parametrize("into", row_classes.ALL, ids=lambda into: into.__name__)
def test_rows_are_objects_of_the_class(session: DbSession, into: Any) -> None:
    ann = row_classes.made(into, id=1, name="Ann", age=30)
    bob = row_classes.made(into, id=2, name="Bob", age=None)
    for _ in range(2):  # described at first, then known
        rows = session.query(PEOPLE, into=into)
        assert rows == [ann, bob]
        assert [type(row) for row in rows] == [type(ann), type(bob)]
    assert session.query_one(PEOPLE, into=into) == ann
    assert session.query_one(PEOPLE + " WHERE id = $1", [2], into=into, strict=True) == bob
    assert session.query_one_or_none(PEOPLE, into=into) == ann
    assert session.query_one_or_none(PEOPLE + " WHERE false", into=into) is None
    assert session.query(PEOPLE + " WHERE false", into=into) == []
    assert list(session.stream(PEOPLE, into=into, chunk_rows=1)) == [ann, bob]
    with pytest.raises(errors.NoRows):
        session.query_one(PEOPLE + " WHERE false", into=into)
    with pytest.raises(errors.TooManyRows):
        session.query_one(PEOPLE, into=into, strict=True)


@pytest.mark.parametrize("into", row_classes.ALL, ids=lambda into: into.__name__)
def test_columns_in_another_order_and_defaults(session: DbSession, into: Any) -> None:
    zoe = row_classes.made(into, name="Zoe", id=3)
    assert session.query("SELECT 'Zoe' AS name, 3 AS id", into=into) == [zoe]
    old = row_classes.made(into, name="Zoe", id=3, age=9)
    assert session.query("SELECT 9 AS age, 'Zoe' AS name, 3 AS id", into=into) == [old]


def test_dict_and_tuple(session: DbSession) -> None:
    row = {"id": 1, "name": "Ann", "age": 30}
    assert session.query_one(PEOPLE, into=dict) == session.query_one(PEOPLE) == row
    assert session.query(PEOPLE, into=tuple) == [(1, "Ann", 30), (2, "Bob", None)]
    assert session.query("SELECT", into=tuple) == [()]
    assert session.query_one("SELECT", into=lambda: "nothing") == "nothing"
    assert list(session.stream(PEOPLE, into=tuple, chunk_rows=1)) == [
        (1, "Ann", 30),
        (2, "Bob", None),
    ]


def test_a_tuple_keeps_columns_of_one_name_without_a_warning(
    session: DbSession, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="hypern"):
        assert session.query("SELECT 1 AS n, 2 AS n", into=tuple) == [(1, 2)]
    assert caplog.records == []


@dataclasses.dataclass
class Counted:
    id: int
    tags: list[str] = dataclasses.field(default_factory=list)
    log: list[str] = dataclasses.field(default_factory=list, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.log.append(f"made {self.id}")


@dataclasses.dataclass(frozen=True)
class Frozen:
    id: int
    doubled: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "doubled", self.id * 2)


@dataclasses.dataclass
class WithInitVar:
    id: int
    scale: dataclasses.InitVar[int] = 2
    scaled: int = dataclasses.field(init=False)

    def __post_init__(self, scale: int) -> None:
        self.scaled = self.id * scale


@dataclasses.dataclass
class OwnInit:
    id: int
    name: str = "none"

    def __init__(self, id: int) -> None:
        self.id, self.name = -id, "by hand"


@dataclasses.dataclass
class OwnSetattr:
    id: int

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value + 100)


class Meta(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        made.id += 1000
        return made


@dataclasses.dataclass
class OfMeta(metaclass=Meta):
    id: int


class Descriptor:
    """A field that keeps its value under another name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.kept = f"_{name}"

    def __get__(self, instance: Any, owner: type) -> Any:
        return 7 if instance is None else getattr(instance, self.kept)

    def __set__(self, instance: Any, value: int) -> None:
        setattr(instance, self.kept, value * 10)


@dataclasses.dataclass
class WithDescriptor:
    id: int
    size: Descriptor = Descriptor()


class Derived(Data):
    """A plain subclass, whose __init__ is its base's."""


@dataclasses.dataclass
class More(Data):
    more: str = "m"


@dataclasses.dataclass(slots=True)
class Slotted:
    id: int
    name: str = "n"


class SlottedWithDict(Slotted):
    pass


@dataclasses.dataclass(slots=True)
class Weak:
    id: int
    __weakref__: Any = dataclasses.field(init=False, repr=False, compare=False, default=None)


SAME_AS_BY_HAND: list[tuple[Any, dict[str, Any]]] = [
    (Counted, {"id": 1}),
    (Counted, {"id": 1, "tags": ["a"]}),
    (Frozen, {"id": 4}),
    (WithInitVar, {"id": 4}),
    (WithInitVar, {"id": 4, "scale": 5}),
    (OwnInit, {"id": 4}),
    (OwnSetattr, {"id": 4}),
    (OfMeta, {"id": 4}),
    (WithDescriptor, {"id": 4}),
    (WithDescriptor, {"id": 4, "size": 3}),
    (Derived, {"id": 4, "name": "x"}),
    (More, {"id": 4, "name": "x", "more": "y"}),
    (More, {"id": 4, "name": "x"}),
    (Slotted, {"id": 4}),
    (Slotted, {"id": 4, "name": "x"}),
    (SlottedWithDict, {"id": 4, "name": "x"}),
]


@pytest.mark.parametrize(("into", "values"), SAME_AS_BY_HAND)
def test_a_dataclass_is_as_its_own_init_makes_it(
    session: DbSession, into: Any, values: dict[str, Any]
) -> None:
    columns = ", ".join(f"${n} AS {name}" for n, name in enumerate(values, 1))
    kinds = {int: "int", str: "text", list: "text[]"}
    for n, value in enumerate(values.values(), 1):
        columns = columns.replace(f"${n} ", f"${n}::{kinds[type(value)]} ")
    made = session.query_one(f"SELECT {columns}", list(values.values()), into=into)
    by_hand = into(**values)
    assert type(made) is type(by_hand)
    assert repr(made) == repr(by_hand)
    assert getattr(made, "__dict__", None) == getattr(by_hand, "__dict__", None)
    assert list(getattr(made, "__dict__", ())) == list(getattr(by_hand, "__dict__", ()))


def test_each_row_has_a_default_of_its_own(session: DbSession) -> None:
    first, second = session.query("SELECT generate_series(1, 2) AS id", into=Counted)
    first.tags.append("x")
    assert (second.tags, second.log) == ([], ["made 2"])


def test_a_method_that_is_replaced_later_is_called(
    session: DbSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclasses.dataclass
    class Patched:
        id: int

    sql = "SELECT 5 AS id"
    assert session.query(sql, into=Patched) == [Patched(5)]

    def init(self: Any, id: int) -> None:
        self.id = -id

    with monkeypatch.context() as patch:
        patch.setattr(Patched, "__init__", init)
        assert session.query_one(sql, into=Patched).id == -5
    assert session.query_one(sql, into=Patched).id == 5
    monkeypatch.setattr(
        Patched, "__setattr__", lambda self, name, value: self.__dict__.update(id=8)
    )
    assert session.query_one(sql, into=Patched).id == 8


class Point(NamedTuple):
    x: int
    y: int = 0

    @property
    def far(self) -> int:
        return abs(self.x) + abs(self.y)


class Doubled(Point):
    def __new__(cls, x: int, y: int = 0) -> Doubled:
        return super().__new__(cls, 2 * x, 2 * y)


class Noted(Point):
    """With a __dict__, and no __slots__."""


def test_named_tuples(session: DbSession) -> None:
    sql = "SELECT 1 AS y, 2 AS x"
    point = session.query_one(sql, into=Point)
    assert (point, type(point), point.far) == ((2, 1), Point, 3)
    assert session.query_one("SELECT 2 AS x", into=Point) == (2, 0)
    doubled = session.query_one(sql, into=Doubled)
    assert (doubled, type(doubled)) == ((4, 2), Doubled)
    noted: Any = session.query_one(sql, into=Noted)
    noted.note = "written"
    assert (noted, type(noted), noted.note) == ((2, 1), Noted, "written")


class Camel(msgspec.Struct, rename="camel", frozen=True):
    user_name: str
    home_town: str = "here"
    seen: list[str] = []


class Checked(msgspec.Struct, kw_only=True, gc=False):
    id: int
    total: int = 0

    def __post_init__(self) -> None:
        self.total = self.id + 1


class Positional(msgspec.Struct):
    a: int
    b: int = 2
    c: int = 3


def test_structs(session: DbSession) -> None:
    assert session.query_one('SELECT $1 AS "userName"', ["a"], into=Camel) == Camel("a")
    assert session.query_one("SELECT 'a' AS user_name", into=Camel) == Camel("a")
    whole = session.query_one("SELECT '{x}'::text[] seen, 'a' user_name", into=Camel)
    assert whole == Camel("a", seen=["x"])
    assert session.query_one("SELECT 4 AS id", into=Checked) == Checked(id=4)
    assert session.query_one("SELECT 4 AS id", into=Checked).total == 5
    assert session.query_one("SELECT 9 AS c, 1 AS a", into=Positional) == Positional(1, 2, 9)


@attrs.define
class Private:
    _id: int
    name: str = attrs.field(default="n", alias="label")
    double: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.double = self._id * 2


@attrs.define
class Validated:
    id: int = attrs.field(validator=attrs.validators.lt(10), converter=int)


def test_attrs_classes(session: DbSession) -> None:
    assert session.query_one("SELECT 4 AS id, 'x' AS label", into=Private) == Private(4, "x")
    assert session.query_one("SELECT 4 AS _id, 'x' AS name", into=Private) == Private(4, "x")
    assert session.query_one("SELECT '4' AS id", into=Validated) == Validated(4)
    with pytest.raises(ValueError, match="'id' must be < 10"):
        session.query_one("SELECT '40' AS id", into=Validated)
    with pytest.raises(errors.RowMismatch, match='column "double" has no field'):
        session.query_one("SELECT 4 AS id, 8 AS double", into=Private)


class Strict(pydantic.BaseModel, extra="forbid"):
    id: int
    name: str = pydantic.Field(alias="label")

    @pydantic.field_validator("name")
    @classmethod
    def upper(cls, name: str) -> str:
        return name.upper()


class Lenient(pydantic.BaseModel, extra="allow"):
    id: int


def test_pydantic_models_judge_for_themselves(session: DbSession) -> None:
    assert session.query_one("SELECT '4' AS id, 'x' AS label", into=Strict).name == "X"
    for sql in ("SELECT 1 AS id, 'x' AS label, 2 AS more", "SELECT 1 AS id", "SELECT 'x' AS id"):
        with pytest.raises(pydantic.ValidationError) as raised:
            session.query(sql, into=Strict)
        assert type(raised.value) is pydantic.ValidationError
    assert session.query_one("SELECT 4 AS id, 5 AS more", into=Lenient).model_extra == {"more": 5}
    assert session.query_value("SELECT 1") == 1


def test_any_other_callable(session: DbSession) -> None:
    def several(**columns: Any) -> list[str]:
        return sorted(columns)

    assert session.query('SELECT 1 AS b, 2 AS a, 3 AS "odd name"', into=several) == [
        ["a", "b", "odd name"]
    ]
    assert session.query_one("SELECT 1 AS a", into=lambda a, b=5: a + b) == 6

    class Greeter:
        def greet(self, name: str, *, mark: str = "!") -> str:
            return f"{name}{mark}"

    assert session.query("SELECT 'x' AS name", into=Greeter().greet) == ["x!"]
    assert session.query_one("SELECT '?' AS mark, 'x' AS name", into=Greeter().greet) == "x?"


def test_many_columns(session: DbSession) -> None:
    names = [f"c{n}" for n in range(300)]
    wide = dataclasses.make_dataclass("Wide", [(name, int) for name in names])
    sql = "SELECT " + ", ".join(f"{n} AS {name}" for n, name in enumerate(names))
    assert session.query(sql, into=wide) == [wide(*range(300))]
    struct = msgspec.defstruct("Struct", [(name, int) for name in names])
    assert session.query(sql, into=struct) == [struct(*range(300))]
    assert session.query(sql, into=tuple) == [tuple(range(300))]


class Row57Error(Exception):
    pass


def refuse(n: int) -> int:
    if n == 57:
        raise Row57Error("row 57")
    return n


class Refusing(NamedTuple):
    n: int


@dataclasses.dataclass
class RefusingData:
    n: int
    held: Any = None

    def __post_init__(self) -> None:
        refuse(self.n)


class RefusingStruct(msgspec.Struct):
    n: int

    def __post_init__(self) -> None:
        refuse(self.n)


class RefusingModel(pydantic.BaseModel):
    n: int

    @pydantic.model_validator(mode="after")
    def check(self) -> RefusingModel:
        refuse(self.n)
        return self


@pytest.mark.parametrize("into", [refuse, RefusingData, RefusingStruct, RefusingModel])
def test_an_error_of_the_constructor_in_row_57_passes(session: DbSession, into: Any) -> None:
    sql = "SELECT generate_series(1, 5000) AS n"
    assert len(session.query(sql + " LIMIT 56", into=into)) == 56
    made: list[weakref.ref[Any]] = []

    def watched(n: int) -> Any:
        one = into(n=n)
        if not isinstance(one, int) and into is RefusingData:
            made.append(weakref.ref(one))
        return one

    for wanted in (into, watched):
        with pytest.raises(Row57Error, match=r"^row 57$") as raised:
            session.query(sql, into=wanted)
        assert raised.value.__traceback__ is not None
    del raised
    gc.collect()
    assert [one() for one in made if one() is not None] == []
    assert session.query_value("SELECT 1") == 1
    session.begin()
    with pytest.raises(Row57Error):
        session.query(sql, into=into)
    assert (
        session.query_value("SELECT 1") == 1
    )  # the transaction is not aborted: SQL has not failed
    session.commit()
    rows = session.stream(sql, into=into, chunk_rows=10)
    with pytest.raises(Row57Error):
        for _ in rows:
            pass
    assert session.query_value("SELECT 1") == 1


def test_a_constructor_may_not_use_the_session_it_is_called_by(session: DbSession) -> None:
    def nested(n: int) -> Any:
        return blocking_db("the test").query_value("SELECT 1")

    with pytest.raises(errors.InterfaceError):
        session.query("SELECT 1 AS n", into=nested)
    assert session.query_value("SELECT 1") == 1


def test_a_constructor_may_use_another_session(session: DbSession) -> None:
    def nested(n: int) -> Any:
        return n + blocking_db("another").query_value("SELECT 1")

    assert session.query("SELECT 1 AS n UNION ALL SELECT 2", into=nested) == [2, 3]
    finalize_db("another")


def test_rows_are_released(session: DbSession) -> None:
    marker = object()

    @dataclasses.dataclass
    class Holder:
        n: int
        held: object = marker

    class Tuple(NamedTuple):
        n: int
        held: object = marker

    class Bare(msgspec.Struct):
        n: int
        held: object = marker

    for into in (Holder, Tuple, Bare):
        session.query("SELECT 1 AS n", into=into)
        before = sys.getrefcount(marker)
        rows = session.query("SELECT generate_series(1, 100) AS n", into=into)
        assert sys.getrefcount(marker) - before >= 100
        del rows
        gc.collect()
        assert sys.getrefcount(marker) - before < 5


def test_rows_of_plain_values_are_not_looked_at_by_the_collector(session: DbSession) -> None:
    flat = session.query_one("SELECT 1 AS a, 'x' AS b, NULL AS c", into=tuple)
    assert not gc.is_tracked(flat)
    nested = session.query_one("SELECT 1 AS a, '[1]'::json AS b", into=tuple)
    assert gc.is_tracked(nested)
    assert gc.is_tracked(session.query_one("SELECT 1 AS id, 'x' AS name", into=Data))
    assert gc.is_tracked(session.query_one("SELECT 1 AS id, 'x' AS name", into=Named))


def test_a_cycle_through_a_row_is_collected(session: DbSession) -> None:
    row = session.query_one("SELECT 1 AS id, '{}'::text[] AS tags", into=Counted)
    row.tags.append(row)  # type: ignore[arg-type]
    gone = weakref.ref(row)
    del row
    gc.collect()
    assert gone() is None


def test_classes_made_as_the_program_goes_do_not_pile_up(session: DbSession) -> None:
    gone = []
    for _ in range(1100):

        class Local(msgspec.Struct, weakref=True):
            n: int

        session.query("SELECT 1 AS n", into=Local)
        gone.append(weakref.ref(Local))
    del Local
    for n in range(20):
        session.query("SELECT 1 AS n", into=dataclasses.make_dataclass(f"D{n}", ["n"]))
    gc.collect()
    assert sum(ref() is not None for ref in gone) <= 1040
