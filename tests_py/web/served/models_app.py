"""Handlers of FastAPI that return what `into=` makes: pydantic models, dataclasses, structs.

FastAPI validates a response against the handler's type, and serializes it by that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from hypern.database import Database
from hypern.errors import RowMismatch
from hypern.middleware.fastapi import AsyncSession, DatabaseMiddleware, Session

Database.configure(os.environ["DATABASE_URL"], max_size=4)
app = FastAPI()
app.add_middleware(DatabaseMiddleware)

PEOPLE = """
SELECT n AS id, 'name ' || n AS name, n * 1.50 AS balance,
    '2024-02-03 04:05+00'::timestamptz AS since,
    CASE WHEN n = 1 THEN 'gold' ELSE 'plain' END AS rank,
    json_build_array(json_build_object('street', 'street ' || n)) AS addresses
FROM generate_series(1, $1::int) AS n
"""


class Rank(Enum):
    GOLD = "gold"
    PLAIN = "plain"


class Address(BaseModel):
    street: str


class Person(BaseModel):
    id: int
    name: str
    balance: Decimal
    since: datetime
    rank: Rank
    addresses: list[Address]


class Public(BaseModel):
    """What a response shows of a person; the rest is filtered by FastAPI."""

    id: int
    label: str = Field(validation_alias="name")


@dataclass
class Street:
    street: str


@dataclass
class PersonData:
    id: int
    name: str
    balance: Decimal
    since: datetime
    rank: Rank
    addresses: list[Street]


@app.get("/accounts/0")
def ready() -> str:
    """What the test waits for."""
    return "ready"


@app.get("/people/{count}")
def people(count: int, session: Session) -> list[Person]:
    return session.query(PEOPLE, [count], into=Person)


@app.get("/people/{count}/awaited")
async def awaited_people(count: int, session: AsyncSession) -> list[Person]:
    return await session.query(PEOPLE, [count], into=Person)


@app.get("/data/{count}")
async def data(count: int, session: AsyncSession) -> list[PersonData]:
    return [person async for person in session.stream(PEOPLE, [count], into=PersonData)]


@app.get("/public", response_model=Public)
def public(session: Session) -> Any:
    return session.query_one(PEOPLE, [1], into=Public)


@app.get("/person/{number}")
def person(number: int, session: Session) -> Person:
    found = session.query_one_or_none(
        f"SELECT * FROM ({PEOPLE}) AS people WHERE id = $2", [3, number], into=Person
    )
    if found is None:
        raise HTTPException(404, "nobody")
    return found


@app.get("/mismatch")
def mismatch(session: Session) -> str:
    try:
        session.query("SELECT 1 AS other", into=PersonData)
    except RowMismatch as error:
        return str(error)
    return "it was not noticed"
