"""What the example applications have in common: accounts, and transfers between them.

Nothing here commits, rolls back or releases anything: that happens where the request ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hypern.database import Database, adb, db, scope

URL = os.environ.get("DATABASE_URL", "postgresql://localhost/hypern_example")


class NoAccountError(LookupError):
    """There is no account of that number."""


def configure() -> None:
    """Say where the database is. Connects to nothing, so it may come before a fork."""
    Database.configure(URL, max_size=8, application_name=os.environ.get("HYPERN_EXAMPLE", "bank"))


def create_tables() -> None:
    """Create the tables, unless they are there; several workers may do so at the same time."""
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
    """A new account's number."""
    number: int = db().query_value(
        "INSERT INTO accounts (name, balance) VALUES ($1, $2) RETURNING id", [name, balance]
    )
    return number


def account(number: int) -> dict[str, Any]:
    """An account as a row: id, name, balance."""
    row = db().query_one_or_none("SELECT id, name, balance FROM accounts WHERE id = $1", [number])
    if row is None:
        raise NoAccountError(f"no account {number}")
    return row


# Locked in one order by everybody, so that two transfers cannot wait for each other.
_LOCK = "SELECT id FROM accounts WHERE id = ANY($1) ORDER BY id FOR UPDATE"
_ADD = "UPDATE accounts SET balance = balance + $1 WHERE id = $2"


def transfer(source: int, target: int, amount: Decimal) -> None:
    """Move money. More than the source has violates a constraint, CheckViolation."""
    session = db()
    session.begin()
    session.query(_LOCK, [[source, target]])
    for number, change in ((source, -amount), (target, amount)):
        if not session.execute(_ADD, [change, number]):
            # Where it is the target that does not exist, the source keeps its money.
            raise NoAccountError(f"no account {number}")


async def atransfer(source: int, target: int, amount: Decimal) -> None:
    """The same for coroutines: the event loop goes on while the server works."""
    session = adb()
    await session.begin()
    await session.query(_LOCK, [[source, target]])
    for number, change in ((source, -amount), (target, amount)):
        if not await session.execute(_ADD, [change, number]):
            raise NoAccountError(f"no account {number}")


def lines() -> Iterator[str]:
    """All accounts, a line each, read while they are sent."""
    last = 0
    while rows := db().query(
        "SELECT id, balance FROM accounts WHERE id > $1 ORDER BY id LIMIT 100", [last]
    ):
        for row in rows:
            yield f"{row['id']} {row['balance']}\n"
        last = rows[-1]["id"]
