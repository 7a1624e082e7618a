"""What the logger "hypern" and the hook of `Database.on_statement` are told."""

from __future__ import annotations

import logging

import pytest
from either import db, finalize_db

from hypern import errors
from hypern.database import Database, DbSession

pytestmark = pytest.mark.usefixtures("kind")


def test_two_columns_of_one_name_keep_the_last_and_warn(
    session: DbSession, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="hypern"):
        assert session.query("SELECT 1 AS n, 2 AS n") == [{"n": 2}]
        assert session.query("SELECT 1 AS n, 2 AS n") == [{"n": 2}]
    assert len(caplog.records) == 1
    assert '"n"' in caplog.text


def test_the_hook_is_told_of_each_statement(session: DbSession) -> None:
    told: list[tuple[str, float, int, str | None]] = []

    @Database.on_statement
    def hook(sql: str, seconds: float, rows: int, sqlstate: str | None) -> None:
        told.append((sql, seconds, rows, sqlstate))

    try:
        session.query("SELECT generate_series(1, 3)")
        with pytest.raises(errors.DivisionByZero):
            session.query("SELECT 1 / $1::int", [0])
    finally:
        Database.on_statement(None)
    session.query("SELECT 'nobody listens'")
    (sql, seconds, rows, sqlstate), failed = told
    assert (sql, rows, sqlstate) == ("SELECT generate_series(1, 3)", 3, None)
    assert 0 < seconds < 5
    assert (failed[0], failed[3]) == ("SELECT 1 / $1::int", "22012")


def test_a_failing_hook_is_logged_and_disturbs_nothing(
    session: DbSession, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(sql: str, seconds: float, rows: int, sqlstate: str | None) -> None:
        raise ZeroDivisionError

    Database.on_statement(hook)
    try:
        assert session.query_value("SELECT 1") == 1
    finally:
        Database.on_statement(None)
    assert "on_statement hook failed" in caplog.text


def test_the_hook_is_told_of_errors_that_the_server_did_not_send(database: str) -> None:
    told: list[tuple[str, str | None]] = []

    def hook(sql: str, seconds: float, rows: int, sqlstate: str | None) -> None:
        told.append((sql, sqlstate))

    Database.configure(database, alias="one", max_size=1, acquire_timeout_secs=1)
    Database.on_statement(hook)
    try:
        session = db("holds the only connection", alias="one")
        with pytest.raises(TypeError):
            session.query("SELECT $1::int", [object()])
        with pytest.raises(errors.PoolTimeout):
            db("waits", alias="one").query("SELECT 'waits'")
        with pytest.raises(errors.OperationalError):
            session.query("SELECT pg_terminate_backend(pg_backend_pid())")
    finally:
        Database.on_statement(None)
        finalize_db("holds the only connection")
        finalize_db("waits")
        Database.close("one")
    assert told == [
        ("SELECT $1::int", "HY000"),
        ("SELECT 'waits'", "08001"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", "57P01"),
    ]


def test_slow_statements_are_logged_without_their_parameters(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="hypern"):
        for seconds, sql in ((60, "SELECT 'quick'"), (0.05, "SELECT pg_sleep($1), $2::text")):
            Database.configure(database, slow_query_secs=seconds, alias="watched")
            db("slow", alias="watched").query(sql, [0.1, "a secret"] if "$" in sql else None)
            finalize_db("slow")
            Database.close("watched")
    assert "SELECT pg_sleep($1), $2::text" in caplog.text
    assert "quick" not in caplog.text
    assert "a secret" not in caplog.text


def test_a_hook_that_was_taken_away_is_not_told_of_a_closed_pools_sessions(
    session: DbSession,
) -> None:
    first: list[object] = []
    second: list[object] = []
    Database.on_statement(lambda *told: first.append(told))
    session.query("SELECT 1")
    assert len(first) == 1
    Database.close()
    Database.on_statement(lambda *told: second.append(told))
    with pytest.raises(errors.PoolClosed):
        session.query("SELECT 1")
    assert (len(first), len(second)) == (1, 1)
    Database.on_statement(None)
    with pytest.raises(errors.PoolClosed):
        session.query("SELECT 1")
    assert (len(first), len(second)) == (1, 1)
