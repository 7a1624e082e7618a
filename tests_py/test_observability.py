"""What the logger "hypern" and the hook of `Database.on_statement` are told."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from either import db, finalize_db

from hypern import errors
from hypern.database import Database, DbSession, Event

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
    assert "on_statement hook <function" in caplog.text


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
    assert (len(first), len(second)) == (2, 1)
    Database.on_statement(None)
    with pytest.raises(errors.PoolClosed):
        session.query("SELECT 1")
    assert (len(first), len(second)) == (2, 1)


@pytest.fixture
def events() -> Iterator[list[Event]]:
    """What the hook of on_event is called with."""
    seen: list[Event] = []
    Database.on_event(seen.append)
    yield seen
    Database.on_event(None)


def test_an_event_describes_its_statement(session: DbSession, events: list[Event]) -> None:
    session.query("SELECT generate_series($1::int, $2)", [1, 3])
    (event,) = events
    assert event.alias == "default"
    assert event.request_id == session.request_id == "the test"
    assert event.label is None
    assert event.method == "query"
    assert event.sql == "SELECT generate_series($1::int, $2)"
    assert (event.parameters, event.batch_size, event.rows) == (2, None, 3)
    assert (event.sqlstate, event.error) == (None, None)
    assert 0 <= event.wait_secs < event.seconds < 5
    assert event.database == session.query_value("SELECT current_database()")
    directory = session.query_value("SHOW unix_socket_directories")
    port = int(session.query_value("SHOW port"))
    assert event.port == port
    assert event.host in (*directory.split(", "), "localhost", "127.0.0.1")
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.sql = "SELECT 1"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("method", "arguments", "parameters", "batch", "rows"),
    [
        ("query", ("SELECT 1",), 0, None, 1),
        ("query_one", ("SELECT $1::int", [1]), 1, None, 1),
        ("query_one_or_none", ("SELECT 1 WHERE false",), 0, None, 0),
        ("query_value", ("SELECT :a::int + :b::int + :a", {"a": 1, "b": 2}), 2, None, 1),
        ("query_values", ("SELECT 1",), 0, None, 1),
        ("execute", ("SELECT 1 WHERE $1", (True,)), 1, None, 1),
        ("execute_many", ("SELECT $1::int, $2::int", [[1, 2], [3, 4], [5, 6]]), 2, 3, 3),
        ("execute_many", ("SELECT $1::int", []), 1, 0, 0),
        ("execute_script", ("SELECT 1; SELECT 2",), None, None, 2),
    ],
)
def test_the_event_of_each_method(
    session: DbSession,
    events: list[Event],
    method: str,
    arguments: tuple[Any, ...],
    parameters: int | None,
    batch: int | None,
    rows: int,
) -> None:
    getattr(session, method)(*arguments)
    (event,) = events
    assert (event.method, event.parameters, event.batch_size) == (method, parameters, batch)
    assert event.rows == rows or method == "execute_script"
    assert event.error is None


def test_each_chunk_of_a_stream_is_an_event(session: DbSession, events: list[Event]) -> None:
    sql = "SELECT generate_series(1, $1::int) AS n"
    assert len(list(session.stream(sql, [5], chunk_rows=2))) == 5
    assert {(e.method, e.sql, e.parameters) for e in events} == {("stream", sql, 1)}
    assert [e.rows for e in events] == [2, 2, 1]


def test_an_event_has_the_error(session: DbSession, events: list[Event]) -> None:
    with pytest.raises(errors.DivisionByZero) as raised:
        session.query("SELECT 1 / $1::int", [0])
    with pytest.raises(TypeError):
        session.query("SELECT $1::int", [object()])
    divided, mistyped = events
    assert (divided.sqlstate, divided.rows, divided.parameters) == ("22012", 0, 1)
    assert divided.error is raised.value
    assert (mistyped.sqlstate, mistyped.parameters) == ("HY000", 1)
    assert isinstance(mistyped.error, TypeError)


def test_an_event_has_the_wait_for_a_connection(database: str, events: list[Event]) -> None:
    Database.configure(database, alias="one", max_size=1, acquire_timeout_secs=0.1)
    try:
        db("holds", alias="one").begin()
        with pytest.raises(errors.PoolTimeout):
            db("waits", alias="one").query("SELECT 'waits'")
        db("holds", alias="one").query("SELECT 'has it'")
    finally:
        finalize_db("waits")
        finalize_db("holds")
        Database.close("one")
    waits, has = events
    assert (waits.alias, waits.request_id, waits.sqlstate) == ("one", "waits", "08001")
    assert 0.08 < waits.wait_secs <= waits.seconds
    assert (waits.host, waits.port) == (None, None)
    assert has.wait_secs == 0
    assert has.port is not None
    assert waits.database == has.database


def test_an_event_of_a_lost_connection_says_where_it_led(
    session: DbSession, events: list[Event]
) -> None:
    session.query("SELECT 1")
    with pytest.raises(errors.OperationalError):
        session.query("SELECT pg_terminate_backend(pg_backend_pid())")
    first, lost = events
    assert (lost.host, lost.port) == (first.host, first.port)
    assert lost.host is not None


def test_hooks_are_called_in_order_and_each_once(session: DbSession) -> None:
    calls: list[str] = []

    @Database.on_statement
    def first(sql: str, seconds: float, rows: int, sqlstate: str | None) -> None:
        calls.append("first")

    @Database.on_statement
    def second(sql: str, seconds: float, rows: int, sqlstate: str | None) -> None:
        calls.append("second")

    @Database.on_event
    def third(event: Event) -> None:
        calls.append(event.sql)

    try:
        assert Database.on_statement(first) is first
        assert Database.on_event(third) is third
        session.query("SELECT 1")
        assert calls == ["first", "second", "SELECT 1"]
        Database.on_statement(None)
        session.query("SELECT 2")
        assert calls[3:] == ["SELECT 2"]
    finally:
        Database.on_statement(None)
        Database.on_event(None)
    session.query("SELECT 3")
    assert len(calls) == 4


def test_a_failing_hook_keeps_no_other_from_being_called(
    session: DbSession, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    Database.on_statement(fails)
    Database.on_statement(lambda *_: calls.append(1))
    Database.on_event(None)
    Database.on_event(fails)
    Database.on_event(events.append)
    try:
        assert session.query_value("SELECT 1") == 1
    finally:
        Database.on_statement(None)
    assert (calls, len(events)) == ([1], 1)
    assert "on_event hook" in caplog.text


@pytest.mark.parametrize("hook", [1, "text", ()])
def test_a_hook_that_cannot_be_called_is_refused(hook: Any) -> None:
    for register in (Database.on_statement, Database.on_event):
        with pytest.raises(TypeError, match="a hook must be a callable or None"):
            register(hook)


def test_the_configured_aliases(configured: str) -> None:
    Database.configure(configured, alias="b")
    Database.configure(configured, alias="a")
    try:
        assert Database.aliases() == ("default", "b", "a")
    finally:
        Database.close("a")
        Database.close("b")
    assert Database.aliases() == ("default",)
