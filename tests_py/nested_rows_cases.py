"""Tests that test_row_mismatch.py runs with the plugin, in a pytest of its own: `into=`, result()
and describe() in a test with `db_session`. The table `notes` is that module's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import either
import pytest
from either import db
from row_classes import Data

from hypern import errors


@pytest.fixture(autouse=True, params=either.KINDS)
def kind(request: pytest.FixtureRequest, db_session: Any) -> Iterator[str]:
    either.choose(request.param)
    yield request.param
    either.choose("blocking")


INSERT = "INSERT INTO notes VALUES ($1) RETURNING n"


def found() -> list[int]:
    numbers: list[int] = db("look").query_values("SELECT n FROM notes ORDER BY n")
    return numbers


def test_rows_that_do_not_fit_are_not_inserted() -> None:
    session = db("a")
    for n in (1, 2):
        with pytest.raises(errors.RowMismatch):
            session.query(INSERT, [n], into=Data)
    assert session.query(INSERT, [3], into=tuple) == [(3,)]
    with pytest.raises(errors.RowMismatch):
        session.query_one(INSERT, [4], into=Data)
    with pytest.raises(errors.RowMismatch):
        list(session.stream(INSERT, [5], into=Data))
    with session.transaction():
        with pytest.raises(errors.RowMismatch):
            session.query(INSERT, [6], into=Data)
        session.execute(INSERT, [7])
    assert found() == [3, 7]


def test_rows_of_a_class_and_of_a_stream() -> None:
    sql = "SELECT n AS id, n::text AS name FROM generate_series(1, 3) AS n"
    three = [Data(n, str(n)) for n in (1, 2, 3)]
    assert db("a").query(sql, into=Data) == three
    assert list(db("a").stream(sql, into=Data, chunk_rows=2)) == three


def test_result_and_describe() -> None:
    done = db("a").result(INSERT, [1])
    assert (done.rows, done.count, done.tag) == ([(1,)], 1, "INSERT 0 1")
    tags = [db("a").result(sql).tag for sql in ("BEGIN", "SAVEPOINT x", "ROLLBACK")]
    assert tags == ["BEGIN", "SAVEPOINT", "ROLLBACK"]
    described = db("a").describe(INSERT)
    assert (described.parameters[0].type_name, described.columns[0].nullable) == ("int4", True)
    assert found() == [1]
