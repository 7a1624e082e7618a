"""Columns and fields that do not match: RowMismatch, and nothing has run."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NewType, Optional, Protocol

import msgspec
import pydantic
import pytest
import row_classes
from either import db, finalize_db, scope
from row_classes import Data, Model, Typed
from test_pgbouncer import Bouncer, bouncer
from test_pytest_plugin import Run, pytest_run

from hypern import errors
from hypern._literals import StatementCache
from hypern.database import Database, DbSession

__all__ = ["bouncer", "pytest_run"]  # fixtures

pytestmark = pytest.mark.usefixtures("kind")

INSERT = "INSERT INTO numbers VALUES ($1) RETURNING n"


def of_kind(into: Any) -> str:
    return str(into.__name__)


@pytest.mark.usefixtures("numbers")
@pytest.mark.parametrize("into", row_classes.CHECKED, ids=of_kind)
def test_both_sides_are_named_and_nothing_is_run(session: DbSession, into: Any) -> None:
    expected = (
        f"the columns of the statement do not fit {into.__name__}: "
        'column "n" has no field; field "id" has no column; field "name" has no column '
        "(columns: n; fields: id, name, age)"
    )
    calls: list[Any] = [session.query, session.query_one, session.query_one_or_none]
    for run in [*calls, *calls]:
        with pytest.raises(errors.RowMismatch) as raised:
            run(INSERT, [1], into=into)
        assert str(raised.value) == expected
    assert isinstance(raised.value, errors.ProgrammingError)
    assert session.query("SELECT n FROM numbers") == []
    session.execute(INSERT, [1])  # known, so that it would be sent at once
    for run in calls:
        with pytest.raises(errors.RowMismatch):
            run(INSERT, [2], into=into)
    rows = session.stream(INSERT, [3], into=into)
    with pytest.raises(errors.RowMismatch):
        next(iter(rows))
    assert session.query("SELECT n FROM numbers") == [{"n": 1}]


def test_a_typed_dict_takes_more_columns_but_not_less(session: DbSession) -> None:
    more = session.query_one("SELECT 1 AS id, 'x' AS name, 5 AS more", into=Typed)
    assert more == {"id": 1, "name": "x", "more": 5}
    with pytest.raises(errors.RowMismatch, match='field "name" has no column'):
        session.query("SELECT 1 AS id", into=Typed)


@pytest.mark.parametrize("into", row_classes.ALL, ids=of_kind)
def test_two_columns_of_one_name(session: DbSession, into: Any) -> None:
    with pytest.raises(errors.RowMismatch, match=r'2 columns are named "id".*AS') as raised:
        session.query("SELECT 1 AS id, 'x' AS name, 2 AS id", into=into)
    assert into.__name__ in str(raised.value)


class Renamed(msgspec.Struct, rename="camel"):
    user_id: int


def test_two_columns_that_mean_one_field(session: DbSession) -> None:
    with pytest.raises(errors.RowMismatch, match='columns "user_id" and "userId" are both field'):
        session.query('SELECT 1 AS user_id, 2 AS "userId"', into=Renamed)


def test_in_a_transaction_it_stays_open_and_usable(session: DbSession, numbers: None) -> None:
    session.begin()
    for n in range(2):
        with pytest.raises(errors.RowMismatch):
            session.query(INSERT, [n], into=Data)
    assert session.is_in_transaction
    session.execute("INSERT INTO numbers VALUES (7)")
    with session.transaction():
        with pytest.raises(errors.RowMismatch):
            session.query(INSERT, [8], into=Data)
        session.execute("INSERT INTO numbers VALUES (9)")
    session.commit()
    assert session.query_values("SELECT n FROM numbers ORDER BY n") == [7, 9]


def insert_in_vain(table: str) -> None:
    """An INSERT whose rows do not fit, first and known, in and outside a transaction."""
    insert = f"INSERT INTO {table} VALUES ($1) RETURNING n"
    for known in (False, True):
        if known:
            assert db().execute(insert, [1]) == 1
        for n in (2, 3):
            with pytest.raises(errors.RowMismatch):
                db().query(insert, [n], into=Data)
    assert db().query_values(f"SELECT n FROM {table}") == [1]


def insert_in_vain_in_transactions(table: str) -> None:
    insert = f"INSERT INTO {table} VALUES ($1) RETURNING n"
    with db().transaction():
        with pytest.raises(errors.RowMismatch):
            db().query_one(insert, [4], into=Data)
        with db().transaction(), pytest.raises(errors.RowMismatch):
            db().query_one_or_none(insert, [5], into=Data)
        with pytest.raises(errors.RowMismatch):
            list(db().stream(insert, [6], into=Data))
        assert db().query_one(insert, [7], into=tuple) == (7,)
        with pytest.raises(errors.RowMismatch):
            db().query(insert, [8], into=Data)
    assert db().query_values(f"SELECT n FROM {table} ORDER BY n") == [1, 7]


@pytest.mark.parametrize("cache", ["named", "describe", "off"])
def test_with_every_statement_cache(database: str, cache: StatementCache) -> None:
    Database.close()
    Database.configure(database, max_size=1, statement_cache=cache)
    with scope():
        db().execute("CREATE TEMP TABLE vain (n int)")
        insert_in_vain("vain")
        insert_in_vain_in_transactions("vain")
    Database.close()


def test_behind_pgbouncer(bouncer: Bouncer) -> None:
    Database.close()
    Database.configure(bouncer.url, max_size=1, acquire_timeout_secs=10)
    with scope():
        db().execute("DROP TABLE IF EXISTS vain")
        db().execute("CREATE TABLE vain (n int)")
        insert_in_vain("vain")
        if bouncer.mode != "statement":  # which has no transactions
            insert_in_vain_in_transactions("vain")
    Database.close()


def test_in_tests_with_db_session(pytest_run: Run) -> None:
    here = Path(__file__).parent
    cases = (here / "nested_rows_cases.py").read_text()
    passed = 2 * cases.count("\ndef test_")
    pytest_run(cases, passed=passed, preamble="", env={"PYTHONPATH": str(here)})


@pytest.fixture(params=["named", "describe"])
def two(database: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """A connection whose statements are kept, and another session."""
    Database.close()
    Database.configure(database, max_size=1, statement_cache=request.param)
    Database.configure(database, max_size=1, alias="other")
    with scope():
        db(alias="other").execute("DROP TABLE IF EXISTS changing")
        db(alias="other").execute("CREATE TABLE changing (id int, name text)")
    yield
    Database.close()


@pytest.mark.usefixtures("two")
def test_a_class_is_matched_anew_when_the_columns_change() -> None:
    sql = "SELECT * FROM changing"
    with scope():
        assert db().query(sql, into=Data) == []
        db().execute("ALTER TABLE changing RENAME name TO label")
        with pytest.raises(errors.RowMismatch, match='column "label" has no field'):
            db().query(sql, into=Data)
        db().execute("ALTER TABLE changing RENAME label TO name")
        db().execute("INSERT INTO changing VALUES (1, 'x')")
        assert db().query(sql, into=Data) == [Data(1, "x")]
        db().execute("ALTER TABLE changing ADD age int DEFAULT 4")
        assert db().query(sql, into=Data) == [Data(1, "x", 4)]


def test_what_others_have_changed_is_noticed_before_the_statement_runs(database: str) -> None:
    Database.close()
    Database.configure(database, max_size=1, statement_cache="named")
    Database.configure(database, max_size=1, alias="other")
    with scope():
        other = db(alias="other")
        other.execute("DROP TABLE IF EXISTS changing")
        other.execute("CREATE TABLE changing (id int, name text)")
        insert = "INSERT INTO changing VALUES ($1, 'x') RETURNING *"
        assert db().query(insert, [1], into=Data) == [Data(1, "x")]
        other.execute("ALTER TABLE changing ADD more int")
        with pytest.raises(errors.RowMismatch, match='column "more" has no field'):
            db().query(insert, [2], into=Data)
        assert other.query_values("SELECT id FROM changing") == [1]
        other.execute("ALTER TABLE changing RENAME more TO age")
        assert db().query(insert, [3], into=Data) == [Data(3, "x", None)]
    Database.close()


class Shape(abc.ABC):
    n: int

    @abc.abstractmethod
    def area(self) -> float: ...


@dataclasses.dataclass
class AbstractData(abc.ABC):
    n: int

    @abc.abstractmethod
    def area(self) -> float: ...


class HasArea(Protocol):
    def area(self) -> float: ...


class AbstractModel(pydantic.BaseModel, abc.ABC):
    n: int

    @abc.abstractmethod
    def area(self) -> float: ...


@dataclasses.dataclass
class Unresolved:
    n: int
    other: Nowhere  # type: ignore[name-defined]  # noqa: F821


class UnresolvedStruct(msgspec.Struct):
    n: int
    other: list[Nowhere]  # type: ignore[name-defined]  # noqa: F821


class UnresolvedTuple(NamedTuple):
    n: int
    other: Optional[Nowhere] = None  # type: ignore[name-defined]  # noqa: F821, UP045


class UnresolvedModel(pydantic.BaseModel):
    n: int
    other: Nowhere | None = None  # type: ignore[name-defined]  # noqa: F821


Endless = list["Endless"]


@dataclasses.dataclass
class OfEndless:
    n: int
    items: Endless


@dataclasses.dataclass
class Broken:
    n: 1 / 0  # type: ignore[valid-type]


def by_position(n: int, /) -> int:
    return n


# What cannot be made of any row, and what the error says.
UNFIT: list[tuple[Any, str]] = [
    (
        5,
        "into must be dict, tuple, a class with fields, .* not an object of class int",
    ),
    (None, "not an object of class NoneType"),
    ("Data", "not an object of class str"),
    (Data(1, "x"), "not an object of class Data"),
    # typing.Optional[row_classes.Data], from CPython 3.14 on row_classes.Data | None
    (Optional[Data], r"not .*\brow_classes\.Data\b"),  # noqa: UP045
    (Data | None, r"not row_classes\.Data \| None"),
    (list, "list of rows is what query.. returns; use the class of a row"),
    (list[Data], "list of rows is what query.. returns; use the class of a row"),
    (int, "query_value"),
    (str, "query_value"),
    (tuple[int, str], "types of items are not looked at; use tuple"),
    (dict[str, Any], "types of items are not looked at; use dict"),
    (Shape, r"Shape is abstract \(area\)"),
    (AbstractData, r"AbstractData is abstract \(area\)"),
    (AbstractModel, r"AbstractModel is abstract \(area\)"),
    (HasArea, "HasArea is abstract"),
    (by_position, 'by_position takes "n" by position only'),
    (Unresolved, 'annotation "Nowhere" of field "other" of Unresolved .*not defined.*Nowhere'),
    (UnresolvedStruct, 'annotation .* of field "other" of UnresolvedStruct .*Nowhere'),
    (UnresolvedTuple, 'annotation .* of field "other" of UnresolvedTuple .*Nowhere'),
    (UnresolvedModel, "UnresolvedModel is not complete: .*Nowhere"),
    (OfEndless, 'annotation of field "items" of OfEndless is made of itself'),
    (Broken, 'annotation "1 / 0" of field "n" of Broken .*ZeroDivisionError'),
]


@pytest.mark.parametrize(
    ("into", "words"), UNFIT, ids=[getattr(into, "__name__", str(into)) for into, _ in UNFIT]
)
def test_what_rows_cannot_be_made_of_is_refused_with_a_reason(
    session: DbSession, numbers: None, into: Any, words: str
) -> None:
    for run in (session.query, session.query_one, session.query_one_or_none):
        with pytest.raises(errors.RowMismatch, match=words) as raised:
            run(INSERT, [1], into=into)
        assert isinstance(raised.value, TypeError)
    with pytest.raises(errors.RowMismatch, match=words):
        list(session.stream(INSERT, [1], into=into))
    assert session.query("SELECT n FROM numbers") == []


class Service:
    def __init__(self, n: int, connection: object) -> None:
        raise AssertionError("it is not to be called")


class Nothing:
    """Its constructor takes nothing."""


def test_a_class_that_cannot_be_built_without_arguments_that_no_column_has(
    session: DbSession,
) -> None:
    with pytest.raises(errors.RowMismatch, match='field "connection" has no column'):
        session.query("SELECT 1 AS n", into=Service)
    with pytest.raises(errors.RowMismatch, match='column "n" has no field'):
        session.query("SELECT 1 AS n", into=Nothing)
    bound = functools.partial(Service, connection=None)
    with pytest.raises(AssertionError):
        session.query("SELECT 1 AS n", into=bound)
    with pytest.raises(errors.RowMismatch, match='field "n" has no column'):
        session.query("SELECT 1 AS connection", into=bound)


Ident = NewType("Ident", Data)


def test_names_for_a_class_stand_for_it(session: DbSession) -> None:
    sql = "SELECT 1 AS id, 'x' AS name"
    noted: Any = Annotated[Data, "a note"]
    assert session.query(sql, into=noted) == [Data(1, "x")]
    assert session.query(sql, into=Ident) == [Data(1, "x")]


def test_an_unknown_keyword_is_still_refused(session: DbSession) -> None:
    calls: list[Any] = [session.query_value, session.query_values, session.execute, session.result]
    for run in calls:
        with pytest.raises(TypeError, match="unexpected keyword argument 'into'"):
            run("SELECT 1", into=Data)
    with pytest.raises(TypeError, match="unexpected keyword argument 'strict'"):
        session.query("SELECT 1", strict=True)  # type: ignore[call-overload]


def test_a_long_list_of_names_is_cut(session: DbSession) -> None:
    sql = "SELECT " + ", ".join(f"{n} AS c{n}" for n in range(100))
    with pytest.raises(errors.RowMismatch, match="and 70 more") as raised:
        session.query(sql, into=Data)
    assert len(str(raised.value)) < 1500


def test_the_servers_error_comes_first(session: DbSession) -> None:
    with pytest.raises(errors.UndefinedTable):
        session.query("SELECT 1 AS x FROM no_such_table", into=Data)
    session.begin()
    with pytest.raises(errors.DivisionByZero):
        session.execute("SELECT 1 / 0")
    with pytest.raises(errors.InFailedSqlTransaction):
        session.query("SELECT 1 AS x", into=Data)
    session.rollback()


def test_pydantic_is_not_matched(session: DbSession) -> None:
    with pytest.raises(pydantic.ValidationError):
        session.query("SELECT 1 AS x", into=Model)


def test_without_a_result_there_are_no_rows(session: DbSession) -> None:
    with pytest.raises(errors.RowMismatch):
        session.query("CREATE TEMP TABLE unmade (n int)", into=Data)
    with pytest.raises(errors.UndefinedTable):
        session.query("SELECT * FROM unmade")
    assert session.query("CREATE TEMP TABLE made (n int)", into=tuple) == []
    finalize_db("the test")
