"""What type checkers know of `into=`: mypy and pyright check this; nothing runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
from typing_extensions import assert_type

from hypern.database import AsyncDbSession, Column, DbSession, Description, Parameter, Result

T = TypeVar("T")
Row = dict[str, Any]


@dataclass
class Data:
    id: int


@dataclass
class Page(Generic[T]):
    item: T


class Named(NamedTuple):
    id: int


class Typed(TypedDict):
    id: int


class Struct(msgspec.Struct):
    id: int


@attrs.define
class Attrs:
    id: int


class Model(pydantic.BaseModel):
    id: int


def function(id: int, name: str = "") -> bytes:
    return b""


def blocking(session: DbSession) -> None:
    assert_type(session.query("SELECT 1"), list[Row])
    assert_type(session.query("SELECT 1", into=dict), list[Row])
    assert_type(session.query("SELECT 1", into=tuple), list[tuple[Any, ...]])
    assert_type(session.query("SELECT $1", [1], into=Data, timeout=1), list[Data])
    assert_type(session.query("SELECT 1", into=Page[int]), list[Page[int]])
    assert_type(session.query("SELECT 1", into=Named), list[Named])
    assert_type(session.query("SELECT 1", into=Typed), list[Typed])
    assert_type(session.query("SELECT 1", into=Struct), list[Struct])
    assert_type(session.query("SELECT 1", into=Attrs), list[Attrs])
    assert_type(session.query("SELECT 1", into=Model), list[Model])
    assert_type(session.query("SELECT 1", into=function), list[bytes])
    assert_type(session.query_one("SELECT 1"), Row)
    assert_type(session.query_one("SELECT 1", into=tuple, strict=True), tuple[Any, ...])
    assert_type(session.query_one("SELECT 1", into=Data), Data)
    assert_type(session.query_one("SELECT 1", into=function), bytes)
    assert_type(session.query_one_or_none("SELECT 1"), Row | None)
    assert_type(session.query_one_or_none("SELECT 1", into=Data), Data | None)
    assert_type(session.query_one_or_none("SELECT 1", into=Typed), Typed | None)
    for row in session.stream("SELECT 1", into=Data, chunk_rows=10):
        assert_type(row, Data)
    with session.stream("SELECT 1", into=tuple) as rows:
        assert_type(next(rows), tuple[Any, ...])
        assert_type(rows.columns, tuple[Column, ...])
    for plain in session.stream("SELECT 1"):
        assert_type(plain, Row)
    result = session.result("SELECT 1", [1])
    assert_type(result, Result)
    assert_type(result.columns, tuple[Column, ...])
    assert_type(result.rows, list[tuple[Any, ...]])
    assert_type(result.count, int)
    assert_type(result.tag, str)
    described = session.describe("SELECT 1")
    assert_type(described, Description)
    assert_type(described.parameters, tuple[Parameter, ...])
    assert_type(described.columns[0].nullable, bool | None)


async def awaited(session: AsyncDbSession) -> None:
    assert_type(await session.query("SELECT 1"), list[Row])
    assert_type(await session.query("SELECT 1", into=dict), list[Row])
    assert_type(await session.query("SELECT 1", into=tuple), list[tuple[Any, ...]])
    assert_type(await session.query("SELECT $1", [1], into=Data, timeout=1), list[Data])
    assert_type(await session.query("SELECT 1", into=Page[int]), list[Page[int]])
    assert_type(await session.query("SELECT 1", into=Typed), list[Typed])
    assert_type(await session.query("SELECT 1", into=Model), list[Model])
    assert_type(await session.query("SELECT 1", into=function), list[bytes])
    assert_type(await session.query_one("SELECT 1", into=Struct, strict=True), Struct)
    assert_type(await session.query_one_or_none("SELECT 1", into=Named), Named | None)
    async for row in session.stream("SELECT 1", into=Attrs):
        assert_type(row, Attrs)
    async with session.stream("SELECT 1", into=Data) as rows:
        assert_type(await anext(rows), Data)
        assert_type(rows.columns, tuple[Column, ...])
    assert_type(await session.result("SELECT 1"), Result)
    assert_type(await session.describe("SELECT 1"), Description)


def refused(session: DbSession) -> None:
    session.query("SELECT 1", into=5)  # type: ignore[call-overload]  # pyright: ignore
    session.query_value("SELECT 1", into=Data)  # type: ignore[call-arg]  # pyright: ignore
