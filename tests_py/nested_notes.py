"""What nested_*_cases.py share, a plugin of the pytest that runs them: with `db_session`, sessions
of both kinds, and the table `notes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import either
import pytest
from either import db


@pytest.fixture(autouse=True, params=either.KINDS)
def kind(request: pytest.FixtureRequest, db_session: Any) -> Iterator[str]:
    either.choose(request.param)
    yield request.param
    either.choose("blocking")


def add(session: Any, n: int) -> None:
    session.execute("INSERT INTO notes VALUES ($1)", [n])


def found() -> list[int]:
    numbers: list[int] = db("look").query_values("SELECT n FROM notes ORDER BY n")
    return numbers
