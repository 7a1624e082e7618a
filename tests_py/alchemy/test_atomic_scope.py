"""Engines in an atomic scope: commit and rollback are the session's, close leaves it alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from alchemy.engines import Kind
from alchemy.test_request_engine import ALL, add, committed
from sqlalchemy import Engine, exc, text
from sqlalchemy.orm import Session

from hypern.database import Database, db, scope
from hypern.scope.options import Begin

Body = Callable[[Engine], None]


@pytest.fixture
def atomic_engine(kind: Kind, numbers: str) -> Engine:
    """An engine on the request's session, whose first connect is done."""
    engine = kind.of_request()

    def connect() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    kind.run(connect)
    assert numbers
    return engine


def in_an_atomic_scope(kind: Kind, engine: Engine, body: Body) -> None:
    def run() -> None:
        with scope(atomic=True):
            body(engine)

    kind.run(run)


@pytest.mark.parametrize("first", ["the ORM", "db()"])
def test_close_leaves_the_transaction_alone(
    kind: Kind, atomic_engine: Engine, numbers: str, first: str
) -> None:
    def body(engine: Engine) -> None:
        if first == "db()":
            db().execute("INSERT INTO numbers VALUES (0)")
        with Session(engine) as session:
            add(session, 1)
        assert db().is_in_transaction
        with engine.connect() as connection:
            connection.execute(text("INSERT INTO numbers VALUES (2)"))
        assert committed_meanwhile() == []

    def committed_meanwhile() -> list[int]:
        with scope(atomic=False):
            return list(db().query_values(ALL))

    in_an_atomic_scope(kind, atomic_engine, body)
    assert committed(numbers) == ([0, 1, 2] if first == "db()" else [1, 2])


def test_the_request_decides(kind: Kind, atomic_engine: Engine, numbers: str) -> None:
    def failing(engine: Engine) -> None:
        with Session(engine) as session:
            add(session, 1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_an_atomic_scope(kind, atomic_engine, failing)
    assert committed(numbers) == []


@pytest.mark.parametrize("first", ["the ORM", "db()"])
def test_commit_and_rollback_are_the_sessions(
    kind: Kind, atomic_engine: Engine, numbers: str, first: str
) -> None:
    def body(engine: Engine) -> None:
        if first == "db()":
            db().execute("INSERT INTO numbers VALUES (0)")
        with Session(engine) as session:
            add(session, 1)
            db().execute("INSERT INTO numbers VALUES (2)")
            session.commit()
            assert not db().is_in_transaction
            add(session, 3)
            db().execute("INSERT INTO numbers VALUES (4)")
            session.rollback()
            assert not db().is_in_transaction
            add(session, 5)
            db().commit()
            add(session, 6)

    in_an_atomic_scope(kind, atomic_engine, body)
    expected = [1, 2, 5, 6]
    assert committed(numbers) == ([0, *expected] if first == "db()" else expected)


def test_a_block_decides_in_an_atomic_scope_too(
    kind: Kind, atomic_engine: Engine, numbers: str
) -> None:
    def body(engine: Engine) -> None:
        with suppress(ZeroDivisionError), db().transaction():
            with Session(engine) as session, session.begin():
                add(session, 1)
            raise ZeroDivisionError
        with db().transaction(), Session(engine) as session:
            add(session, 2)
            session.rollback()
            add(session, 3)
            session.commit()
            add(session, 4)
        assert db().is_in_transaction

    in_an_atomic_scope(kind, atomic_engine, body)
    assert committed(numbers) == [3, 4]


def test_the_orm_cannot_commit_what_was_rolled_back(
    kind: Kind, atomic_engine: Engine, numbers: str
) -> None:
    def body(engine: Engine) -> None:
        with Session(engine) as session, Session(engine) as other:
            add(session, 1)
            add(other, 2)
            other.rollback()
            with pytest.raises(exc.InterfaceError, match="rolled back"):
                session.commit()
            session.rollback()
            add(session, 3)

    in_an_atomic_scope(kind, atomic_engine, body)
    assert committed(numbers) == [3]


def test_the_options_of_the_scope(kind: Kind, atomic_engine: Engine, numbers: str) -> None:
    def body() -> None:
        options: Begin = {"isolation": "serializable"}
        settings = {"work_mem": "7MB"}
        with scope(atomic=options, settings=settings), Session(atomic_engine) as session:
            shown = [
                session.scalar(text(f"SHOW {name}"))
                for name in ("transaction_isolation", "work_mem")
            ]
            assert shown == ["serializable", "7MB"]
            session.commit()
            assert session.scalar(text("SHOW work_mem")) == "7MB"

    kind.run(body)
    assert committed(numbers) == []


def test_an_alias_that_is_atomic(kind: Kind, numbers: str) -> None:
    Database.configure(numbers, alias="atomic", atomic=True)
    engine = kind.of_request("atomic")

    def body() -> None:
        with scope(), Session(engine) as session:
            add(session, 1)

    kind.run(body)
    assert committed(numbers) == [1]
