"""Parameters that the server takes for text because nothing says otherwise: the value's own type is
declared, so that a statement means what it means with the value as a literal."""

from __future__ import annotations

import datetime as dt
import enum
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any, cast

import pytest
from either import db, run, scope

from hypern import errors
from hypern._literals import StatementCache
from hypern.database import Database, DbSession, adb

pytestmark = pytest.mark.usefixtures("kind")


class Level(enum.Enum):
    LOW = 9
    HIGH = 10


class Size(enum.IntEnum):
    BIG = 10


class Colour(str, enum.Enum):
    RED = "red"


ID = uuid.UUID("7f7cbfc4-8d4f-4d57-a1b5-6f0f1d6f5b3a")
NOON = dt.datetime(2024, 2, 3, 12, 30)

# The statement, its parameters, the same with literals as psql would be given them.
SAME_AS_LITERALS: list[tuple[str, list[Any], str]] = [
    ("SELECT $1 < $2", [10, 9], "SELECT 10 < 9"),
    ("SELECT $1 < $2", [9.5, 10], "SELECT 9.5 < 10"),
    ("SELECT $1 < $2", ["10", "9"], "SELECT '10' < '9'"),
    ("SELECT $1 < $2", [10, "9"], "SELECT 10 < '9'"),
    ("SELECT $1 < $2", [Level.HIGH, Level.LOW], "SELECT 10 < 9"),
    ("SELECT $1 < $2", [Size.BIG, 9], "SELECT 10 < 9"),
    ("SELECT $1 < $2", [Decimal("10.0"), Decimal("9.99")], "SELECT 10.0 < 9.99"),
    ("SELECT $1 < $2", [10, None], "SELECT 10 < NULL"),
    ("SELECT $1 < $2", [None, 9], "SELECT NULL < 9"),
    ("SELECT greatest($1, $2)", [10, 9], "SELECT greatest(10, 9)"),
    ("SELECT greatest($1, $2)", [2**40, 9], f"SELECT greatest({2**40}, 9)"),
    ("SELECT greatest($1, $2)", [10**30, 9], f"SELECT greatest({10**30}, 9)"),
    ("SELECT greatest($1, $2)", ["b", "a"], "SELECT greatest('b', 'a')"),
    ("SELECT '[7,8]'::jsonb -> $1", [0], "SELECT '[7,8]'::jsonb -> 0"),
    ("SELECT '{\"0\": 1}'::jsonb -> $1", ["0"], "SELECT '{\"0\": 1}'::jsonb -> '0'"),
    ("SELECT '[7,8]'::jsonb ->> $1", [-1], "SELECT '[7,8]'::jsonb ->> -1"),
    ("SELECT $1", [5], "SELECT 5"),
    ("SELECT $1", [True], "SELECT true"),
    ("SELECT $1", [1.5], "SELECT 1.5::float8"),
    ("SELECT $1", [Decimal("1.50")], "SELECT 1.50"),
    ("SELECT $1", ["x"], "SELECT 'x'"),
    ("SELECT $1", [Colour.RED], "SELECT 'red'"),
    ("SELECT $1", [None], "SELECT NULL"),
    ("SELECT $1", [ID], f"SELECT uuid '{ID}'"),
    ("SELECT $1", [NOON], f"SELECT timestamp '{NOON}'"),
    ("SELECT $1", [NOON.replace(tzinfo=dt.timezone.utc)], f"SELECT timestamptz '{NOON}+00'"),
    ("SELECT $1", [NOON.date()], "SELECT date '2024-02-03'"),
    ("SELECT $1", [NOON.time()], "SELECT time '12:30'"),
    ("SELECT $1", [dt.time(1, tzinfo=dt.timezone.utc)], "SELECT timetz '01:00+00'"),
    ("SELECT $1", [dt.timedelta(days=1, hours=2)], "SELECT interval '1 day 2 hours'"),
    ("SELECT $1::text", [5], "SELECT 5::text"),
    ("SELECT $1::text", [True], "SELECT true::text"),
    ("SELECT $1 || 'x'", [5], "SELECT 5 || 'x'"),
    ("SELECT coalesce($1, $2)", [None, 3], "SELECT coalesce(NULL, 3)"),
    ("SELECT pg_typeof(v)::text FROM (SELECT $1 AS v) t", [5], "SELECT pg_typeof(5)::text"),
    (
        "SELECT pg_typeof(v)::text FROM (SELECT $1 AS v) t",
        [2**31],
        f"SELECT pg_typeof({2**31})::text",
    ),
    (
        "SELECT pg_typeof(v)::text FROM (SELECT $1 AS v) t",
        [-(2**31)],
        "SELECT pg_typeof((-2147483648)::int)::text",
    ),
    (
        "SELECT CASE WHEN $1 THEN $2 ELSE $3 END",
        [True, 1, 2],
        "SELECT CASE WHEN true THEN 1 ELSE 2 END",
    ),
    ("SELECT $1 BETWEEN $2 AND $3", [10, 9, 11], "SELECT 10 BETWEEN 9 AND 11"),
    ("SELECT $1 IN ($2, $3)", [10, 9, 10], "SELECT 10 IN (9, 10)"),
    (
        "SELECT max(v) FROM (VALUES ($1), ($2)) AS t (v)",
        [10, 9],
        "SELECT max(v) FROM (VALUES (10), (9)) AS t (v)",
    ),
]


@pytest.mark.parametrize(("sql", "params", "literal"), SAME_AS_LITERALS)
def test_the_server_decides_as_for_a_literal(
    session: DbSession, sql: str, params: list[Any], literal: str
) -> None:
    expected = session.query_value(literal)
    for _ in range(3):
        value = session.query_value(sql, params)
        assert value == expected
        assert type(value) is type(expected)


@pytest.mark.parametrize("cache", ["named", "describe", "off"])
def test_values_of_other_types_in_turn(database: str, cache: StatementCache) -> None:
    Database.close()
    Database.configure(database, max_size=1, statement_cache=cache)
    values = [5, "5", None, 5.5, Decimal("5.50"), True, 2**40, 10**30, ID, NOON, NOON.date(), "x"]
    for _ in range(2):
        with scope():
            for value in values:
                got = db().query_value("SELECT $1", [value])
                assert got == value
                assert type(got) is (Decimal if value == 10**30 else type(value))
        with scope(), db().transaction():
            for value in reversed(values):
                assert [row["v"] for row in db().stream("SELECT $1 AS v", [value])] == [value]
    Database.close()


def test_a_text_column_stores_the_text_of_the_literal(session: DbSession) -> None:
    session.execute("CREATE TEMP TABLE texts (n int, t text, v varchar, c char(6))")
    values = [5, True, 1.5, Decimal("1.50"), NOON.date(), NOON, ID, dt.timedelta(hours=1)]
    for n, value in enumerate(values):
        kept = value if isinstance(value, (int, float, Decimal)) else 1
        session.execute("INSERT INTO texts VALUES ($1, $2, $3, $4)", [n, value, value, kept])
    literals = (
        "(5), (true::text), (1.5), (1.50), (date '2024-02-03'), (timestamp '2024-02-03 12:30')"
    )
    stored = [row["t"] for row in session.query("SELECT t FROM texts ORDER BY n")]
    assert stored == [
        "5",
        "true",
        "1.5",
        "1.50",
        "2024-02-03",
        "2024-02-03 12:30:00",
        str(ID),
        "01:00:00",
    ]
    assert literals
    assert session.query_value("SELECT count(*) FROM texts WHERE t = v") == len(values)


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT 1 FROM texts WHERE t = $1", [123]),
        ("SELECT 1 FROM texts WHERE t = $1", [ID]),
        ("SELECT 1 FROM texts WHERE t LIKE $1", [123]),
        ("SELECT lower($1)", [123]),
        ("SELECT t || t FROM texts WHERE n = $1 AND t = $2", [1, NOON.date()]),
    ],
)
def test_what_the_server_refuses_has_a_hint(
    session: DbSession, sql: str, params: list[Any]
) -> None:
    session.execute("CREATE TEMP TABLE IF NOT EXISTS texts (n int, t text)")
    with pytest.raises(errors.UndefinedFunction) as caught:
        session.query(sql, params)
    assert caught.value.hint is not None
    assert "Pass str(value) where text is meant." in caught.value.hint
    assert f"${len(params)} as " in caught.value.hint
    assert session.query(sql, [*params[:-1], str(params[-1])]) is not None
    session.begin()
    with pytest.raises(errors.UndefinedFunction):
        session.query(sql, params)
    assert session.is_in_transaction
    session.rollback()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT $1 + $2",
        "SELECT 1 WHERE $1 IS NULL",
        "SELECT concat($1, $2)",
        "SELECT pg_typeof($1)",
    ],
)
def test_what_nothing_gives_a_type_has_a_hint_to_cast(session: DbSession, sql: str) -> None:
    with pytest.raises((errors.AmbiguousFunction, errors.IndeterminateDatatype)) as caught:
        session.query(sql, [1, 2][: sql.count("$")])
    assert caught.value.hint is not None
    assert "Cast the parameters, as in $1::int" in caught.value.hint


def test_the_second_run_costs_nothing(database: str) -> None:
    Database.close()
    Database.configure(database, max_size=1)
    with scope():
        sql = "SELECT $1 < $2 AS less"
        known = f"SELECT count(*) FROM pg_prepared_statements WHERE statement = '{sql}'"
        for _ in range(3):
            assert db().query_value(sql, [10, 9]) is False
        assert db().query_value(known) == 2  # without declared types, and with them
        for n in range(20):
            db().query_value(
                sql, [n, [1, 1.5, "x", Decimal(1)][n % 4]][:2] if n % 4 != 2 else ["y", "x"]
            )
        assert db().query_value(known) <= 8
    Database.close()


ROWS: list[list[Any]] = [
    [1],
    [2],
    [None],
    ["three"],
    [4.5],
    [5],
    [2**40],
    [None],
    ["six"],
    [True],
    [8],
]
AS_TEXT = ["1", "2", None, "three", "4.5", "5", str(2**40), None, "six", "true", "8"]


def _list(rows: list[list[Any]]) -> Any:
    return rows


def _iterator(rows: list[list[Any]]) -> Iterator[list[Any]]:
    yield from rows


async def _aiterator(rows: list[list[Any]]) -> AsyncIterator[list[Any]]:
    for row in rows:
        yield row


def _many(session: DbSession, kind: str, make: Any, sql: str, rows: list[list[Any]]) -> int:
    if make is _aiterator and kind == "blocking":
        make = _iterator
    return session.execute_many(sql, make(rows))


@pytest.mark.parametrize("make", [_list, _iterator, _aiterator])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("cache", ["named", "describe", "off"])
def test_rows_of_changing_types_in_execute_many(
    database: str, kind: str, cache: StatementCache, nested: bool, make: Any
) -> None:
    Database.close()
    Database.configure(database, max_size=1, statement_cache=cache)
    with scope():
        session = db()
        session.execute("CREATE TEMP TABLE changing (n serial, t text UNIQUE)")
        insert = "INSERT INTO changing (t) VALUES ($1)"
        for _ in range(2):
            if nested:
                session.begin()
            assert _many(session, kind, make, insert, ROWS) == len(ROWS)
            if nested:
                session.commit()
            assert not session.is_in_transaction
            found = [row["t"] for row in session.query("SELECT t FROM changing ORDER BY n")]
            assert found == AS_TEXT
            session.execute("DELETE FROM changing")
        # the server refuses a row after a change: nothing is left, and the row is named
        failures: list[tuple[list[list[Any]], int]] = [
            ([*ROWS, [8], [9]], len(ROWS)),
            ([[1], ["x"], ["1"], [3]], 2),
        ]
        for failing, row in failures:
            if nested:
                session.begin()
            with pytest.raises(errors.UniqueViolation) as caught:
                _many(session, kind, make, insert, failing)
            assert caught.value.row == row
            assert session.is_in_transaction is nested
            assert session.query_value("SELECT count(*) FROM changing") == 0
            if nested:
                session.commit()
        # the server refuses to parse for a row's types
        where = "DELETE FROM changing WHERE t = $1"
        if nested:
            session.begin()
        with pytest.raises(errors.UndefinedFunction) as undefined:
            _many(session, kind, make, where, [["a"], ["b"], [3]])
        assert undefined.value.row == 2
        assert session.query_value("SELECT 1") == 1
        if nested:
            session.commit()
        # a row that cannot be encoded, after a change
        with pytest.raises(TypeError, match="row 2") as refused:
            _many(session, kind, make, insert, [["a"], [1], [object()]])
        assert session.query_value("SELECT count(*) FROM changing") == 0
        del refused
    Database.close()


@pytest.mark.parametrize("make", [_list, _iterator, _aiterator])
def test_many_rows_of_one_type_share_one_description(
    session: DbSession, kind: str, make: Any
) -> None:
    session.execute("CREATE TEMP TABLE shared (t text)")
    rows = [[n] for n in range(5000)]
    assert _many(session, kind, make, "INSERT INTO shared VALUES ($1)", rows) == 5000
    assert session.query_value("SELECT sum(t::int) FROM shared") == sum(range(5000))
    known = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT INTO shared%'"
    assert session.query_value(known) == 2


def test_a_stale_statement_and_declared_types(database: str, kind: str) -> None:
    Database.close()
    Database.configure(database, max_size=1)
    Database.configure(database, max_size=1, alias="other")
    with scope():
        db(alias="other").execute("DROP TABLE IF EXISTS stale")
        db(alias="other").execute("CREATE TABLE stale (t text)")
        insert = "INSERT INTO stale VALUES ($1)"
        for _ in range(2):
            assert db().execute(insert, [1]) == 1
            assert db().execute_many(insert, [[1], ["x"], [2]]) == 3
        db(alias="other").execute("DELETE FROM stale")
        db(alias="other").execute("ALTER TABLE stale ALTER t TYPE jsonb USING NULL")
        with pytest.raises(errors.Error):
            db().execute(insert, [1])  # int to jsonb has no assignment cast
        assert db().execute(insert, [{"a": 1}]) == 1
        assert db().execute_many(insert, [[{"a": 1}], [[2]]]) == 2
    Database.close()


def test_a_value_that_lies_about_itself(session: DbSession) -> None:
    class Zone(dt.tzinfo):
        def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
            raise KeyError("no offset")

        dst = utcoffset

        def tzname(self, when: dt.datetime | None) -> str:
            return "nowhere"

    with pytest.raises(KeyError, match="no offset"):
        session.query_value("SELECT $1", [dt.datetime(2024, 1, 1, tzinfo=Zone())])
    assert session.query_value("SELECT $1", [1]) == 1


async def _gather() -> list[Any]:
    session = adb("gathered")
    return [await session.query_value("SELECT $1 < $2", [10, n]) for n in (9, 11)]


def test_awaited_by_a_task_of_its_own(configured: str, kind: str) -> None:
    if kind == "blocking":
        assert [db("own").query_value("SELECT $1 < $2", [10, n]) for n in (9, 11)] == [False, True]
        return
    assert run(_gather()) == [False, True]


STATEMENTS = [
    "INSERT INTO each (x, n) VALUES ($1, $2)",
    "INSERT INTO each (x) VALUES (coalesce($1, $2))",
    "INSERT INTO each (x) SELECT greatest($1, $2)",
    "INSERT INTO each (x) SELECT pg_typeof(v)::text FROM (SELECT $1 AS v) t WHERE $2 = $2",
    "INSERT INTO each (x, n) VALUES ($1, $2) RETURNING *",
]
OF_ALL_TYPES: list[Any] = [None, 1, 9, 10, 2**40, "1", "007", "10", 2.5, Decimal("2.50"), True]


def _one_by_one(session: DbSession, sql: str, rows: list[list[Any]]) -> tuple[Any, int | None]:
    """What the table holds after each row by itself, and the row that failed."""
    for n, row in enumerate(rows):
        try:
            session.execute(sql, row)
        except (errors.Error, TypeError):
            return [], n
    return session.query("SELECT x, n FROM each ORDER BY k"), None


def _outcome(
    session: DbSession, kind: str, make: Any, sql: str, rows: list[list[Any]]
) -> tuple[int, int | None]:
    """How many rows, or -1 and the row that failed."""
    try:
        return _many(session, kind, make, sql, rows), None
    except (errors.Error, TypeError) as error:
        return -1, cast("int | None", getattr(error, "row", None))


@pytest.mark.parametrize("make", [_list, _iterator])
@pytest.mark.parametrize("cache", ["named", "describe"])
def test_execute_many_gives_what_its_rows_give_one_by_one(
    database: str, kind: str, cache: StatementCache, make: Any
) -> None:
    """Also where the first row fails, or another session has changed the table meanwhile."""
    Database.close()
    Database.configure(database, max_size=1, statement_cache=cache)
    Database.configure(database, max_size=1, alias="other", statement_cache="off")
    chance = random.Random(18)
    with scope():
        for turn in range(60):
            other, session = db(alias="other"), db()
            other.execute("DROP TABLE IF EXISTS each")
            other.execute("CREATE TABLE each (k serial, x text, n int)")
            sql = chance.choice(STATEMENTS)
            rows = [[chance.choice(OF_ALL_TYPES) for _ in range(2)] for _ in range(6)]
            if turn % 4 == 0:
                rows[0] = [1, "bad"]
            expected, failed = _one_by_one(other, sql, rows)
            other.execute("TRUNCATE each RESTART IDENTITY")
            if turn % 2:
                warm = [row for row in rows[::-1] if row[1] != "bad"]
                _one_by_one(session, sql, warm)
                other.execute("TRUNCATE each RESTART IDENTITY")
            if turn % 3 == 0:
                other.execute("ALTER TABLE each ADD COLUMN more int")
            count, refused = _outcome(session, kind, make, sql, rows)
            assert count == (len(expected) if failed is None else -1), (sql, rows)
            # A row that cannot be encoded is refused before the server has refused one ahead of it.
            assert refused == failed or (refused is not None and refused >= (failed or 0)), (
                sql,
                rows,
            )
            found = session.query("SELECT x, n FROM each ORDER BY k")
            assert found == expected, (sql, rows)
    Database.close()


def test_rows_that_alternate_travel_together(database: str) -> None:
    """Each list of types is described once; what follows needs no wait of its own."""
    Database.close()
    Database.configure(database, max_size=1)
    with scope():
        db().execute("CREATE TEMP TABLE alternating (t text)")
        rows = [[n] if n % 2 else [str(n)] for n in range(4000)]
        began = time.monotonic()
        assert db().execute_many("INSERT INTO alternating VALUES ($1)", rows) == 4000
        alternating = time.monotonic() - began
        began = time.monotonic()
        for n in range(400):
            db().execute("INSERT INTO alternating VALUES ($1)", [str(n)])
        assert alternating < 5 * (time.monotonic() - began)  # ten times as many, each with a wait
        assert db().query_value("SELECT sum(t::int) FROM alternating") == 7998000 + 79800
    Database.close()


def test_a_later_row_that_cannot_be_looked_at_loses_no_transaction(
    session: DbSession, kind: str
) -> None:
    class Zone(dt.tzinfo):
        def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
            raise KeyError("no offset")

        dst = utcoffset

        def tzname(self, when: dt.datetime | None) -> str:
            return "nowhere"

    session.execute("CREATE TEMP TABLE looked (t text)")
    session.begin()
    pid = session.query_value("SELECT pg_backend_pid()")
    session.execute("INSERT INTO looked VALUES ('kept')")
    bad = dt.datetime(2024, 1, 1, tzinfo=Zone())
    for make in (_list, _iterator, _aiterator):
        with pytest.raises(KeyError, match="no offset"):
            _many(session, kind, make, "INSERT INTO looked VALUES ($1)", [["a"], [1], [bad]])
    session.commit()
    assert session.query("SELECT t FROM looked") == [{"t": "kept"}]
    assert session.query_value("SELECT pg_backend_pid()") == pid
