"""Backends that are terminated; a server that restarts, is down or full."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from reliability.own_server import PASSWORD, OwnServer
from reliability.tally import Tally
from support import wait_until

from hypern import errors
from hypern.database import Database, db, finalize_db, scope

_CONNECTIONS = 8  # of the fixture `default`

_TERMINATE = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = $1
"""


def _terminate(alias: str) -> int:
    with scope():
        ended: int = db(alias="admin").query_value(_TERMINATE, [alias])
        return ended


def _serve(requests: int) -> list[errors.Error]:
    """Serve requests, a few at a time, and collect what went wrong."""

    def serve(n: int) -> errors.Error | None:
        try:
            with scope(), db().transaction() as session:
                assert session.query_value("SELECT $1::int", [n]) == n
        except errors.Error as error:
            return error
        return None

    with ThreadPoolExecutor(_CONNECTIONS) as executor:
        return [error for error in executor.map(serve, range(requests)) if error is not None]


def _hold(count: int) -> list[str]:
    """Open sessions, in a transaction each; their request ids."""
    ids = [f"holder-{n}" for n in range(count)]
    for request_id in ids:
        db(request_id).begin().query_value("SELECT 1")
    return ids


def _fill_the_pool() -> None:
    for request_id in _hold(_CONNECTIONS):
        finalize_db(request_id)
    assert Database.status().available == _CONNECTIONS


def _lose_what_is_held(ids: list[str]) -> None:
    """Each connection in use costs its request one error, and no other request any."""
    assert _serve(3 * _CONNECTIONS) == []
    for request_id in ids:
        with pytest.raises(errors.ConnectionLost) as caught:
            db(request_id).query("SELECT 1")
        assert not caught.value.safe_to_retry
        with pytest.raises(errors.TransactionAborted):  # it went on after that error
            finalize_db(request_id)
    assert _serve(3 * _CONNECTIONS) == []
    status = Database.status()
    assert (status.in_use, status.waiting, status.last_error) == (0, 0, None)


def test_terminated_idle_connections_cost_no_error(
    default: OwnServer, tally: Tally, full: bool
) -> None:
    rounds = 10 if full else 1
    for _ in range(rounds):
        _fill_the_pool()
        assert _terminate("default") == _CONNECTIONS
        assert _serve(3 * _CONNECTIONS) == []
    tally.add("`pg_terminate_backend` of idle connections", rounds * _CONNECTIONS, "no error")


def test_terminated_connections_in_use_cost_one_error_each(
    default: OwnServer, tally: Tally
) -> None:
    _fill_the_pool()
    ids = _hold(_CONNECTIONS // 2)
    _terminate("default")
    _lose_what_is_held(ids)
    tally.add("`pg_terminate_backend` of connections in use", len(ids), "one error each")


def test_a_terminated_statement_is_lost_and_may_have_run(default: OwnServer, tally: Tally) -> None:
    def sleep() -> errors.ConnectionLost:
        with scope() as request_id:
            with pytest.raises(errors.ConnectionLost) as caught:
                db(request_id).query(sleeping)
            return caught.value

    sleeping = "SELECT pg_sleep(30) /* to be terminated */"
    busy = "SELECT count(*) FROM pg_stat_activity WHERE query = $1 AND state = 'active'"
    with ThreadPoolExecutor(_CONNECTIONS) as executor:
        lost = [executor.submit(sleep) for _ in range(_CONNECTIONS)]
        with scope():
            wait_until(lambda: db(alias="admin").query_value(busy, [sleeping]) == _CONNECTIONS)
        _terminate("default")
        for error in [future.result() for future in lost]:
            assert (error.sqlstate, error.safe_to_retry) == ("57P01", False)
    assert _serve(_CONNECTIONS) == []
    tally.add("`pg_terminate_backend` of running statements", _CONNECTIONS, "one error each")


def test_a_goodbye_in_place_of_an_answer_is_safe_to_retry(default: OwnServer) -> None:
    """The server ends the connection between two statements of a request."""
    with scope():
        db().query_value("SELECT 1")
        db().query_value("SELECT 1")
        _terminate("default")
        with pytest.raises(errors.ConnectionLost) as caught:
            db().query_value("SELECT 1")
        assert caught.value.safe_to_retry
        assert db().query_value("SELECT 1") == 1


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_restart_costs_one_error_per_connection_in_use(
    default: OwnServer, tally: Tally, how: str
) -> None:
    _fill_the_pool()
    ids = _hold(2)
    default.restart(how)
    _lose_what_is_held(ids)
    tally.add(f"server restart, {how}, idle pool", 1, "one error per connection in use")


@pytest.fixture
def load(default: OwnServer) -> Iterator[list[list[errors.Error]]]:
    """Threads that serve requests as long as the test runs; per thread, what went wrong."""
    stop = threading.Event()
    failures: list[list[errors.Error]] = [[] for _ in range(_CONNECTIONS)]

    def serve(mine: list[errors.Error]) -> None:
        while not stop.is_set():
            mine += _serve_one()

    threads = [threading.Thread(target=serve, args=(mine,)) for mine in failures]
    for thread in threads:
        thread.start()
    yield failures
    stop.set()
    for thread in threads:
        thread.join(30)


def _serve_one() -> list[errors.Error]:
    try:
        with scope(), db().transaction() as session:
            session.query_value("SELECT 1")
            session.query_value("SELECT 2")
    except errors.Error as error:
        return [error]
    return []


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_restart_under_load_costs_one_error_per_connection(
    default: OwnServer, load: list[list[errors.Error]], tally: Tally, how: str
) -> None:
    time.sleep(0.3)
    default.restart(how)
    time.sleep(0.5)
    # A thread may meet a second connection that is about to end, but each costs one error only.
    assert sum(len(mine) for mine in load) <= _CONNECTIONS, load
    assert all(isinstance(error, errors.ConnectionLost) for mine in load for error in mine), load
    assert _serve_one() == []
    tally.add(f"server restart, {how}, {_CONNECTIONS} threads at work", 1, "at most an error each")


@pytest.mark.usefixtures("thorough")
def test_a_server_that_stays_away_is_told_at_once_and_found_again(
    default: OwnServer, tally: Tally
) -> None:
    _fill_the_pool()
    default.stop()
    began = time.monotonic()
    patient = _serve_one()
    waited = time.monotonic() - began
    assert len(patient) == 1
    assert 4 < waited < 8, waited
    assert patient[0].safe_to_retry
    told = Database.status().last_error
    assert told is not None
    assert "refused" in told
    began = time.monotonic()
    assert len(_serve(100)) == 100
    assert time.monotonic() - began < 8
    default.start()
    wait_until(lambda: _serve_one() == [], 3)
    assert Database.status().last_error is None
    assert _serve(_CONNECTIONS) == []
    tally.add("server away for longer", 1, "an error after 5 s, then at once; found within 2 s")


def test_a_server_that_is_down_at_the_start_is_told_at_once(
    own_server: OwnServer, tally: Tally
) -> None:
    Database.configure(own_server.url(), alias="early", password=PASSWORD)
    own_server.stop()
    with scope():
        began = time.monotonic()
        with pytest.raises(errors.OperationalError, match="refused") as caught:
            db(alias="early").query("SELECT 1")
        assert caught.value.safe_to_retry
        assert time.monotonic() - began < 1
        assert "refused" in (Database.status("early").last_error or "")
        own_server.start()
        assert db(alias="early").query_value("SELECT 1") == 1
    Database.close("early")
    tally.add("server down at start", 1, "an error at once; served when it is up")


def test_too_many_connections_wait_for_those_that_the_pool_has(
    default: OwnServer, tally: Tally
) -> None:
    with scope():
        db(alias="admin").execute("ALTER ROLE alice NOSUPERUSER CONNECTION LIMIT 2")
    try:
        assert _serve(10 * _CONNECTIONS) == []
        assert Database.status().size <= 2
        assert "too many connections" in (Database.status().last_error or "")
    finally:
        with scope():
            db(alias="admin").execute("ALTER ROLE alice SUPERUSER CONNECTION LIMIT -1")
    wait_until(lambda: _serve(_CONNECTIONS) == [] and Database.status().size > 2)
    tally.add("53300, with room for 2 of 8 connections", 10 * _CONNECTIONS, "all served by the two")


def test_too_many_connections_at_the_start_are_told(own_server: OwnServer, tally: Tally) -> None:
    with scope():
        db(alias="admin").execute("ALTER ROLE alice NOSUPERUSER CONNECTION LIMIT 0")
        try:
            Database.configure(own_server.url(), alias="full", password=PASSWORD)
            with pytest.raises(errors.TooManyConnections) as caught:
                db(alias="full").query("SELECT 1")
            assert caught.value.safe_to_retry
        finally:
            db(alias="admin").execute("ALTER ROLE alice SUPERUSER CONNECTION LIMIT -1")
        assert db(alias="full").query_value("SELECT 1") == 1
    Database.close("full")
    tally.add("53300 at start", 1, "TooManyConnections; served when there is room")
