"""query_many: the rows that a statement returns for each of many, in the order of the input."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from either import db, finalize_db, scope
from test_pgbouncer import started

from hypern import errors
from hypern.database import Database, DbSession, adb
from hypern.database import db as plain_db
from hypern.database import scope as plain_scope
from hypern.sql import identifier, sql

pytestmark = pytest.mark.usefixtures("kind")

INSERT = "INSERT INTO users (name, age) VALUES ($1, $2) RETURNING id, name"


@pytest.fixture(autouse=True)
def users(database: str, configured: str) -> Iterator[None]:
    Database.configure(database, max_size=1, alias="admin")
    with plain_scope():
        plain_db(alias="admin").execute(
            "CREATE TABLE users (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, "
            "name text NOT NULL, age int CONSTRAINT positive CHECK (age >= 0))"
        )
    yield
    finalize_db("the test")
    Database.close("admin")
    Database.configure(database, max_size=1, alias="admin")
    with plain_scope():
        plain_db(alias="admin").execute("DROP TABLE users")
    Database.close("admin")


def test_the_rows_come_in_the_order_of_the_input(session: DbSession) -> None:
    assert session.query_many(INSERT, [["Ann", 1], ("Bob", 2)]) == [
        {"id": 1, "name": "Ann"},
        {"id": 2, "name": "Bob"},
    ]
    made = session.query_many(INSERT, ((f"user {n}", n) for n in range(5000)))
    assert made == [{"id": n + 3, "name": f"user {n}"} for n in range(5000)]
    assert session.query_many(INSERT, []) == []
    assert session.query_value("SELECT count(*) FROM users") == 5002
    assert session.state == "connected"


def test_a_row_may_return_no_row_or_several(session: DbSession) -> None:
    counts = [0, 3, 1, 0, 2]
    found = session.query_many(
        "SELECT $1::int AS n, i FROM generate_series(1, $1::int) i", [[n] for n in counts]
    )
    assert found == [{"n": n, "i": i} for n in counts for i in range(1, n + 1)]
    assert session.query_many("UPDATE users SET age = $1", [[1], [2]]) == []


def test_all_rows_or_none_and_the_row_is_named(session: DbSession) -> None:
    with pytest.raises(errors.CheckViolation) as caught:
        session.query_many(INSERT, [["a", 1], ["b", 2], ["c", -1], ["d", 3]])
    assert caught.value.row == 2
    with pytest.raises(errors.ParameterTypeError, match="row 1") as refused:
        session.query_many(INSERT, [["a", 1], ["b", object()]])
    assert refused.value.row == 1
    dates = "INSERT INTO users (name) VALUES ($1) RETURNING $2::text::date AS day"
    with pytest.raises(errors.DataError, match="day") as unreadable:
        session.query_many(
            dates, [["a", "2024-01-01"], ["b", "2024-01-01 BC"], ["c", "2024-01-01"]]
        )
    assert unreadable.value.row == 1
    assert session.query_value("SELECT count(*) FROM users") == 0
    with pytest.raises(errors.ProgrammingError, match="query_many does not take transaction"):
        session.query_many("COMMIT", [[], []])


def test_inside_a_transaction_it_is_a_savepoint(session: DbSession) -> None:
    with session.transaction():
        assert len(session.query_many(INSERT, [["a", 1], ["b", 2]])) == 2
        with pytest.raises(errors.CheckViolation) as caught:
            session.query_many(INSERT, [["c", 1], ["d", -2]])
        assert caught.value.row == 1
        assert session.query_value("SELECT count(*) FROM users") == 2
    assert session.query_value("SELECT count(*) FROM users") == 2


def test_an_iterable_that_fails_leaves_nothing(session: DbSession) -> None:
    def rows() -> Iterator[list[Any]]:
        yield ["a", 1]
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        session.query_many(INSERT, rows())
    assert session.query_value("SELECT count(*) FROM users") == 0


def test_names_and_templates(session: DbSession) -> None:
    named = "INSERT INTO users (name, age) VALUES (:name, :age) RETURNING name || :age AS both"
    assert session.query_many(named, [{"name": "a", "age": 1}, {"age": 2, "name": "b"}]) == [
        {"both": "a1"},
        {"both": "b2"},
    ]
    template = sql("INSERT INTO {} (name) VALUES ($1) RETURNING name", identifier("users"))
    assert session.query_many(template, [["c"], ["d"]]) == [{"name": "c"}, {"name": "d"}]


def test_rows_of_changing_types_are_read_by_their_own_description(session: DbSession) -> None:
    values = [1, "a", 2.5, None, 10**12, True, "b", 3, None, "c"]
    found = session.query_many("SELECT $1 AS v", [[v] for v in values])
    assert [row["v"] for row in found] == values
    many = [v for v, _ in zip(itertools.cycle(values), range(2000), strict=False)]
    found = session.query_many("SELECT $1 AS v", ([v] for v in many))
    assert [row["v"] for row in found] == many


@dataclass
class User:
    id: int
    name: str


class Value(NamedTuple):
    v: Any


def test_rows_of_classes(session: DbSession) -> None:
    assert session.query_many(INSERT, [["a", 1], ["b", 2]], into=User) == [
        User(1, "a"),
        User(2, "b"),
    ]
    assert session.query_many(INSERT, [["c", 1]], into=tuple) == [(3, "c")]
    values = [1, "a", 2.5, None, "b", 3]
    found = session.query_many("SELECT $1 AS v", [[v] for v in values], into=Value)
    assert found == [Value(v) for v in values]
    with pytest.raises(errors.RowMismatch, match="name"):
        session.query_many("INSERT INTO users (name) VALUES ($1) RETURNING id", [["d"]], into=User)
    assert session.query_value("SELECT count(*) FROM users") == 3


def test_a_class_that_raises_leaves_nothing(session: DbSession) -> None:
    class Picky:
        def __init__(self, id: int, name: str) -> None:
            if name == "user 57":
                raise LookupError("no more")

    with pytest.raises(LookupError, match="no more") as caught:
        session.query_many(INSERT, ((f"user {n}", n) for n in range(3000)), into=Picky)
    assert caught.value.row == 57  # type: ignore[attr-defined]
    assert session.query_value("SELECT count(*) FROM users") == 0


def test_both_sides_write_much_at_once(session: DbSession) -> None:
    big = "x" * 2_000_000
    found = session.query_many("SELECT $1::text AS v, $2::int AS n", ([big, n] for n in range(30)))
    assert [row["n"] for row in found] == list(range(30))
    assert all(row["v"] == big for row in found)


@pytest.mark.parametrize("cache", ["named", "describe", "off"])
def test_a_statement_that_has_become_stale_is_described_anew(
    database: str, kind: str, cache: Any
) -> None:
    Database.configure(database, max_size=1, statement_cache=cache, alias="mine")
    text = "UPDATE users SET age = $1 RETURNING *"
    with scope("r"), plain_scope("o"):
        session, other = db("r", alias="mine"), plain_db("o", alias="admin")
        session.execute("INSERT INTO users (name) VALUES ('a')")
        assert session.query_many(text, [[1], [2]]) == [
            {"id": 1, "name": "a", "age": 1},
            {"id": 1, "name": "a", "age": 2},
        ]

        other.execute("ALTER TABLE users DROP CONSTRAINT positive")
        other.execute("ALTER TABLE users ALTER age TYPE text USING age::text")
        if cache == "describe":  # the columns are compared as the rows come
            with pytest.raises(errors.FeatureNotSupported, match="columns"):
                session.query_many(text, [["3"], ["4"]])
            assert session.query_value("SELECT age FROM users") == "2"
        found = session.query_many(text, (row for row in [["3"], ["4"]]))
        assert found == [
            {"id": 1, "name": "a", "age": "3"},
            {"id": 1, "name": "a", "age": "4"},
        ]
    Database.close("mine")


def test_the_hook_has_the_number_of_rows(session: DbSession) -> None:
    seen: list[tuple[str, int]] = []
    Database.on_statement(lambda text, seconds, rows, sqlstate: seen.append((text, rows)))
    try:
        session.query_many(INSERT, [["a", 1], ["b", 2], ["c", 3]])
    finally:
        Database.on_statement(None)
    assert seen == [(INSERT, 3)]


def test_execute_many_says_once_that_it_drops_rows(
    session: DbSession, caplog: pytest.LogCaptureFixture
) -> None:
    text = f"{INSERT}, 'of {session.query_value('SELECT txid_current()')}' AS x"
    with caplog.at_level(logging.WARNING, logger="hypern"):
        assert session.execute_many(text, [["a", 1], ["b", 2]]) == 2
        assert session.execute_many(text, [["c", 1]]) == 1
        session.execute_many("INSERT INTO users (name) VALUES ($1)", [["d"]])
        session.query_many(INSERT, [["e", 1]])
    (record,) = caplog.records
    assert "query_many returns them" in record.getMessage()
    assert text in record.getMessage()


def test_composites_are_guarded(session: DbSession) -> None:
    session.execute("CREATE TYPE pair AS (a int, b text)")
    try:
        text = "SELECT $1::pair AS p, ($1::pair).a AS a"
        for _ in range(2):
            found = session.query_many(text, [[{"a": n, "b": str(n)}] for n in range(3)])
            assert found == [{"p": {"a": n, "b": str(n)}, "a": n} for n in range(3)]
    finally:
        session.execute("DROP TYPE pair")


def test_behind_a_pooler(database: str, kind: str) -> None:
    Database.close()
    with started(database, "transaction", 2) as bouncer:
        Database.configure(bouncer.url, max_size=4, acquire_timeout_secs=20)
        for n in range(4):
            with scope():
                found = db().query_many(INSERT, [[f"a{n}", 1], [f"b{n}", 2]])
                assert [row["name"] for row in found] == [f"a{n}", f"b{n}"]
        with scope():
            db().execute("CREATE TYPE pair AS (a int, b text)")
            text = "SELECT $1::pair AS p, $2 AS v"
            for _ in range(2):
                found = db().query_many(text, [[{"a": n, "b": str(n)}, n] for n in range(3)])
                assert found == [{"p": {"a": n, "b": str(n)}, "v": n} for n in range(3)]
            db().execute("DROP TYPE pair")
            db().execute("ALTER TABLE users DROP CONSTRAINT positive")
            db().execute("ALTER TABLE users ALTER age TYPE text USING age::text")
            assert db().query_many("UPDATE users SET age = $1 RETURNING age", [["x"]])[0]
            with pytest.raises(errors.NotNullViolation) as caught:
                db().query_many(INSERT.replace("$2", "$2::text"), [["c", "1"], [None, "1"]])
            assert caught.value.row == 1
        Database.close()


async def _rows(n: int) -> AsyncIterator[list[Any]]:
    for i in range(n):
        if i % 100 == 0:
            await asyncio.sleep(0)
        yield [f"user {i}", i]


def test_an_async_iterable(configured: str) -> None:
    async def main() -> None:
        async with plain_scope():
            found = await adb().query_many(INSERT, _rows(1500))
            assert [row["name"] for row in found] == [f"user {i}" for i in range(1500)]
            assert await adb().query_value("SELECT count(*) FROM users") == 1500

    asyncio.run(main())
