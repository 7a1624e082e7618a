"""Fixtures for the web tests: a table whose commit can fail, and proof that nothing stays held."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import wait_until

from hypern.database import Database, db, scope


@pytest.fixture
def ledger(configured: str) -> Iterator[str]:
    """The table `ledger` (n int, unique, checked at commit), empty; the database's URL.

    Afterwards no connection may be held.
    """
    with scope():
        db().execute("DROP TABLE IF EXISTS ledger")
        db().execute("CREATE TABLE ledger (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    yield configured
    wait_until(lambda: Database.status().in_use == 0)
