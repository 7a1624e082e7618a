"""Each test of listeners has the module's database as "default"."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hypern.database import Database


@pytest.fixture(autouse=True)
def _configured(database: str) -> Iterator[None]:
    Database.close()
    Database.configure(database, max_size=4, acquire_timeout_secs=20)
    yield
    Database.close()
