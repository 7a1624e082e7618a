"""Tests that test_pytest_plugin.py runs with the plugin, in a pytest of its own: a session of
`db_session` behaves as on a connection of its own. The table `notes` is that module's.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest

from hypern import _native
from hypern.database import Database, DbSession, db, finalize_db, scope
from hypern.errors import (
    ConfigurationError,
    DivisionByZero,
    InFailedSqlTransaction,
    InterfaceError,
    InvalidSavepointSpecification,
    NoActiveSqlTransaction,
    NoRows,
    ProgrammingError,
    ReadOnlySqlTransaction,
    SessionClosed,
    TransactionAborted,
    UndefinedTable,
    UniqueViolation,
)
from hypern.middleware.wsgi import DatabaseMiddleware


def add(session: DbSession, n: int) -> None:
    session.execute("INSERT INTO notes VALUES ($1)", [n])


def count() -> int:
    number: int = db("look").query_value("SELECT count(*) FROM notes")
    return number


def test_states(db_session: DbSession) -> None:
    session = db("a")
    assert str(session.state) == "idle"
    add(session, 1)
    assert str(session.state) == "connected"
    assert session.begin().state == "in_transaction"
    with pytest.raises(InterfaceError, match="begin"):
        session.begin()
    assert session.rollback().state == "rolled_back"
    assert session.begin().commit().state == "committed"
    with pytest.raises(NoActiveSqlTransaction):
        session.commit()
    finalize_db("a")
    with pytest.raises(SessionClosed):
        session.execute("SELECT 1")
    assert db("a") is not session


def test_rollback(db_session: DbSession) -> None:
    add(db_session, 1)
    session = db("a").begin()
    add(session, 2)
    session.rollback()
    assert count() == 1


def test_finalize_rolls_back_an_error_and_auto_commit_off(db_session: DbSession) -> None:
    add(db("a").begin().set_error(), 1)
    finalize_db("a")
    add(db("a").set_auto_commit(False).begin(), 1)
    finalize_db("a")
    assert count() == 0


def test_an_error_aborts_only_its_own_transaction(db_session: DbSession) -> None:
    session = db("a").begin()
    add(session, 1)
    with pytest.raises(UndefinedTable):
        session.execute("SELECT * FROM nowhere")
    assert count() == 1  # the test's one connection sees what is not committed yet
    with pytest.raises(InFailedSqlTransaction):
        session.execute("SELECT 1")
    with pytest.raises(TransactionAborted) as caught:
        session.commit()
    assert isinstance(caught.value.__cause__, UndefinedTable)
    assert count() == 0
    session.rollback()


def test_an_error_outside_a_transaction_harms_nothing(db_session: DbSession) -> None:
    add(db_session, 1)
    with pytest.raises(DivisionByZero):
        db_session.query("SELECT 1/0")
    with pytest.raises(TypeError):
        db_session.query("SELECT $1::int", [object()])
    add(db_session, 2)
    assert count() == 2


def fail_in_a_block(session: DbSession) -> None:
    with session.transaction():
        add(session, 2)
        session.execute("SELECT * FROM nowhere")


def test_nested_blocks(db_session: DbSession) -> None:
    with db_session.transaction():
        add(db_session, 1)
        with pytest.raises(UndefinedTable):
            fail_in_a_block(db_session)
        with db_session.transaction():
            add(db_session, 3)
    assert [r["n"] for r in db_session.query("SELECT n FROM notes ORDER BY n")] == [1, 3]


def test_a_deferred_constraint_fails_at_commit(db_session: DbSession) -> None:
    session = db("a").begin()
    add(session, 1)
    add(session, 1)
    with pytest.raises(UniqueViolation):
        session.commit()
    assert session.state == "rolled_back"
    add(db("b").begin(), 1)
    add(db("b"), 1)
    with pytest.raises(UniqueViolation):
        finalize_db("b")
    assert count() == 0
    add(session.begin(), 1)
    session.commit()
    assert count() == 1


def test_read_only(db_session: DbSession) -> None:
    session = db("a").begin(read_only=True)
    with pytest.raises(ReadOnlySqlTransaction):
        add(session, 1)
    session.rollback()
    db("a").begin(read_only=True).commit()
    add(db_session, 1)


def test_on_commit(db_session: DbSession) -> None:
    called: list[str] = []
    db("a").begin().on_commit(lambda: called.append("no")).rollback()
    db("a").begin().on_commit(lambda: called.append("commit")).commit()
    db("a").begin().on_commit(lambda: called.append("finalize"))
    finalize_db("a")
    assert called == ["commit", "finalize"]


def test_plain_sql(db_session: DbSession) -> None:
    session = db("a")
    session.execute("/* so */ begin -- it goes")
    assert session.is_in_transaction
    add(session, 1)
    session.execute("SAVEPOINT mine")
    add(session, 2)
    with pytest.raises(UndefinedTable):
        session.execute("SELECT * FROM nowhere")
    session.execute("ROLLBACK TO SAVEPOINT mine")
    session.execute("RELEASE mine")
    session.execute("COMMIT")
    assert session.state == "committed"
    session.execute("START TRANSACTION")
    with pytest.raises(InvalidSavepointSpecification):
        session.execute("ROLLBACK TO nothing")
    session.execute("ROLLBACK")
    assert [r["n"] for r in db_session.query("SELECT n FROM notes")] == [1]
    with pytest.raises(InterfaceError, match="hypern_commits"):
        session.execute("PREPARE TRANSACTION 'x'")


def test_a_commit_in_any_spelling_is_undone_with_the_test(db_session: DbSession) -> None:
    commits = (";commit", "/* a /* nested */ */ COMMIT", "-- x\nend", "commit/**/work")
    for n, sql in enumerate((*commits, "--\rCOMMIT AND CHAIN"), 1):
        session = db(sql).begin()
        add(session, n)
        session.execute(sql)
        if "CHAIN" not in sql:
            assert session.state == "committed"
            session.execute(";begin")
        with pytest.raises(UndefinedTable):
            session.execute("SELECT * FROM nowhere")
        with pytest.raises(TransactionAborted):
            session.execute(sql)
        session.execute("/* x */ rollback")
        assert db("look").query_value("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
        assert count() == n


def test_two_phase_commit_is_refused_in_any_spelling(db_session: DbSession) -> None:
    session = db("a").begin()
    for sql in (";prepare transaction 'x'", "/* /* */ */ COMMIT PREPARED 'x'"):
        with pytest.raises(InterfaceError, match="hypern_commits"):
            session.execute(sql)


def test_functions_of_what_was_rolled_back_are_dropped(db_session: DbSession) -> None:
    called: list[str] = []
    session = db("a").begin()
    session.on_commit(lambda: called.append("kept"))
    with pytest.raises(UndefinedTable):
        fail_in_a_block(session.on_commit(lambda: called.append("kept too")))
    session.execute("-- x\nSAVEPOINT Mine")
    session.on_commit(lambda: called.append("undone"))
    session.execute('rollback to "mine"')
    session.execute("COMMIT AND CHAIN")
    assert called == ["kept", "kept too"]
    session.on_commit(lambda: called.append("undone"))
    session.execute("ROLLBACK AND CHAIN")
    session.commit()
    assert called == ["kept", "kept too"]


def test_blocks_are_a_stack(db_session: DbSession) -> None:
    session = db("a")
    outer, inner = session.transaction(), session.transaction()
    outer.__enter__()
    add(session, 1)
    with pytest.raises(InterfaceError, match="inside"):
        session.commit()
    inner.__enter__()
    with pytest.raises(InterfaceError, match=r"test_it\.py:\d+ was open"):
        outer.__exit__(None, None, None)
    with pytest.raises(InterfaceError, match="leave the block"):
        add(session, 2)
    with pytest.raises(InterfaceError, match="leave the block"):
        inner.__exit__(None, None, None)
    assert count() == 0
    with pytest.raises(InterfaceError, match="ended inside"), scope():
        db().transaction().__enter__()


def test_an_error_that_was_swallowed_is_told_at_the_end(db_session: DbSession) -> None:
    session = db("a").begin()
    with pytest.raises(UndefinedTable):
        session.execute("SELECT * FROM nowhere")
    with pytest.raises(TransactionAborted):
        finalize_db("a")


def test_transactions_that_overlap(db_session: DbSession) -> None:
    first, second = db("a").begin(), db("b").begin()
    add(first, 1)
    add(second, 2)
    first.commit()
    second.commit()
    assert count() == 2
    first.begin()
    second.begin()
    first.rollback()
    with pytest.raises(TransactionAborted):
        second.commit()
    assert count() == 2


def test_stream_and_run(db_session: DbSession) -> None:
    db_session.run(lambda session: add(session, 1))
    rows = db("a").stream("SELECT n FROM notes", chunk_rows=1)
    assert (next(rows), count(), list(rows)) == ({"n": 1}, 1, [])


def test_threads_share_the_connection(db_session: DbSession) -> None:
    def work(n: int) -> None:
        with scope():
            db().begin()
            add(db(), n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count() == 8


def test_aliases(db_session: DbSession) -> None:
    with pytest.raises(ConfigurationError):
        db("a", alias="unknown")
    Database.configure("postgresql://nobody@/nowhere?host=/nonexistent", alias="other")
    add(db("a", alias="other"), 1)
    assert db("a", alias="other").alias == "other"
    assert count() == 1
    Database.close()
    assert count() == 1


def test_a_middleware_finalizes(db_session: DbSession) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        add(db().begin(), 1)
        start_response(environ["the status"], [])
        return [b""]

    for status, kept in ("404 Not Found", 0), ("200 OK", 1):
        DatabaseMiddleware(app)({"the status": status}, lambda *_: bytes)
        assert count() == kept


def test_a_session_of_the_extension_is_nested_too(db_session: DbSession) -> None:
    _native.Session.execute(db_session, "INSERT INTO notes VALUES (1)")
    _native.Session.execute(db_session, "COMMIT")
    assert count() == 1
    assert db("look").query_value("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")


def test_batches(db_session: DbSession) -> None:
    session = db("a")
    with session.batch() as b:
        b.execute("INSERT INTO notes VALUES ($1)", [1])
        seen = b.query_value("SELECT count(*) FROM notes")
        none = b.query_one("SELECT 1 AS a WHERE false")
    assert seen.value == 1
    with pytest.raises(NoRows):
        none.row  # noqa: B018
    assert count() == 1
    with pytest.raises(DivisionByZero) as caught, session.batch() as b:  # noqa: PT012
        b.execute("INSERT INTO notes VALUES ($1)", [2])
        b.query("SELECT 1 / 0")
    assert caught.value.index == 1
    assert count() == 1
    with session.transaction():
        with session.batch() as b:
            b.execute("INSERT INTO notes VALUES ($1)", [3])
        assert [row["n"] for row in session.query_many("SELECT $1::int AS n", [[1], [2]])] == [1, 2]
    assert count() == 2
    with pytest.raises(ProgrammingError, match="transaction commands"), session.batch() as b:
        b.execute("COMMIT")
