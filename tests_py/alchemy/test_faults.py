"""Faults through SQLAlchemy: killed backends, a restart, PgBouncer, cancelled tasks, threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from alchemy.engines import Kind, admin
from alchemy.test_dialect import PID, pool_of
from alchemy.test_request_engine import ALL, Number, add, committed
from reliability.own_server import OwnServer
from sqlalchemy import Engine, event, exc, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from support import wait_until
from test_pgbouncer import Bouncer, started

from hypern import errors
from hypern import sqlalchemy as hypern_sqlalchemy
from hypern.database import Database, db, scope


def kill(url: str, pid: int) -> None:
    with admin(url) as run:
        run(f"SELECT pg_terminate_backend({pid}, 5000)")


def in_use(engine: Engine) -> int:
    """Of an engine's pool, which another engine of the same URL may have had closed."""
    alias = pool_of(engine)
    return Database.status(alias).in_use if Database.is_configured(alias) else 0


def test_an_orm_session_whose_backend_is_killed(kind: Kind, numbers: str) -> None:
    engine = kind.engine(numbers)

    def body() -> None:
        with Session(engine) as session:
            add(session, 1)
            kill(numbers, session.scalar(PID))
            session.add(Number(n=2))
            with pytest.raises(exc.OperationalError) as caught:
                session.commit()
            assert caught.value.connection_invalidated
            assert isinstance(caught.value.orig, errors.ConnectionLost)
            session.rollback()
            add(session, 3)
            session.commit()

    kind.run(body)
    assert committed(numbers) == [3]
    assert in_use(engine) == 0


def test_a_backend_that_is_killed_before_the_commit(kind: Kind, numbers: str) -> None:
    engine = kind.engine(numbers)

    def body() -> None:
        with Session(engine) as session:
            add(session, 1)
            kill(numbers, session.scalar(PID))
            with pytest.raises(exc.DBAPIError) as caught:
                session.commit()
            assert isinstance(caught.value.orig, errors.ConnectionLost)
            session.rollback()

    kind.run(body)
    assert committed(numbers) == []
    assert in_use(engine) == 0


def test_a_stream_whose_backend_is_killed(kind: Kind, numbers: str) -> None:
    engine = kind.engine(numbers)

    def body() -> None:
        with engine.connect() as connection:
            pid = connection.scalar(PID)
            rows = connection.execution_options(yield_per=10).execute(
                text("SELECT * FROM generate_series(1, 1000)")
            )
            rows.fetchone()
            kill(numbers, pid)
            with pytest.raises(exc.OperationalError):
                rows.all()

    kind.run(body)
    assert in_use(engine) == 0


@pytest.fixture(scope="module")
def own() -> Iterator[OwnServer]:
    server = OwnServer()
    yield server
    Database.close()
    server.remove()


def test_a_restart_of_the_server(kind: Kind, own: OwnServer) -> None:
    engine = kind.engine(own.admin)

    def body() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            own.stop("immediate")
            with pytest.raises(exc.OperationalError):
                connection.execute(text("SELECT 1"))
        own.start()
        for _ in range(3):
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT 1")) == 1

    kind.run(body)
    assert in_use(engine) == 0


def test_a_restart_between_requests_goes_unnoticed(kind: Kind, own: OwnServer) -> None:
    Database.configure(own.admin, alias="restarted")
    engine = kind.of_request("restarted")

    def request() -> None:
        with scope(), Session(engine) as session:
            assert session.scalar(text("SELECT 1")) == 1
            assert db(alias="restarted").query_value("SELECT 2") == 2

    kind.run(request)
    own.stop()
    own.start()
    kind.run(request)
    assert Database.status("restarted").in_use == 0


@pytest.fixture(scope="module")
def bouncer(database: str) -> Iterator[Bouncer]:
    with started(database, "transaction") as running:
        yield running


def test_behind_pgbouncer_in_transaction_mode(kind: Kind, bouncer: Bouncer, numbers: str) -> None:
    Database.configure(bouncer.url, alias="bounced")
    engine, by_url = kind.of_request("bounced"), kind.engine(bouncer.url)

    def body() -> None:
        for n in range(4):
            with scope(), Session(engine) as session, Session(by_url) as other:
                add(session, 10 + n)
                db(alias="bounced").execute("INSERT INTO numbers VALUES ($1)", [20 + n])
                session.commit()
                add(other, 30 + n)
                other.rollback()
                found = session.scalars(
                    select(Number).order_by(Number.n), execution_options={"yield_per": 2}
                )
                assert len(found.all()) == 2 * (n + 1)

    kind.run(body)
    assert committed(numbers) == [10, 11, 12, 13, 20, 21, 22, 23]
    Database.close("bounced")


def test_a_cancelled_task_gives_its_connection_back(numbers: str) -> None:
    async def run() -> None:
        Database.configure(numbers, alias="cancelled", max_size=1)
        engine = hypern_sqlalchemy.async_engine("cancelled")
        at_it = asyncio.Event()

        def running(*event: object) -> None:
            del event
            at_it.set()

        event.listen(engine.sync_engine, "before_cursor_execute", running)

        async def insert_and_sleep(on_request: bool) -> None:
            async with AsyncSession(engine) as session:
                session.add(Number(n=1 + on_request))
                await session.flush()
                at_it.clear()
                await session.execute(text("SELECT pg_sleep(60)"))

        async def in_a_scope() -> None:
            async with scope():
                await insert_and_sleep(True)

        async def outside() -> None:
            await insert_and_sleep(False)

        for work in (outside, in_a_scope):
            at_it.clear()
            task = asyncio.create_task(work())
            await at_it.wait()
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while Database.status("cancelled").in_use:
                await asyncio.sleep(0.01)
            async with AsyncSession(engine) as session:
                assert await session.scalar(text("SELECT 1")) == 1
        await engine.dispose()

    asyncio.run(run())
    assert committed(numbers) == []
    Database.close("cancelled")


def test_threads_each_have_a_request_of_their_own(numbers: str) -> None:
    Database.configure(numbers, alias="threaded", max_size=3)
    engine = hypern_sqlalchemy.engine("threaded")
    failures: list[BaseException] = []

    def requests(first: int) -> None:
        try:
            for n in range(first, first + 20):
                with scope(), Session(engine) as session:
                    add(session, n)
                    query = "SELECT n FROM numbers WHERE n = $1"
                    assert db(alias="threaded").query_value(query, [n]) == n
                    session.commit() if n % 2 else session.rollback()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=requests, args=(100 * i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    expected = [100 * i + n for i in range(6) for n in range(1, 20, 2)]
    assert committed(numbers) == expected
    assert Database.status("threaded").in_use == 0
    Database.close("threaded")


def test_two_threads_on_one_requests_orm_connection(numbers: str) -> None:
    """They run one after the other, in one transaction; an error in one aborts both."""
    engine: Engine = hypern_sqlalchemy.engine()
    results: list[str] = []

    def run(connection: object, sql: str) -> None:
        try:
            connection.execute(text(sql))  # type: ignore[attr-defined]
            results.append("done")
        except exc.DBAPIError as error:
            results.append(type(error.orig).__name__)

    with scope(), engine.connect() as connection:
        slow = threading.Thread(target=run, args=(connection, "SELECT pg_sleep(0.2)"))
        slow.start()
        wait_until(lambda: Database.status().in_use == 1)
        run(connection, "INSERT INTO numbers VALUES (1)")
        slow.join()
        failing = threading.Thread(target=run, args=(connection, "SELECT * FROM nowhere"))
        failing.start()
        failing.join()
        run(connection, ALL)
        connection.rollback()
    assert results == ["done", "done", "UndefinedTable", "InFailedSqlTransaction"]
    assert committed(numbers) == []
