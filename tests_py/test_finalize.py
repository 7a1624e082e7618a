"""The end of a request: what is committed, what is rolled back, and that everything is released."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from either import db, finalize_db, scope
from support import RunPython

from hypern import database, errors
from hypern.database import Database, DbSession

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture(autouse=True)
def marks(configured: str) -> Iterator[None]:
    db("setup").execute("CREATE TABLE marks (name text UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    finalize_db("setup")
    yield
    db("teardown").execute("DROP TABLE marks")
    finalize_db("teardown")


def mark(session: DbSession, name: str) -> None:
    session.execute("INSERT INTO marks VALUES ($1)", [name])


def marked() -> list[str]:
    with scope():
        return [row["name"] for row in db().query("SELECT name FROM marks ORDER BY name")]


def released() -> bool:
    return Database.status().in_use == 0


def test_an_open_transaction_is_committed() -> None:
    mark(db("r").begin(), "kept")
    finalize_db("r")
    assert marked() == ["kept"]
    assert released()


def test_auto_commit_off_rolls_back_unless_committed() -> None:
    mark(db("r").set_auto_commit(False).begin(), "lost")
    finalize_db("r")
    session = db("r").set_auto_commit(False).begin()
    mark(session, "kept")
    session.commit()
    finalize_db("r")
    assert marked() == ["kept"]


def test_a_marked_error_rolls_back() -> None:
    session = db("r").begin()
    mark(session, "lost")
    session.set_error()
    finalize_db("r")
    assert marked() == []
    assert released()


def test_an_id_without_sessions_is_fine() -> None:
    finalize_db("never seen", alias="default")
    finalize_db("never seen", alias="never configured")


def test_a_commit_that_fails_is_raised_and_the_connection_released() -> None:
    session = db("r").begin()
    mark(session, "twice")
    mark(session, "twice")
    with pytest.raises(errors.UniqueViolation):
        finalize_db("r")
    assert session.state == "closed"
    assert released()
    assert marked() == []


def test_every_alias_is_finalized_before_the_first_failure_is_raised(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    for alias in ("b", "c"):
        Database.configure(database, alias=alias)
    first, second, third = (db("r", alias=alias).begin() for alias in ("default", "b", "c"))
    for session in (first, third):
        mark(session, f"twice {session.alias}")
        mark(session, f"twice {session.alias}")
    mark(second, "kept")
    with pytest.raises(errors.UniqueViolation):
        finalize_db("r")
    assert {session.state for session in (first, second, third)} == {"closed"}
    assert marked() == ["kept"]
    assert "failed too" in caplog.text
    assert all(Database.status(alias).in_use == 0 for alias in ("default", "b", "c"))


def test_one_alias_can_be_finalized_alone(database: str) -> None:
    Database.configure(database, alias="b")
    first, second = db("r").begin(), db("r", alias="b").begin()
    mark(first, "open")
    mark(second, "kept")
    finalize_db("r", alias="b")
    assert (first.state, second.state) == ("in_transaction", "closed")
    assert marked() == ["kept"]
    first.rollback()
    finalize_db("r")


def swallow(session: DbSession) -> None:
    """Fail in a transaction, and go on as if nothing had happened."""
    mark(session.begin(), "lost")
    with pytest.raises(errors.DivisionByZero):
        session.query("SELECT 1/0")


def test_over_an_aborted_transaction_it_raises() -> None:
    swallow(db("r"))
    with pytest.raises(errors.TransactionAborted, match='request "r"') as caught:
        finalize_db("r")
    assert isinstance(caught.value.__cause__, errors.DivisionByZero)
    assert marked() == []
    assert released()


def test_over_an_aborted_transaction_it_logs_while_an_exception_is_handled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails() -> None:
        try:
            swallow(db("r"))
            raise ZeroDivisionError
        finally:
            finalize_db("r")

    with pytest.raises(ZeroDivisionError):
        fails()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "TransactionAborted" in caplog.text
    assert released()


def test_a_rollback_that_was_asked_for_is_no_error_over_an_aborted_transaction() -> None:
    swallow(db("r"))
    db("r").set_error()
    finalize_db("r")
    swallow(db("r").set_auto_commit(False))
    finalize_db("r")
    swallow(db("r"))
    db("r").rollback()
    finalize_db("r")
    assert released()


def test_a_scope_raises_over_an_aborted_transaction() -> None:
    def swallows() -> None:
        with scope():
            swallow(db())

    with pytest.raises(errors.TransactionAborted) as caught:
        swallows()
    assert isinstance(caught.value.__cause__, errors.DivisionByZero)
    assert marked() == []
    assert released()


def test_a_scope_is_judged_by_its_own_exception_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def retries() -> None:
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            with scope():
                swallow(db())

    with pytest.raises(errors.TransactionAborted):
        retries()
    assert caplog.records == []


def test_a_scope_that_an_exception_leaves_logs_over_an_aborted_transaction(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails() -> None:
        with scope():
            swallow(db())
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fails()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert released()


def test_every_alias_is_finalized_though_the_first_was_aborted(database: str) -> None:
    Database.configure(database, alias="b")
    swallow(db("r"))
    mark(db("r", alias="b").begin(), "kept")
    with pytest.raises(errors.TransactionAborted):
        finalize_db("r")
    assert marked() == ["kept"]
    assert released()


def test_over_a_connection_already_lost_it_raises() -> None:
    session = db("r").begin()
    mark(session, "lost")
    pid = session.query_value("SELECT pg_backend_pid()")
    with scope():
        db().execute("SELECT pg_terminate_backend($1, 5000)", [pid])
    with pytest.raises(errors.Error):
        session.query("SELECT 1")
    with pytest.raises(errors.TransactionAborted):
        finalize_db("r")
    assert marked() == []
    assert released()


def test_a_connection_lost_unnoticed_fails_the_commit() -> None:
    session = db("r").begin()
    mark(session, "lost")
    pid = session.query_value("SELECT pg_backend_pid()")
    with scope():
        db().execute("SELECT pg_terminate_backend($1, 5000)", [pid])
    with pytest.raises(errors.Error):
        finalize_db("r")
    assert marked() == []
    assert released()


def test_a_session_is_closed_afterwards_and_the_id_opens_a_fresh_one() -> None:
    session = db("r")
    session.query("SELECT 1")
    finalize_db("r")
    for call in (
        lambda: session.query("SELECT 1"),
        lambda: session.execute("SELECT 1"),
        lambda: session.execute_many("SELECT $1::int", [[1]]),
        session.begin,
        session.commit,
        session.rollback,
    ):
        with pytest.raises(errors.SessionClosed):
            call()
    assert session.state == "closed"
    fresh = db("r")
    assert fresh is not session
    assert fresh.query_value("SELECT 1") == 1
    finalize_db("r")


def test_a_scope_commits_at_its_end_and_rolls_back_on_an_exception() -> None:
    def fails() -> None:
        with scope():
            mark(db().begin(), "lost")
            raise ZeroDivisionError

    with scope():
        mark(db().begin(), "kept")
    with pytest.raises(ZeroDivisionError):
        fails()
    assert marked() == ["kept"]
    assert released()


def test_a_scope_raises_a_failed_commit_but_not_over_the_blocks_own_exception(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def commit_fails() -> None:
        with scope():
            db().begin()
            mark(db(), "twice")
            mark(db(), "twice")

    with pytest.raises(errors.UniqueViolation):
        commit_fails()
    assert marked() == []
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["blocking"], indirect=True)
def test_an_async_scope_commits_without_blocking_the_loop() -> None:
    async def main() -> None:
        with scope():
            db().execute("CREATE TABLE slow (n int)")
            db().execute(
                "CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END'"
            )
            db().execute(
                "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION sleep()"
            )
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        async with database.scope():
            db().begin()
            db().execute("INSERT INTO slow VALUES (1)")
        ticking.cancel()
        assert ticks > 10
        with scope():
            assert db().query_value("SELECT count(*) FROM slow") == 1
            db().execute("DROP TABLE slow")
            db().execute("DROP FUNCTION sleep")

    asyncio.run(main())


def test_what_a_session_leaves_behind_is_reset() -> None:
    with scope():
        session = db()
        pid = session.query_value("SELECT pg_backend_pid()")
        session.execute("SET application_name = 'mine'")
        session.execute("SET search_path = pg_catalog")
        session.execute("CREATE TEMP TABLE leftover (n int)")
        session.execute("SELECT pg_advisory_lock(42)")
    with scope():
        session = db()
        assert session.query_value("SELECT pg_backend_pid()") == pid
        assert session.query_value("SHOW application_name") == "hypern"
        assert session.query_value("SHOW search_path") == '"$user", public'
        assert session.query_value("SELECT to_regclass('pg_temp.leftover')::text") is None
        sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert session.query_value(sql) == 0


def test_a_statement_that_still_runs_is_waited_for_then_cancelled() -> None:
    session = db("r")
    failure: list[BaseException] = []

    def work() -> None:
        try:
            session.query("SELECT pg_sleep(30)")
        except errors.Error as error:
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while str(session.state) != "connected":
        time.sleep(0.01)
    time.sleep(0.2)
    started = time.monotonic()
    finalize_db("r")
    assert time.monotonic() - started < 5
    thread.join(5)
    assert isinstance(failure[0], (errors.QueryCanceled, errors.SessionClosed))
    assert session.state == "closed"
    assert released()


def test_a_session_never_finalized_is_named_at_exit(database: str, run_python: RunPython) -> None:
    done = run_python(
        """
        import sys
        from hypern.database import Database, db
        Database.configure(sys.argv[1])
        session = db("forgotten job").begin()
        session.query("SELECT 1")
        """,
        database,
        options=("-W", "always::ResourceWarning"),
    )
    assert "ResourceWarning" in done.stderr
    assert 'request "forgotten job" on "default" was never finalized' in done.stderr


def test_a_forgotten_session_loses_what_it_did_not_commit(
    database: str, run_python: RunPython
) -> None:
    run_python(
        """
        import sys
        from hypern.database import Database, db
        Database.configure(sys.argv[1])
        db("forgotten").begin().execute("INSERT INTO marks VALUES ('lost')")
        """,
        database,
    )
    assert marked() == []
