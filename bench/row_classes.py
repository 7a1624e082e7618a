"""The classes that the rows of SIX columns become, the same for every driver."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import pydantic


@dataclass
class Data:
    id: int
    name: str
    email: str
    active: bool
    score: float
    created_at: datetime


class Named(NamedTuple):
    id: int
    name: str
    email: str
    active: bool
    score: float
    created_at: datetime


class Struct(msgspec.Struct):
    id: int
    name: str
    email: str
    active: bool
    score: float
    created_at: datetime


class Model(pydantic.BaseModel):
    id: int
    name: str
    email: str
    active: bool
    score: float
    created_at: datetime


BY_WORD: dict[str, Any] = {
    "tuple": tuple,
    "namedtuple": Named,
    "dataclass": Data,
    "struct": Struct,
    "pydantic": Model,
}
