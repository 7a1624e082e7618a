"""What a cached statement was parsed under: it is used only where that still holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import statement_scenarios
from either import db, scope

from hypern import errors
from hypern.database import Database

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture(params=["named", "describe", "off"])
def cached(database: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """One connection as "default", whose statements are kept in each way, and another session."""
    Database.close()
    Database.configure(database, max_size=1, acquire_timeout_secs=5, statement_cache=request.param)
    Database.configure(database, max_size=1, acquire_timeout_secs=5, alias="other")
    yield request.param
    Database.close()


@pytest.mark.parametrize(
    "scenario",
    statement_scenarios.DIRECT.values(),
    ids=list(statement_scenarios.DIRECT),
)
def test_a_change_under_a_cached_statement_is_noticed(
    cached: str, scenario: Callable[[], None]
) -> None:
    scenario()


# A column's type, a value, the type that another session alters it to, and a value for that.
ALTERED: list[tuple[str, Any, str, Any]] = [
    ("float4", 1.5, "float8", 1234567.891),
    ("float8", 1.5, "numeric", Decimal("1234567890123456789.123")),
    ("int4", 7, "text", "007"),
    ("bool", True, "text", "yes"),
    ("date", "2024-02-03", "text", "03.02.2024"),
    ("uuid", "7f7cbfc4-8d4f-4d57-a1b5-6f0f1d6f5b3a", "text", "7F7CBFC48D4F4D57A1B56F0F1D6F5B3A"),
    ("interval", "1 day", "text", "24:00"),
    ("jsonb", {"a": 1}, "text", '{"a": 1, "a": 2}'),
    ("timestamp", "2024-02-03 04:05", "date", "2024-02-03"),
]


@pytest.fixture(params=["named", "describe"])
def aging(database: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """As `cached`, with statements that are reused for a fifth of a second."""
    Database.close()
    Database.configure(
        database, max_size=1, statement_cache=request.param, statement_max_age_secs=0.2
    )
    Database.configure(database, max_size=1, alias="other")
    yield
    Database.close()


@pytest.mark.usefixtures("aging")
@pytest.mark.parametrize(("before", "old", "after", "new"), ALTERED)
def test_another_sessions_alter_table_is_noticed_within_statement_max_age_secs(
    before: str, old: Any, after: str, new: Any
) -> None:
    with scope():
        other = db(alias="other")
        other.execute("DROP TABLE IF EXISTS altered")
        other.execute(f"CREATE TABLE altered (v {before})")
    with scope():
        for _ in range(2):
            db().execute("INSERT INTO altered VALUES ($1)", [old])
            db().query("SELECT v FROM altered")
        db(alias="other").execute("DELETE FROM altered")
        db(alias="other").execute(f"ALTER TABLE altered ALTER v TYPE {after} USING NULL")
        time.sleep(0.25)
        db().execute("INSERT INTO altered VALUES ($1)", [new])
        stored = db(alias="other").query_value("SELECT v::text FROM altered")
        assert stored == str(new)


def _parses(session: Any) -> int:
    return int(
        session.query_value(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT 17 AS kept'"
        )
    )


def test_a_statement_is_kept_for_statement_max_age_secs_and_not_longer(database: str) -> None:
    Database.close()
    for age, expected in [(0.1, False), (None, True), (60, True)]:
        Database.configure(database, max_size=1, statement_max_age_secs=age)
        with scope():
            session = db()
            name = (
                "SELECT name FROM pg_prepared_statements WHERE statement = 'SELECT 17 AS kept'"
                " ORDER BY prepare_time DESC"
            )
            session.execute("SELECT 17 AS kept")
            first = session.query_value(name)
            session.execute("SELECT 17 AS kept")
            assert session.query_value(name) == first
            time.sleep(0.15)
            session.execute("SELECT 17 AS kept")
            assert (session.query_value(name) == first) is expected
        Database.close()


@pytest.mark.parametrize("age", [0, -1, float("nan"), "60", True])
def test_statement_max_age_secs_is_checked(database: str, age: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match="statement_max_age_secs"):
        Database.configure(database, alias="aged", statement_max_age_secs=age)


def test_settings_that_come_again_find_their_statements(database: str) -> None:
    """Tenants that alternate cost no parsing, nor does a request's own TimeZone."""
    Database.close()
    Database.configure(database, max_size=1)
    count = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT 18 %'"
    for turn in range(6):
        with scope(), db().transaction():
            db().execute(f"SET LOCAL search_path TO path{turn % 2}")
            assert db().query_value("SELECT 18 AS kept") == 18
            assert db().query_value(count) == min(turn + 1, 2)
    for _ in range(3):
        with scope():
            db().execute("SET TIME ZONE 'Asia/Tokyo'")
            db().query_value("SELECT set_config('app.user', $1, false)", ["alice"])
            assert db().query_value("SELECT 18 AS kept") == 18
            assert db().query_value(count) == 3
    Database.close()


CHANGES_ENCODING = [
    "SET client_encoding TO latin1",
    "SET LOCAL client_encoding TO latin1",
    "SELECT set_config('client_encoding', 'latin1', false)",
    "DO $$ BEGIN SET client_encoding TO 'SQL_ASCII'; END $$",
    "SET NAMES 'win1252'",
]


@pytest.mark.parametrize("change", CHANGES_ENCODING)
def test_another_client_encoding_is_refused_and_undone(cached: str, change: str) -> None:
    word = "naïve ‰ 日本"
    with scope():
        db().execute("CREATE TEMP TABLE words (w text)")
        db().begin()
        with pytest.raises(errors.NotSupportedError, match="client_encoding must stay UTF8"):
            db().execute(change)
        db().execute("INSERT INTO words VALUES ($1)", [word])
        db().commit()
        if "LOCAL" not in change:
            with pytest.raises(errors.NotSupportedError, match="client_encoding must stay UTF8"):
                db().execute(change)
        db().execute("INSERT INTO words VALUES ($1)", [word])
        assert (
            db().query("SELECT w, length(w) AS n FROM words") == [{"w": word, "n": len(word)}] * 2
        )
        assert db().query_value("SHOW client_encoding") == "UTF8"
    with scope():
        assert db().query_value("SELECT $1::text", [word]) == word


def test_an_aborted_transaction_takes_its_client_encoding_along(cached: str) -> None:
    with scope():
        db().begin()
        with pytest.raises(errors.DivisionByZero):
            db().execute("DO $$ BEGIN SET client_encoding TO 'LATIN1'; PERFORM 1 / 0; END $$")
        db().rollback()
        assert db().query_value("SELECT $1::text", ["ü"]) == "ü"


def test_rows_that_change_client_encoding_are_not_stored(cached: str) -> None:
    insert = (
        "WITH q AS (SELECT set_config('client_encoding', 'latin1', false) AS c)"
        " INSERT INTO words SELECT $1 FROM q WHERE c IS NOT NULL"
    )
    with scope():
        db().execute("CREATE TEMP TABLE words (w text)")
        for nested in (False, True):
            if nested:
                db().begin()
            with pytest.raises(errors.NotSupportedError, match="client_encoding must stay UTF8"):
                db().execute_many(insert, [["ü"]] * 3)
            db().execute("INSERT INTO words VALUES ($1)", ["ü"])
            if nested:
                db().commit()
        assert db().query("SELECT w FROM words") == [{"w": "ü"}] * 2
        indifferent = "SELECT set_config($1, $2, false)"
        assert db().execute_many(indifferent, [["app.a", "1"], ["app.b", "2"]]) == 2
        assert db().query_value("SELECT current_setting('app.b')") == "2"


def test_a_stream_that_changes_client_encoding_ends(cached: str) -> None:
    changing = (
        "SELECT n, set_config('client_encoding', 'latin1', false) FROM generate_series(1, 9) n"
    )
    with scope():
        db().execute("CREATE TEMP TABLE words (w text)")
        for nested in (False, True):
            if nested:
                db().begin()
            with pytest.raises(errors.NotSupportedError, match="client_encoding must stay UTF8"):
                next(db().stream(changing, chunk_rows=2))
            db().execute("INSERT INTO words VALUES ($1)", ["ü"])
            if nested:
                db().commit()
        assert db().query("SELECT w FROM words") == [{"w": "ü"}] * 2


@pytest.mark.usefixtures("cached")
def test_a_statement_that_was_running_when_its_connection_was_lost_is_not_safe_to_retry() -> None:
    ends = "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)"
    for _ in range(2):
        with scope(), pytest.raises(errors.ConnectionLost) as raised:
            db().query(ends)
        assert not raised.value.safe_to_retry
