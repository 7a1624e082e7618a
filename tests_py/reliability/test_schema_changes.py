"""DDL of another session changes what a cached statement was made for: that costs no error."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from reliability.own_server import OwnServer
from reliability.tally import Tally

from hypern import errors
from hypern.database import Database, DbSession, adb, db, scope


@pytest.fixture
def one_connection(own_server: OwnServer) -> Iterator[None]:
    """The alias "one", a single connection whose statements stay cached, and a table `changing`."""
    _change("CREATE TYPE mood AS ENUM ('old')", "CREATE TABLE changing (n int, kind mood)")
    Database.configure(own_server.admin, alias="one", max_size=1, acquire_timeout_secs=10)
    yield
    Database.close("one")
    _change("DROP TABLE changing", "DROP TYPE mood")


def _change(*statements: str) -> None:
    with scope():
        for statement in statements:
            db(alias="admin").execute(statement)


def test_a_changed_schema_is_no_error_outside_a_transaction(
    one_connection: None, tally: Tally
) -> None:
    """Another session changes what a statement's plan was made for."""
    changes = [
        "ALTER TABLE changing ALTER n TYPE text",
        "ALTER TABLE changing ADD COLUMN more int",
        "ALTER TABLE changing ALTER n TYPE int USING 1",
        "DROP TABLE changing; CREATE TABLE changing (n numeric, kind mood)",
        "DROP TABLE changing; DROP TYPE mood; CREATE TYPE mood AS ENUM ('new');"
        "CREATE TABLE changing (n int, kind mood)",
        "ALTER TYPE mood ADD VALUE 'newer'",
        "ALTER TABLE changing RENAME COLUMN n TO m; ALTER TABLE changing ADD COLUMN n bigint",
    ]
    with scope():
        admin = db(alias="admin")
        for change in random.sample(changes[:2], 2) + changes[2:]:
            with scope():
                for _ in range(2):
                    db(alias="one").query("SELECT * FROM changing WHERE n::text <> $1", ["2"])
                    db(alias="one").execute("INSERT INTO changing (n) VALUES (1)")
            for statement in change.split(";"):
                admin.execute(statement)
            with scope():
                rows = db(alias="one").query("SELECT * FROM changing WHERE n::text <> $1", ["2"])
                assert all("n" in row for row in rows)
    tally.add("a schema changed by another session", len(changes), "no error outside transactions")


_MANY = 5000  # rows of several batches

_NEW_MOOD = (
    "DROP TABLE changing",
    "DROP TYPE mood",
    "CREATE TYPE mood AS ENUM ('new')",
    "CREATE TABLE changing (n int, kind mood)",
)
# the statement, a value that fits before, what changes, a value that fits then
_CHANGES: dict[str, tuple[str, Any, tuple[str, ...], Any]] = {
    "to a type that the value does not fit by itself": (
        "INSERT INTO changing (n) VALUES ($1)",
        1,
        ("ALTER TABLE changing ALTER n TYPE bool USING true",),
        True,
    ),
    "to a type that the server reads": (
        "INSERT INTO changing (n) VALUES ($1)",
        1,
        ("ALTER TABLE changing ALTER n TYPE date USING NULL",),
        "2026-01-01",
    ),
    "to jsonb": (
        "INSERT INTO changing (n) VALUES ($1)",
        1,
        ("ALTER TABLE changing ALTER n TYPE jsonb USING to_jsonb(n)",),
        {"a": 1},
    ),
    "an enum dropped and made anew": (
        "INSERT INTO changing (kind) VALUES ($1)",
        "old",
        _NEW_MOOD,
        "new",
    ),
    "a column dropped and made anew": (
        "INSERT INTO changing (n) VALUES ($1)",
        1,
        ("ALTER TABLE changing DROP n", "ALTER TABLE changing ADD n uuid"),
        "7f7cbfc4-8d4f-4d57-a1b5-6f0f1d6f5b3a",
    ),
}


def _list(session: DbSession, sql: str, value: Any, count: int) -> int:
    return session.execute_many(sql, [[value]] * count)


def _generator(session: DbSession, sql: str, value: Any, count: int) -> int:
    return session.execute_many(sql, ([value] for _ in range(count)))


def _in_a_new_transaction(session: DbSession, sql: str, value: Any, count: int) -> int:
    with session.transaction():
        return session.execute_many(sql, ([value] for _ in range(count)))


def _awaited(session: DbSession, sql: str, value: Any, count: int) -> int:
    async def run() -> int:
        rows = ([value] for _ in range(count))
        done: int = await adb(session.request_id, alias="one").execute_many(sql, rows)
        return done

    return asyncio.run(run())


_Ways = Callable[[DbSession, str, Any, int], int]


@pytest.mark.parametrize("way", [_list, _generator, _in_a_new_transaction, _awaited])
@pytest.mark.parametrize("change", _CHANGES)
def test_execute_many_runs_anew_with_every_row(
    one_connection: None, tally: Tally, full: bool, change: str, way: _Ways
) -> None:
    sql, before, statements, after = _CHANGES[change]
    count = _MANY if full or way is _generator else 3
    with scope():
        assert way(db(alias="one"), sql, before, count) == count
    _change(*statements)
    _change("DELETE FROM changing")
    with scope():
        assert way(db(alias="one"), sql, after, count) == count
        assert db(alias="one").query_value("SELECT count(*) FROM changing") == count
    tally.add("`execute_many` after another session's DDL", 1, "no error; each row once")


def test_rows_that_are_wrong_are_not_taken_for_a_change(one_connection: None) -> None:
    sql = "INSERT INTO changing (n) VALUES ($1)"
    read: list[int] = []

    def rows(bad: int, value: Any) -> Iterator[list[Any]]:
        for n in range(_MANY):
            read.append(n)
            yield [value if n == bad else n]

    with scope():
        session = db(alias="one")
        session.execute_many(sql, [[1]])
        session.execute("DELETE FROM changing")
        for bad in (0, 7, _MANY - 1):
            for value, error in (
                ("x", errors.InvalidTextRepresentation),
                (2**40, (OverflowError, errors.DataError)),
                (object(), TypeError),
            ):
                read.clear()
                with pytest.raises(error) as caught:
                    session.execute_many(sql, rows(bad, value))
                if isinstance(caught.value, errors.Error) and value == "x":
                    assert caught.value.row == bad
                assert read == sorted(set(read)), "rows were taken from the iterator twice"
                assert session.query_value("SELECT count(*) FROM changing") == 0
        assert session.execute_many(sql, rows(-1, None)) == _MANY


def test_inside_a_transaction_the_change_is_told_once(one_connection: None) -> None:
    sql = "INSERT INTO changing (kind) VALUES ($1)"
    with scope():
        db(alias="one").execute_many(sql, [["old"]])
    _change(*_NEW_MOOD)
    with scope():
        session = db(alias="one")
        session.begin()
        session.query_value("SELECT 1")
        with pytest.raises(errors.DatabaseError):
            session.execute_many(sql, [["new"]])
        session.rollback()
        assert session.execute_many(sql, [["new"]]) == 1
