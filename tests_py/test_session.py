"""What a session's methods return, raise and log, on a real PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
from either import db, finalize_db

from hypern import errors
from hypern.database import Database, DbSession

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture(autouse=True)
def users(session: DbSession) -> Iterator[None]:
    session.execute(
        "CREATE TABLE users (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, "
        "name text NOT NULL, email text UNIQUE, age int CHECK (age >= 0))"
    )
    yield
    session.execute("DROP TABLE users")


def add(session: DbSession, *names: str) -> None:
    session.execute_many("INSERT INTO users (name) VALUES ($1)", [[name] for name in names])


def test_query_returns_every_row_as_a_dict_in_column_order(session: DbSession) -> None:
    add(session, "Ann", "Bob")
    rows = session.query("SELECT name, id, age FROM users ORDER BY id")
    assert rows == [{"name": "Ann", "id": 1, "age": None}, {"name": "Bob", "id": 2, "age": None}]
    assert list(rows[0]) == ["name", "id", "age"]
    assert session.query("SELECT * FROM users WHERE name = $1", ["nobody"]) == []


def test_query_takes_lists_and_tuples_and_no_parameters(session: DbSession) -> None:
    assert session.query("SELECT $1::int + $2::int AS n", [1, 2]) == [{"n": 3}]
    assert session.query("SELECT $1::int + $2::int AS n", (1, 2)) == [{"n": 3}]
    assert session.query("SELECT 3 AS n", None) == [{"n": 3}]
    assert session.query("SELECT 3 AS n", []) == [{"n": 3}]


def test_query_without_a_result_returns_no_rows(session: DbSession) -> None:
    assert session.query("CREATE TEMP TABLE t (n int)") == []


def test_query_one_returns_the_first_row_or_raises(session: DbSession) -> None:
    add(session, "Ann", "Bob")
    assert session.query_one("SELECT name FROM users ORDER BY id") == {"name": "Ann"}
    with pytest.raises(RuntimeError, match="No rows returned") as caught:
        session.query_one("SELECT name FROM users WHERE id = $1", [99])
    assert type(caught.value) is errors.NoRows
    assert session.query_value("SELECT 1") == 1


def test_query_one_or_none_and_query_value(session: DbSession) -> None:
    add(session, "Ann")
    assert session.query_one_or_none("SELECT name FROM users") == {"name": "Ann"}
    assert session.query_one_or_none("SELECT name FROM users WHERE id = 99") is None
    assert session.query_value("SELECT count(*), 7 FROM users") == 1
    assert session.query_value("SELECT NULL::int") is None
    with pytest.raises(errors.NoRows, match="No rows returned"):
        session.query_value("SELECT 1 WHERE false")


def test_execute_counts_rows(session: DbSession) -> None:
    add(session, "Ann", "Bob", "Cid")
    assert session.execute("UPDATE users SET age = $1 WHERE id > $2", [30, 1]) == 2
    assert session.execute("SELECT * FROM users") == 3
    assert session.execute("DELETE FROM users WHERE id = 99") == 0
    assert session.execute("INSERT INTO users (name) VALUES ($1) RETURNING id", ["Dee"]) == 1
    assert session.execute("CREATE TEMP TABLE t (n int)") == 0


def test_a_statement_outside_a_transaction_commits_by_itself(session: DbSession) -> None:
    add(session, "Ann")
    assert session.state == "connected"
    assert not session.is_in_transaction
    assert db("another").query_value("SELECT count(*) FROM users") == 1
    finalize_db("another")


def test_a_session_keeps_one_connection(session: DbSession) -> None:
    pids = {session.query_value("SELECT pg_backend_pid()") for _ in range(5)}
    assert len(pids) == 1
    assert db("another").query_value("SELECT pg_backend_pid()") not in pids
    finalize_db("another")


def test_the_states_in_the_specifications_words(configured: str) -> None:
    session = db("states")
    assert session.request_id == "states"
    assert session.alias == "default"
    assert str(session.state) == "idle"
    session.query("SELECT 1")
    assert str(session.state) == "connected"
    session.begin()
    assert str(session.state) == "in_transaction"
    assert session.is_in_transaction
    session.commit()
    assert str(session.state) == "committed"
    session.begin()
    session.query("SELECT 1")
    session.rollback()
    assert str(session.state) == "rolled_back"
    finalize_db("states")
    assert session.state == "closed"


def test_setters_and_transaction_calls_return_the_session(session: DbSession) -> None:
    assert session.begin() is session
    assert session.commit() is session
    assert session.begin().rollback() is session
    assert session.set_auto_commit(False) is session
    assert not session.auto_commit
    assert session.set_auto_commit(True) is session
    assert session.set_error() is session
    assert session.has_error


def test_a_server_error_says_what_and_where(session: DbSession) -> None:
    session.execute("INSERT INTO users (name, email) VALUES ('Ann', 'a@x')")
    sql = "INSERT INTO users (name, email) VALUES ($1, $2)"
    with pytest.raises(errors.UniqueViolation) as caught:
        session.execute(sql, ["Bob", "a@x"])
    error = caught.value
    assert isinstance(error, RuntimeError)
    assert str(error) == (
        'PostgreSQL error: duplicate key value violates unique constraint "users_email_key" '
        "(SQLSTATE 23505)"
    )
    assert (error.sqlstate, error.severity) == ("23505", "ERROR")
    assert (error.schema, error.table, error.constraint) == ("public", "users", "users_email_key")
    assert error.detail == "Key (email)=(a@x) already exists."
    assert error.sql == sql
    with pytest.raises(errors.UndefinedColumn) as undefined:
        session.query("SELECT nam FROM users")
    assert undefined.value.position == 8
    assert undefined.value.hint is not None


def test_timeout_cancels_the_statement_and_leaves_the_session_usable(session: DbSession) -> None:
    session.query("SELECT 1")  # the short time is not spent on connecting
    started = time.monotonic()
    with pytest.raises(errors.QueryCanceled):
        session.query("SELECT pg_sleep(30)", timeout=0.2)
    assert time.monotonic() - started < 5
    assert session.query_value("SELECT 1") == 1


def test_statement_timeout_secs_is_the_servers(database: str) -> None:
    Database.configure(database, statement_timeout_secs=0.2, alias="hasty")
    with pytest.raises(errors.QueryCanceled):
        db("timeout", alias="hasty").query("SELECT pg_sleep(30)")
    finalize_db("timeout")
    Database.close("hasty")


def test_threads_take_turns_on_one_session(session: DbSession) -> None:
    results: list[int] = []

    def work(n: int) -> None:
        results.extend(session.query_value("SELECT $1::int", [n]) for _ in range(50))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(n for n in range(8) for _ in range(50))


def test_json_hooks_of_the_alias_are_used(database: str) -> None:
    Database.configure(
        database,
        alias="hooked",
        json_loads=lambda text: ("loaded", bytes(text) if isinstance(text, bytes) else text),
        json_dumps=lambda value: '{"dumped": true}',
    )
    session = db("hooks", alias="hooked")
    word, text = session.query_value("SELECT $1::json", [{"n": Decimal(1)}])
    assert word == "loaded"
    assert (text if isinstance(text, str) else text.decode()) == '{"dumped": true}'
    finalize_db("hooks")
    Database.close("hooked")


def test_a_large_result_and_a_large_parameter_arrive_whole(session: DbSession) -> None:
    rows = session.query("SELECT n, repeat('x', 100) AS text FROM generate_series(1, 50000) AS n")
    assert len(rows) == 50_000
    assert rows[-1] == {"n": 50_000, "text": "x" * 100}
    big = "\u00e9" * 5_000_000
    assert session.query_value("SELECT length($1::text)", [big]) == len(big)
    assert session.query_value("SELECT $1::text", [big]) == big


def test_a_changed_table_is_noticed_outside_a_transaction(session: DbSession) -> None:
    add(session, "Ann")
    sql = "SELECT * FROM users"
    assert "extra" not in session.query(sql)[0]
    db("another").execute("ALTER TABLE users ADD extra int DEFAULT 7")
    finalize_db("another")
    assert session.query(sql)[0]["extra"] == 7
