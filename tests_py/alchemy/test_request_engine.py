"""Engines on the request's session: who begins a transaction ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from alchemy.engines import Kind
from sqlalchemy import Engine, exc, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from hypern import errors
from hypern.database import Database, db, scope

ALL = "SELECT n FROM numbers ORDER BY n"


class Base(DeclarativeBase):
    pass


class Number(Base):
    __tablename__ = "numbers"

    n: Mapped[int] = mapped_column(primary_key=True)


def add(session: Session, n: int) -> None:
    session.add(Number(n=n))
    session.flush()


def committed(numbers: str) -> list[int]:
    """What others see."""
    del numbers
    with scope():
        return list(db().query_values(ALL))


@pytest.fixture
def request_engine(kind: Kind, numbers: str) -> Engine:
    """An engine on the request's session, whose first connect is done."""
    engine = kind.of_request()

    def connect() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    kind.run(connect)
    assert numbers
    return engine


Body = Callable[[Engine], None]


def in_a_request(kind: Kind, engine: Engine, body: Body) -> None:
    def run() -> None:
        with scope():
            body(engine)

    kind.run(run)


def test_one_connection_and_one_transaction(
    kind: Kind, request_engine: Engine, numbers: str
) -> None:
    def body(engine: Engine) -> None:
        with Session(engine) as session, session.begin():
            add(session, 1)
            assert db().query_values(ALL) == [1]
            db().execute("INSERT INTO numbers VALUES (2)")
            assert list(session.scalars(text(ALL))) == [1, 2]
            assert Database.status().in_use == 1

    in_a_request(kind, request_engine, body)
    assert committed(numbers) == [1, 2]


def test_with_nothing_open_commit_and_rollback_are_real(
    kind: Kind, request_engine: Engine, numbers: str
) -> None:
    def body(engine: Engine) -> None:
        with Session(engine) as session:
            add(session, 1)
            session.commit()
            assert not db().is_in_transaction
            add(session, 2)
            session.rollback()
            assert db().query_values(ALL) == [1]
            add(session, 3)
        assert not db().is_in_transaction, "closing without commit rolls back"
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO numbers VALUES (4)"))
        with engine.connect() as connection:
            connection.execute(text("INSERT INTO numbers VALUES (5)"))

    in_a_request(kind, request_engine, body)
    assert committed(numbers) == [1, 4]


@pytest.mark.parametrize("opens", ["begin()", "transaction()", "BEGIN"])
def test_inside_a_transaction_it_is_a_savepoint(
    kind: Kind, request_engine: Engine, numbers: str, opens: str
) -> None:
    def steps(engine: Engine) -> None:
        db().execute("INSERT INTO numbers VALUES (1)")
        with Session(engine) as session, session.begin():
            add(session, 2)
        with Session(engine) as session:
            add(session, 3)
            session.rollback()
            add(session, 4)
            session.commit()
            add(session, 5)  # closing leaves it alone
        with suppress(ZeroDivisionError), engine.begin() as connection:
            connection.execute(text("INSERT INTO numbers VALUES (6)"))
            raise ZeroDivisionError
        with Session(engine) as session, pytest.raises(exc.IntegrityError):
            add(session, 1)
        assert db().is_in_transaction
        assert db().query_values(ALL) == [1, 2, 4, 5]

    def body(engine: Engine) -> None:
        if opens == "transaction()":
            with db().transaction():
                steps(engine)
            return
        if opens == "begin()":
            db().begin()
        else:
            db().execute("BEGIN")
        steps(engine)
        db().commit()

    in_a_request(kind, request_engine, body)
    assert committed(numbers) == [1, 2, 4, 5]


def test_the_outer_rollback_undoes_what_the_orm_has_committed(
    kind: Kind, request_engine: Engine, numbers: str
) -> None:
    def body(engine: Engine) -> None:
        with suppress(ZeroDivisionError), db().transaction():
            with Session(engine) as session, session.begin():
                add(session, 1)
            raise ZeroDivisionError
        db().begin()
        with Session(engine) as session, session.begin():
            add(session, 2)
        db().rollback()

    in_a_request(kind, request_engine, body)
    assert committed(numbers) == []


def test_a_transaction_block_inside_the_orms(
    kind: Kind, request_engine: Engine, numbers: str
) -> None:
    def body(engine: Engine) -> None:
        with Session(engine) as session, session.begin():
            add(session, 1)
            with suppress(ZeroDivisionError), db().transaction():
                add(session, 2)
                raise ZeroDivisionError
            with session.begin_nested():
                add(session, 3)

    in_a_request(kind, request_engine, body)
    assert committed(numbers) == [1, 3]


def test_the_request_decides_on_what_is_left_open(
    kind: Kind, request_engine: Engine, numbers: str
) -> None:
    sessions: list[Session] = []

    def body(engine: Engine) -> None:
        sessions.append(Session(engine))
        add(sessions[-1], len(sessions))

    def failing(engine: Engine) -> None:
        body(engine)
        raise ZeroDivisionError

    in_a_request(kind, request_engine, body)
    with pytest.raises(ZeroDivisionError):
        in_a_request(kind, request_engine, failing)
    assert committed(numbers) == [1]
    for session in sessions:
        kind.run(session.close)
    assert Database.status().in_use == 0


def test_an_orm_session_kept_beyond_its_request(
    kind: Kind, request_engine: Engine, numbers: str
) -> None:
    kept: list[Session] = []

    def body(engine: Engine) -> None:
        kept.append(Session(engine))
        add(kept[0], 1)

    def later() -> None:
        with pytest.raises(exc.InterfaceError) as caught:
            kept[0].scalars(text(ALL)).all()
        assert isinstance(caught.value.orig, errors.SessionClosed)
        kept[0].close()

    in_a_request(kind, request_engine, body)
    kind.run(later)
    assert committed(numbers) == [1]


def test_two_that_have_joined_and_end_crosswise(
    kind: Kind, request_engine: Engine, numbers: str
) -> None:
    def body(engine: Engine) -> None:
        with db().transaction(), Session(engine) as outer, Session(engine) as inner:
            add(outer, 1)
            add(inner, 2)
            outer.commit()  # the inner one's changes are inside
            inner.commit()
            add(outer, 3)
            add(inner, 4)
            outer.rollback()
            with pytest.raises(exc.InterfaceError, match="rolled back"):
                inner.commit()
            inner.rollback()
            add(inner, 5)
            inner.commit()

    in_a_request(kind, request_engine, body)
    assert committed(numbers) == [1, 2, 5]


def test_the_transaction_around_it_ends(kind: Kind, request_engine: Engine, numbers: str) -> None:
    def body(engine: Engine) -> None:
        with Session(engine) as session:
            db().begin()
            add(session, 1)
            db().commit()
            session.commit()
            db().begin()
            add(session, 2)
            db().rollback()
            with pytest.raises(exc.InterfaceError, match="rolled back"):
                session.commit()
            session.rollback()
            add(session, 3)
            session.commit()

    in_a_request(kind, request_engine, body)
    assert committed(numbers) == [1, 3]


def test_an_aborted_transaction_is_not_hidden(
    kind: Kind, request_engine: Engine, numbers: str
) -> None:
    def body(engine: Engine) -> None:
        db().begin()
        db().execute("INSERT INTO numbers VALUES (1)")
        with engine.connect() as connection, pytest.raises(exc.ProgrammingError):
            connection.execute(text("SELECT * FROM nowhere"))
        with pytest.raises(errors.InFailedSqlTransaction):
            db().query(ALL)
        db().rollback()

    in_a_request(kind, request_engine, body)
    assert committed(numbers) == []


def test_outside_a_request_each_connection_is_its_own(
    kind: Kind, request_engine: Engine, numbers: str
) -> None:
    def body() -> None:
        with request_engine.connect() as first, request_engine.connect() as second:
            pid = text("SELECT pg_backend_pid()")
            assert first.scalar(pid) != second.scalar(pid)
            first.execute(text("INSERT INTO numbers VALUES (1)"))
            first.commit()

    kind.run(body)
    assert committed(numbers) == [1]
    assert Database.status().in_use == 0


def test_a_stream_that_other_statements_do_not_end(kind: Kind, request_engine: Engine) -> None:
    def body(engine: Engine) -> None:
        with Session(engine) as session:
            query = text("SELECT * FROM generate_series(1, 50) n")
            rows = session.execute(query, execution_options={"yield_per": 10})
            seen = []
            for (n,) in rows:
                assert db().query_value("SELECT $1::int", [n]) == n
                seen.append(n)
            assert seen == list(range(1, 51))

    in_a_request(kind, request_engine, body)


def test_options_of_an_engine(kind: Kind, request_engine: Engine, numbers: str) -> None:
    del request_engine
    with pytest.raises(TypeError, match="poolclass"):
        kind.of_request(poolclass=None)

    def body(engine: Engine) -> None:
        with engine.execution_options(isolation_level="SERIALIZABLE").connect() as connection:
            assert connection.scalar(text("SHOW transaction_isolation")) == "serializable"
        db().begin()
        with (
            engine.connect() as connection,
            pytest.raises(errors.ProgrammingError, match="inside a transaction"),
        ):
            connection.execution_options(isolation_level="SERIALIZABLE")
        db().rollback()
        with (
            engine.connect() as connection,
            pytest.raises(exc.NotSupportedError, match="one phase"),
        ):
            connection.begin_twophase()

    in_a_request(kind, kind.of_request(echo=False), body)
    assert committed(numbers) == []


def test_an_unknown_alias(kind: Kind, configured: str) -> None:
    engine = kind.of_request("nowhere")
    assert configured
    with pytest.raises((errors.ConfigurationError, exc.InterfaceError), match="nowhere"):
        kind.run(engine.connect)


def test_two_threads_on_one_requests_connection(request_engine: Engine, numbers: str) -> None:
    if request_engine.dialect.is_async:
        return  # a connection of an async engine belongs to its loop's thread
    failures: list[BaseException] = []

    def insert(connection: Any, n: int) -> None:
        try:
            connection.execute(text("INSERT INTO numbers VALUES (:n)"), {"n": n})
        except BaseException as error:
            failures.append(error)

    with scope(), request_engine.begin() as connection:
        threads = [threading.Thread(target=insert, args=(connection, n)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert committed(numbers) == list(range(6))


def test_a_connection_that_is_lost(kind: Kind, request_engine: Engine, numbers: str) -> None:
    def body(engine: Engine) -> None:
        with Session(engine) as session:
            add(session, 1)
            pid = db().query_value("SELECT pg_backend_pid()")
            with scope():
                db().execute("SELECT pg_terminate_backend($1)", [pid])
            with pytest.raises(exc.OperationalError) as caught:
                add(session, 2)
            assert caught.value.connection_invalidated
            session.rollback()
            add(session, 3)
            session.commit()

    in_a_request(kind, request_engine, body)
    assert committed(numbers) == [3]
