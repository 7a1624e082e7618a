"""What type checkers know of SQL and parameters: `make lint` has mypy and pyright check this."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from typing_extensions import assert_type

from hypern.database import AsyncDbSession, Column, DbSession
from hypern.errors import Error, TooManyRows
from hypern.session.batch import AsyncBatch, Batch
from hypern.sql import Query, Template, identifier, join, sql

Row = dict[str, Any]


def templates() -> None:
    assert_type(sql("SELECT {}, {b}", 1, b=2), Template)
    assert_type(identifier("public", "users"), Template)
    assert_type(join(", ", [identifier("a"), sql("b")]), Template)
    assert_type(join(sql(" OR "), (sql("a") for _ in range(3))), Template)
    assert_type(sql("SELECT ") + sql("1"), Template)
    identifier(1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    join(", ", ["a"])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]


def mine(session: DbSession, query: Query) -> list[Row]:
    """What a team writes that wants literals and templates only."""
    return session.query(query)


def literals(session: DbSession, text: str) -> None:
    mine(session, "SELECT 1")
    mine(session, sql("SELECT {}", 1))
    mine(session, text)  # pyright: ignore[reportArgumentType] # a str to mypy, which has no literals


def blocking(session: DbSession, t: Template) -> None:
    assert_type(session.query(t), list[Row])
    assert_type(session.query("SELECT :a", {"a": 1}, timeout=1.5), list[Row])
    assert_type(session.query_one(t, strict=True), Row)
    assert_type(session.query_one_or_none("SELECT :a", {"a": 1}), Row | None)
    assert_type(session.query_value(t), Any)
    assert_type(session.query_values(t), list[Any])
    assert_type(session.execute("SELECT :a", {"a": 1}), int)
    assert_type(session.execute_many("SELECT :a", [{"a": 1}]), int)
    assert_type(session.execute_many(t, ([n] for n in range(3))), int)
    assert_type(next(session.stream(t)), Row)
    session.execute_script("SELECT 1; SELECT 2", atomic=False, timeout=1)
    session.execute_script(t)
    session.query(b"SELECT 1")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType]
    session.query("SELECT :a", {1: 2})  # type: ignore[dict-item] # pyright: ignore[reportArgumentType]
    session.execute_script(t, [1])  # type: ignore[call-arg, arg-type] # pyright: ignore[reportCallIssue]


async def awaited(session: AsyncDbSession, t: Template, rows: AsyncIterator[Row]) -> None:
    assert_type(await session.query(t), list[Row])
    assert_type(await session.query_one("SELECT :a", {"a": 1}, strict=True), Row)
    assert_type(await session.query_values(t), list[Any])
    assert_type(await session.execute_many("SELECT :a", rows), int)
    assert_type(await anext(session.stream("SELECT :a", {"a": 1})), Row)
    await session.execute_script("SELECT 1")


@dataclass
class User:
    id: int


def batches(session: DbSession, t: Template) -> None:
    assert_type(session.query_many("SELECT :a", [{"a": 1}]), list[Row])
    assert_type(session.query_many(t, [[1]], into=User, timeout=1), list[User])
    assert_type(session.query_many(t, ([n] for n in range(3)), into=tuple), list[tuple[Any, ...]])
    with session.batch(timeout=1.5) as b:
        assert_type(b, Batch)
        rows = b.query("SELECT :a", {"a": 1})
        users = b.query(t, into=User)
        one = b.query_one("SELECT $1", [1], into=User, strict=True)
        maybe = b.query_one_or_none(t)
        value, values = b.query_value(t), b.query_values(t)
        table = b.result(t)
        done = b.execute("SELECT 1")
        b.query(b"SELECT 1")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType]
    assert_type(rows.rows, list[Row])
    assert_type(users.rows, list[User])
    assert_type(one.row, User)
    assert_type(maybe.row, Row | None)
    assert_type(value.value, Any)
    assert_type(values.values, list[Any])
    assert_type(done.count, int)
    assert_type(table.columns, tuple[Column, ...])
    assert_type(table.rows, list[tuple[Any, ...]])
    assert_type(table.tag, str)


async def awaited_batches(session: AsyncDbSession, rows: AsyncIterator[Row]) -> None:
    assert_type(await session.query_many("SELECT :a", rows), list[Row])
    assert_type(await session.query_many("SELECT :a", rows, into=User), list[User])
    async with session.batch() as b:
        assert_type(b, AsyncBatch)
        users = b.query("SELECT 1", into=User)
    assert_type(users.rows, list[User])


def errors(error: Error, many: TooManyRows) -> None:
    assert_type(many.hint, str | None)
    assert_type(error.statement, int | None)
    assert_type(error.index, int | None)
    assert_type(error.line, int | None)
