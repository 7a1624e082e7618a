"""Tests that test_pytest_plugin.py runs with the plugin, in a pytest of its own: COPY by sessions
of `db_session` that take turns on its connection. The table `notes` is that module's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from either import db, finalize_db, scope
from nested_notes import add, found

from hypern import database, errors

pytest_plugins = ("nested_notes",)

SERIES = "SELECT n FROM generate_series(1, 5000) n"


def test_rows_go_in_for_all_sessions() -> None:
    assert db("a").copy_in("notes", [(n,) for n in range(3)]) == 3
    assert found() == [0, 1, 2]
    assert db("b").copy_in_raw("COPY notes FROM STDIN", b"3\n4\n") == 2
    assert [row["n"] for row in db("c").copy_out("SELECT n FROM notes ORDER BY n")] == found()
    assert b"".join(db("c").copy_out_raw("COPY (SELECT 7) TO STDOUT")) == b"7\n"
    assert found() == [0, 1, 2, 3, 4]


def test_what_a_session_rolls_back_is_gone() -> None:
    first = db("a").begin()
    first.copy_in("notes", [(1,)])
    second = db("b").begin()
    second.copy_in_raw("COPY notes FROM STDIN", b"2\n")
    second.rollback()
    first.commit()
    assert found() == [1]
    with pytest.raises(errors.DataError), scope(atomic=True):  # noqa: PT012
        db().copy_in("notes", [(5,)])
        db().copy_in("notes", [("x",)])
    with scope(atomic=True):
        db().copy_in("notes", [(6,)])
    assert found() == [1, 6]


def test_a_copy_that_fails_undoes_itself_alone() -> None:
    session = db("a")
    with session.transaction():
        add(session, 1)
        with pytest.raises(errors.DataError) as caught:
            session.copy_in("notes", [(2,), ("x",)])
        assert caught.value.row == 1
        with pytest.raises(errors.DataError), session.transaction():
            session.copy_in_raw("COPY notes FROM STDIN", b"x\n")
        add(session, 3)
    assert found() == [1, 3]
    db("b").begin()
    with pytest.raises(errors.DataError):
        db("b").copy_in_raw("COPY notes FROM STDIN", b"x\n")
    with pytest.raises(errors.InFailedSqlTransaction):
        add(db("b"), 4)
    db("b").rollback()
    assert found() == [1, 3]


def test_an_iterable_that_raises_undoes_its_copy() -> None:
    def rows() -> Iterator[Any]:
        yield (1,)
        raise KeyError

    with pytest.raises(KeyError):
        db("a").copy_in("notes", rows())
    with pytest.raises(KeyError):
        db("a").copy_in_raw("COPY notes FROM STDIN", (b"%d\n" % row for row in rows()))
    assert found() == []


def test_an_iterable_that_uses_its_session_is_refused() -> None:
    def rows() -> Iterator[Any]:
        yield (1,)
        database.db("a").query_value("SELECT 1")
        yield (2,)

    with pytest.raises(errors.InterfaceError):
        db("a").copy_in("notes", rows())
    assert found() == []


def test_copies_out_are_read_side_by_side() -> None:
    add(db("c"), 1)
    first, second = db("a").copy_out(SERIES), db("b").copy_out_raw(f"COPY ({SERIES}) TO STDOUT")
    assert next(first)["n"] == 1
    assert next(second).startswith(b"1\n")
    add(db("c"), 2)
    assert [row["n"] for row in first] == list(range(2, 5001))
    second.close()
    with db("a").copy_out(SERIES) as rows:
        next(rows)
    begun = db("a").copy_out(SERIES)
    next(begun)
    finalize_db("a")
    assert found() == [1, 2]


def test_a_copy_by_another_method_is_refused() -> None:
    for sql in ("COPY notes FROM STDIN", "COPY notes TO STDOUT"):
        for n in range(3):
            with pytest.raises(errors.NotSupportedError, match="copy_in_raw"):
                db("a").execute(sql)
            assert db("b").query_value(f"SELECT {n}") == n
    assert found() == []
