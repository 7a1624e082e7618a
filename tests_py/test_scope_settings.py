"""Settings and role of a scope: every statement runs in a transaction that has them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import either
import pytest
from either import db, scope

from hypern.database import Database, DbSession
from hypern.errors import (
    ConfigurationError,
    InsufficientPrivilege,
    InterfaceError,
    InvalidParameterValue,
    UndefinedTable,
)

pytestmark = pytest.mark.usefixtures("kind", "configured")

USER = {"app.user_id": "42"}
SHOW = "SELECT current_setting('app.user_id', true)"


def shown() -> Any:
    return db().query_value(SHOW)


def test_they_hold_for_the_first_statement_and_each_that_follows() -> None:
    for _ in range(3):
        with scope(settings=USER):
            assert [shown(), shown()] == ["42", "42"]
    with scope():
        assert shown() in (None, "")


def test_they_imply_a_transaction() -> None:
    with scope(settings=USER):
        shown()
        assert db().is_in_transaction


def test_a_value_is_no_sql_and_any_text() -> None:
    text = 'O\'Brien \\ "$1" ; -- ü\n\x01'
    with scope(settings={"app.user_id": text, "app.other": ""}):
        assert shown() == text
        assert db().query_value("SELECT current_setting('app.other')") == ""


def _rows(session: DbSession) -> Any:
    return [row["v"] for row in session.stream(f"{SHOW} AS v")]


def _many(session: DbSession) -> Any:
    session.execute_many(
        "INSERT INTO seen VALUES ($1, current_setting('app.user_id', true))", [[1]]
    )
    return session.query_values("SELECT v FROM seen")


def _script(session: DbSession) -> Any:
    session.execute_script(
        "INSERT INTO seen VALUES (1, current_setting('app.user_id', true)); SELECT 1"
    )
    return session.query_values("SELECT v FROM seen")


def _steps(session: DbSession) -> Any:
    session.execute_script(
        "COMMIT; INSERT INTO seen VALUES (1, current_setting('app.user_id', true)); COMMIT; "
        "INSERT INTO seen VALUES (2, current_setting('app.user_id', true))",
        atomic=False,
    )
    return session.query_values("SELECT DISTINCT v FROM seen")


def _value(session: DbSession) -> Any:
    return [session.query_value(SHOW)]


KINDS: list[Callable[[DbSession], Any]] = [_value, _rows, _many, _script, _steps]


@pytest.fixture
def seen(kind: str, configured: str) -> None:
    with scope():
        db().execute("DROP TABLE IF EXISTS seen")
        db().execute("CREATE TABLE seen (n int, v text)")


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize("run", KINDS)
def test_every_kind_of_statement_has_them(run: Callable[[DbSession], Any]) -> None:
    for _ in range(2):
        with scope(settings=USER):
            assert run(db()) == ["42"]
            db().rollback()
            db().execute("TRUNCATE seen")


def _each(*calls: Callable[[DbSession], object]) -> Callable[[DbSession], None]:
    def call_all(session: DbSession) -> None:
        for call in calls:
            call(session)

    return call_all


def _commit(session: DbSession) -> None:
    session.commit()


def _sql(text: str) -> Callable[[DbSession], object]:
    return lambda session: session.execute(text)


def _fail(session: DbSession) -> None:
    with pytest.raises(UndefinedTable):
        session.execute("SELECT * FROM nowhere")


def _fail_in_block(session: DbSession) -> None:
    class BugError(Exception):
        pass

    with contextlib.suppress(BugError), session.transaction():
        session.query_value(SHOW)
        raise BugError


ENDS: dict[str, Callable[[DbSession], object]] = {
    "commit()": _commit,
    "rollback()": lambda s: s.rollback(),
    "COMMIT": _sql("COMMIT"),
    "ROLLBACK": _sql("ROLLBACK"),
    "COMMIT AND CHAIN": _sql("COMMIT AND CHAIN"),
    "ROLLBACK AND CHAIN": _sql("ROLLBACK AND CHAIN"),
    "a raw BEGIN": _each(_commit, _sql("BEGIN")),
    "a raw BEGIN with options": _each(_commit, _sql("START TRANSACTION READ WRITE")),
    "begin()": _each(_commit, lambda s: s.begin()),
    "begin() with options": _each(_commit, lambda s: s.begin(isolation="serializable")),
    "a script": lambda s: s.execute_script("COMMIT AND CHAIN", atomic=False),
    "an error": _each(_fail, lambda s: s.rollback()),
    "a savepoint": _each(_sql("SAVEPOINT a"), _fail, _sql("ROLLBACK TO a")),
    "a block that raises": _fail_in_block,
    "a first block that raises": _each(_commit, _fail_in_block),
    "a chain and a block": _each(_sql("COMMIT AND CHAIN"), _fail_in_block),
    "nothing": lambda s: None,
}


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize("end", list(ENDS))
def test_they_hold_again_after_the_transaction_has_ended(end: str) -> None:
    for run in KINDS[:4]:
        with scope(settings={**USER, "search_path": "public, pg_catalog"}):
            assert shown() == "42"
            ENDS[end](db())
            assert run(db()) == ["42"]
            assert db().query_value("SHOW search_path") == "public, pg_catalog"
            db().rollback()


def test_a_setting_that_the_server_refuses_names_its_place_and_no_value_of_ours() -> None:
    with scope(settings={"work_mem": "plenty"}):
        for _ in range(2):
            with pytest.raises(InvalidParameterValue, match=r"work_mem.*\(in settings= or role="):
                shown()
            db().rollback()


@pytest.mark.usefixtures("seen")
def test_a_role_that_does_not_exist_is_refused() -> None:
    runs = (_value, _rows, lambda s: s.execute_script("SELECT 1"), _many)
    for run in runs:
        with scope(role="nobody_of_that_name"):
            with pytest.raises(InvalidParameterValue, match=r"role .* \(in settings= or role="):
                run(db())
            db().rollback()


@pytest.fixture
def roles(kind: str, configured: str) -> Iterator[None]:
    with scope():
        db().execute_script(
            "DROP TABLE IF EXISTS secrets; CREATE TABLE secrets (n int);"
            "DROP ROLE IF EXISTS app_reader; CREATE ROLE app_reader;"
            "GRANT SELECT ON secrets TO app_reader"
        )
    yield
    with scope():
        db().execute_script("DROP TABLE secrets; DROP ROLE app_reader")


@pytest.mark.usefixtures("roles")
def test_the_role_holds_for_each_transaction_and_is_set_last() -> None:
    with scope(role="app_reader", settings={"statement_timeout": "77s"}):
        for _ in range(2):
            assert db().query_value("SELECT current_user") == "app_reader"
            assert db().query_value("SHOW statement_timeout") == "77s"
            with pytest.raises(InsufficientPrivilege):
                db().execute("INSERT INTO secrets VALUES (1)")
            db().rollback()
    with scope():
        assert db().query_value("SELECT current_user") != "app_reader"


def test_an_alias_can_require_them(configured: str) -> None:
    Database.configure(configured, alias="strict", max_size=1, settings="required")
    with scope():
        session = db(alias="strict")
        for call in (
            lambda: session.query(SHOW),
            lambda: session.execute_many("SELECT $1::int", [[1]]),
            lambda: session.execute_script("SELECT 1"),
            lambda: list(session.stream(SHOW)),
            session.begin,
        ):
            with pytest.raises(InterfaceError, match='alias "strict" requires settings'):
                call()
        assert session.state == "idle"
    with scope(role="postgres"), pytest.raises(InterfaceError, match="requires settings"):
        db(alias="strict").query(SHOW)
    with pytest.raises(InterfaceError, match="requires settings"):
        db("by hand", alias="strict").query(SHOW)
    either.finalize_db("by hand")
    with scope(settings=USER):
        assert db(alias="strict").query_value(SHOW) == "42"
    either.close("strict")


def test_set_local_adds_to_them_for_the_rest_of_the_scope() -> None:
    with scope(settings=USER):
        assert db().set_local(**{"app.tenant": "t7"}).query_value(SHOW) == "42"
        for _ in range(2):
            assert db().query_value("SELECT current_setting('app.tenant')") == "t7"
            assert shown() == "42"
            db().commit()
        db().set_local(**{"app.user_id": "43"})
        assert shown() == "43"
        db().execute("COMMIT AND CHAIN")
        assert shown() == "43"
    with scope():
        assert db().query_value("SELECT current_setting('app.tenant', true)") in (None, "")


def test_set_local_in_a_block_that_raises_still_holds() -> None:
    with scope(settings=USER):
        assert shown() == "42"
        for _ in range(2):
            with pytest.raises(UndefinedTable), db().transaction():  # noqa: PT012
                db().set_local(**{"app.user_id": "43"})
                assert shown() == "43"
                db().execute("SELECT * FROM nowhere")
            assert shown() == "43"
        with db().transaction():
            db().set_local(**{"app.user_id": "44"})
        assert shown() == "44"


def test_set_local_without_a_scope_ends_with_the_transaction() -> None:
    with scope():
        with pytest.raises(InterfaceError, match=r"set_local\(\) outside a transaction"):
            db().set_local(**USER)
        with db().transaction():
            db().set_local(**USER)
            assert shown() == "42"
            assert shown() == "42"
        assert shown() in (None, "")
        db().execute("BEGIN")
        db().set_local(**USER)
        assert shown() == "42"
        db().rollback()
        assert shown() in (None, "")


def test_set_local_refuses_what_scope_refuses() -> None:
    with scope(settings=USER):
        with pytest.raises(ConfigurationError, match="is no name of a setting"):
            db().set_local(**{"app.'": "1"})
        with pytest.raises(ConfigurationError, match="must be a str, not int"):
            db().set_local(work_mem=4)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="pass role="):
            db().set_local(role="x")


def test_a_time_zone_among_them_is_that_of_the_first_value() -> None:
    from datetime import datetime, timedelta, timezone

    noon = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)
    sql = "SELECT $1::timestamp"
    for _ in range(2):
        with scope(settings={"TimeZone": "Asia/Tokyo"}):
            for _ in range(2):
                assert db().query_value(sql, [noon]) == datetime(2026, 7, 1, 21)
        with scope():
            zone = db().query_value("SHOW TimeZone")
            with db().transaction():
                assert zone == db().query_value("SHOW TimeZone")
            expected = db().query_value("SELECT ($1::timestamptz)::timestamp", [noon])
            assert db().query_value(sql, [noon]) == expected
    assert noon - timedelta(0) == noon


def test_a_script_does_not_set_them_for_the_session() -> None:
    with scope(settings={**USER, "search_path": "pg_catalog"}):
        db().execute_script("SELECT 1; COMMIT; SELECT 2", atomic=False)
        db().execute("COMMIT")
        db().execute("BEGIN")
        db().rollback()
        db().execute_script("COMMIT", atomic=False)
    with scope():
        assert shown() in (None, "")
        assert db().query_value("SHOW search_path") != "pg_catalog"


def test_a_scopes_id_has_them_anywhere() -> None:
    with scope("job-7", settings=USER):
        assert db("job-7").query_value(SHOW) == "42"


def test_they_are_kept_when_the_connections_statements_are_gone() -> None:
    for _ in range(2):
        with scope(settings=USER):
            assert shown() == "42"
    with scope():
        db().execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
        with scope(settings=USER):
            assert shown() == "42"
    for _ in range(4):
        with scope(settings=USER):
            db().execute("DEALLOCATE ALL")
            assert shown() == "42"


def test_a_statement_that_is_stale_is_run_anew_with_them() -> None:
    with scope():
        db().execute("DROP TABLE IF EXISTS altered")
        db().execute("CREATE TABLE altered (n int)")
        db().execute("INSERT INTO altered VALUES (1)")
    sql = "SELECT *, current_setting('app.user_id', true) AS u FROM altered"
    for column in "abc":
        with scope(settings={**USER, "search_path": "public"}):
            db().query(sql)
        with scope():
            db().execute(f"ALTER TABLE altered ADD COLUMN {column} int")
        with scope(settings={**USER, "search_path": "public"}):
            row = db().query_one(sql)
            assert column in row
            assert row["u"] == "42"
            assert db().query_one(sql) == row


def test_holders_and_logs_have_no_value(caplog: pytest.LogCaptureFixture) -> None:
    with scope(settings={"app.user_id": "hunter2"}):
        shown()
        text = json.dumps([repr(h) for h in Database.status().holders])
        assert "hunter2" not in text + repr(db()) + caplog.text
