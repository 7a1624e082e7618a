"""What the web tests' handlers do to the table of the fixture `ledger`, and a look at it."""

from __future__ import annotations

import pytest

from hypern.database import DbSession, db, scope
from hypern.errors import UniqueViolation


def write(n: int, session: DbSession | None = None) -> DbSession:
    """Add a number in a transaction that is left open. A second one of a kind fails at commit."""
    session = db() if session is None else session
    if not session.is_in_transaction:
        session.begin()
    session.execute("INSERT INTO ledger VALUES ($1)", [n])
    return session


# Two equal numbers, which COMMIT refuses.
DUPLICATES = "INSERT INTO ledger SELECT 1 FROM generate_series(1, 3) RETURNING n"


def leave_stream(sql: str = DUPLICATES) -> None:
    """Leave a stream early: its transaction, which the session does not show, is still open."""
    for _ in db().stream(sql, chunk_rows=1):
        break


def committed() -> list[int]:
    """What others see in the table."""
    with scope():
        return [row["n"] for row in db().query("SELECT n FROM ledger ORDER BY n")]


def abort() -> None:
    """Break a transaction, and go on as if nothing had happened."""
    write(1)
    with pytest.raises(UniqueViolation):
        db().execute("DO $$ BEGIN RAISE unique_violation; END $$")
