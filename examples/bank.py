"""What the example applications have in common: accounts, and transfers between them.

Nothing here commits, rolls back or releases anything: that happens at the end of the request.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from hypern.database import Database, adb, db, scope
from hypern.sql import sql

URL = os.environ.get("DATABASE_URL", "postgresql://localhost/hypern_example")


@dataclass
class Account:
    """An account as a row."""

    id: int
    name: str
    balance: Decimal


class NoAccountError(LookupError):
    """There is no account with that number."""


def configure() -> None:
    """Configure the database. This does not connect, so it may come before a fork."""
    Database.configure(URL, max_size=8, application_name=os.environ.get("HYPERN_EXAMPLE", "bank"))


def create_tables() -> None:
    """Create the tables if they do not exist; several workers may do so at the same time."""
    with scope("create the tables"):
        session = db()
        with session.transaction():
            session.query("SELECT pg_advisory_xact_lock(1)")
            session.execute(
                """
                CREATE TABLE IF NOT EXISTS accounts (
                    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                    name text NOT NULL,
                    balance numeric NOT NULL CHECK (balance >= 0)
                )
                """
            )


def open_account(name: str, balance: Decimal) -> int:
    """Open an account and return its number."""
    number: int = db().query_value(
        "INSERT INTO accounts (name, balance) VALUES ($1, $2) RETURNING id", [name, balance]
    )
    return number


def account(number: int) -> Account:
    """An account."""
    found = db().query_one_or_none(
        "SELECT id, name, balance FROM accounts WHERE id = $1", [number], into=Account
    )
    if found is None:
        raise NoAccountError(f"no account {number}")
    return found


# Every transfer locks in the same order, so two transfers cannot deadlock.
_LOCK = "SELECT id FROM accounts WHERE id = ANY($1) ORDER BY id FOR UPDATE"
_ADD = "UPDATE accounts SET balance = balance + :change WHERE id = :number"


def transfer(source: int, target: int, amount: Decimal) -> None:
    """Move money. An overdraft violates a constraint and raises CheckViolation."""
    session = db()
    session.begin()
    session.query(_LOCK, [[source, target]])
    for number, change in ((source, -amount), (target, amount)):
        if not session.execute(_ADD, {"change": change, "number": number}):
            # If the target does not exist, the debit of the source is rolled back, too.
            raise NoAccountError(f"no account {number}")


async def atransfer(source: int, target: int, amount: Decimal) -> None:
    """The same for coroutines; the event loop is free while the server works."""
    session = adb()
    await session.begin()
    await session.query(_LOCK, [[source, target]])
    for number, change in ((source, -amount), (target, amount)):
        if not await session.execute(_ADD, {"change": change, "number": number}):
            raise NoAccountError(f"no account {number}")


def lines() -> Iterator[str]:
    """All accounts, one per line, read while they are sent."""
    last = 0
    # On CPython 3.14 this is t"... WHERE id > {last} ...".
    text = "SELECT id, name, balance FROM accounts WHERE id > {last} ORDER BY id LIMIT 100"
    while rows := db().query(sql(text, last=last), into=Account):
        for row in rows:
            yield f"{row.id} {row.balance}\n"
        last = rows[-1].id
