"""The error of a cancelled statement names what ended it."""

from __future__ import annotations

import threading
import time

import pytest
from either import db, finalize_db, scope
from support import wait_until

from hypern import errors
from hypern.database import Database, DbSession

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture
def pid(session: DbSession) -> int:
    """The backend of the session, whose times are then not spent on connecting."""
    found: int = session.query_value("SELECT pg_backend_pid()")
    return found


def _wait_until_it_sleeps(pid: int) -> None:
    sleeps = "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $1"
    wait_until(lambda: bool(db("other").query_value(sleeps, [pid])))
    finalize_db("other")


@pytest.mark.usefixtures("pid")
def test_a_timeout(session: DbSession) -> None:
    with pytest.raises(errors.QueryCanceled) as caught:
        session.query("SELECT pg_sleep(20)", timeout=0.25)
    assert caught.value.args == ("canceling statement due to timeout=0.25 s",)
    assert (caught.value.sqlstate, caught.value.severity) == ("57014", "ERROR")
    with pytest.raises(errors.QueryCanceled, match=r"timeout=0\.2 s"):
        session.execute_many("SELECT pg_sleep($1)", [[0], [20]], timeout=0.2)


@pytest.mark.usefixtures("pid")
def test_a_timeout_behind_an_aborted_transaction(session: DbSession) -> None:
    session.begin()
    with pytest.raises(errors.QueryCanceled):
        session.query("SELECT pg_sleep(20)", timeout=0.2)
    with pytest.raises(errors.TransactionAborted) as aborted:
        session.commit()
    assert "timeout=0.2 s" in str(aborted.value.__cause__)


def test_a_timeout_in_a_turn_that_never_came(session: DbSession, pid: int) -> None:
    thread = threading.Thread(target=session.query, args=("SELECT pg_sleep(2)",))
    thread.start()
    _wait_until_it_sleeps(pid)
    with pytest.raises(errors.QueryCanceled, match=r"timeout=0\.2 s passed"):
        session.query("SELECT 1", timeout=0.2)
    thread.join()


def test_the_servers_own_limit(session: DbSession) -> None:
    session.execute("SET statement_timeout = 100")
    with pytest.raises(errors.QueryCanceled, match="setting statement_timeout"):
        session.query("SELECT pg_sleep(20)", timeout=5)


def test_another_session(session: DbSession, pid: int) -> None:
    def cancel() -> None:
        _wait_until_it_sleeps(pid)
        db("other").query_value("SELECT pg_cancel_backend($1)", [pid])
        finalize_db("other")

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(errors.QueryCanceled, match="by another session"):
        session.query("SELECT pg_sleep(20)")
    thread.join()


def test_what_the_server_has_not_said_does_not_claim_to_be_its(session: DbSession) -> None:
    with pytest.raises(errors.UndefinedTable, match=r"^PostgreSQL error: "):
        session.query("SELECT * FROM nothing")
    session.begin()
    with pytest.raises(errors.DivisionByZero):
        session.query("SELECT 1/0")
    with pytest.raises(errors.InFailedSqlTransaction) as aborted, session.transaction():
        pass
    session.rollback()
    assert str(aborted.value).startswith("the transaction was aborted by an earlier error")
    assert (aborted.value.severity, aborted.value.sqlstate) == (None, "25P02")
    with pytest.raises(errors.QueryCanceled) as canceled:
        session.query("SELECT length($1::text)", ["x" * 100_000_000], timeout=0.02)
    assert str(canceled.value).startswith("timeout=0.02 s passed")
    assert canceled.value.safe_to_retry


class _StopError(Exception):
    pass


@pytest.mark.parametrize("stop", [_StopError, TimeoutError, KeyboardInterrupt])
@pytest.mark.parametrize("known", [False, True])
def test_what_is_raised_while_parameters_are_encoded_is_not_replaced(
    database: str, stop: type[BaseException], known: bool
) -> None:
    """As by a signal handler, or by a converter, after the time has passed."""

    def dumps(value: object) -> str:
        if value != {"slow": True}:
            return "{}"
        time.sleep(0.1)
        raise stop

    Database.configure(database, alias="dumps", json_dumps=dumps)
    with scope():
        session = db(alias="dumps")
        if known:
            assert session.query_value("SELECT $1::json", [{}]) == {}
            assert session.execute_many("SELECT $1::json", [[{}]]) == 1
        with pytest.raises(stop):
            session.query_value("SELECT $1::json", [{"slow": True}], timeout=0.05)
        with pytest.raises(stop):
            session.execute_many("SELECT $1::json", [[{}], [{"slow": True}]], timeout=0.05)
        assert session.query_value("SELECT 1") == 1
    Database.close("dumps")
