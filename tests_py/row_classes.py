"""Classes of every kind that rows are made of, with the same three fields."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import attrs
import msgspec
import pydantic
from typing_extensions import NotRequired, TypedDict


@dataclasses.dataclass
class Data:
    id: int
    name: str
    age: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenData:
    id: int
    name: str
    age: int | None = None


@dataclasses.dataclass(kw_only=True)
class KeywordData:
    id: int
    name: str
    age: int | None = None


class Named(NamedTuple):
    id: int
    name: str
    age: int | None = None


class Struct(msgspec.Struct):
    id: int
    name: str
    age: int | None = None


class FrozenStruct(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str
    age: int | None = None


@attrs.define
class Attrs:
    id: int
    name: str
    age: int | None = None


@attrs.frozen(kw_only=True)
class FrozenAttrs:
    id: int
    name: str
    age: int | None = None


class Typed(TypedDict):
    id: int
    name: str
    age: NotRequired[int | None]


class Model(pydantic.BaseModel):
    id: int
    name: str
    age: int | None = None


class Plain:
    """A class without fields that are declared anywhere but in __init__."""

    def __init__(self, id: int, name: str, age: int | None = None) -> None:
        self.id, self.name, self.age = id, name, age

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


def function(id: int, name: str, age: int | None = None) -> Plain:
    return Plain(id, name, age)


# Those whose columns are checked before the statement runs.
CHECKED: list[Any] = [
    Data,
    FrozenData,
    KeywordData,
    Named,
    Struct,
    FrozenStruct,
    Attrs,
    FrozenAttrs,
    Plain,
    function,
]
ALL: list[Any] = [*CHECKED, Typed, Model]


def made(into: Any, **values: Any) -> Any:
    """The object that the class itself makes."""
    return into(**values)
