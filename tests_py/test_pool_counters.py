"""What `Database.status()` has counted since the pool's first use; `ready` and `drain`."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from either import db, finalize_db, run
from support import url_with, wait_until

from hypern import errors
from hypern.database import Database, PoolStatus

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture
def url(database: str) -> Iterator[str]:
    yield database
    Database.close()


def status() -> PoolStatus:
    return Database.status()


def end(request_id: str) -> None:
    """Finalize it, and wait until its connection is free or gone."""
    finalize_db(request_id)
    wait_until(lambda: status().in_use == 0)


def test_before_first_use_all_are_zero(url: str) -> None:
    Database.configure(url)
    s = status()
    assert (s.acquired, s.waited, s.wait_secs, s.timeouts) == (0, 0, 0.0, 0)
    assert (s.connects, s.connect_errors, s.connect_secs) == (0, 0, 0.0)
    assert (s.closed_idle, s.closed_lifetime, s.closed_broken) == (0, 0, 0)


def test_connections_made_and_handed_out(url: str) -> None:
    Database.configure(url, max_size=1)
    for n in range(1, 4):
        db("r").query_value("SELECT 1")
        end("r")
        s = status()
        assert (s.acquired, s.connects, s.connect_errors) == (n, 1, 0)
    assert 0 < s.connect_secs < 30
    assert s.waited == 1  # the first had to wait for the connect
    assert 0 < s.wait_secs < 30
    assert (s.timeouts, s.closed_idle, s.closed_lifetime, s.closed_broken) == (0, 0, 0, 0)


def test_callers_that_wait_and_those_that_give_up(url: str) -> None:
    Database.configure(url, max_size=1, acquire_timeout_secs=0.05)
    db("holder").begin()
    before = status()
    with pytest.raises(errors.PoolTimeout):
        db("late").query("SELECT 1")
    s = status()
    assert (s.waited - before.waited, s.timeouts) == (1, 1)
    assert s.wait_secs - before.wait_secs >= 0.04
    assert s.acquired == before.acquired
    finalize_db("late")
    end("holder")


def test_a_waiter_that_gets_a_connection_counts_once(url: str) -> None:
    Database.configure(url, max_size=1)
    db("holder").begin()
    before = status()
    found: list[object] = []

    def other() -> None:
        found.append(db("other").query_value("SELECT 1"))
        finalize_db("other")

    thread = threading.Thread(target=other)
    thread.start()
    wait_until(lambda: status().waiting == 1)
    finalize_db("holder")
    thread.join()
    wait_until(lambda: status().in_use == 0)
    s = status()
    assert (found, s.acquired - before.acquired, s.waited - before.waited) == ([1], 1, 1)
    assert s.wait_secs > before.wait_secs
    assert s.timeouts == 0


def test_failed_connects(url: str) -> None:
    Database.configure("postgresql://nobody@localhost:1/x", connect_timeout_secs=2)
    for n in (1, 2):
        with pytest.raises(errors.OperationalError):
            db("r").query("SELECT 1")
        assert status().connect_errors >= n
    s = status()
    assert (s.connects, s.acquired, s.connect_secs) == (0, 0, 0.0)
    finalize_db("r")


def test_connections_closed_for_being_idle(url: str) -> None:
    Database.configure(url, idle_timeout_secs=0.05)
    db("r").query("SELECT 1")
    end("r")
    wait_until(lambda: status().size == 0)
    s = status()
    assert (s.closed_idle, s.closed_lifetime, s.closed_broken) == (1, 0, 0)


@pytest.mark.parametrize("held", [False, True], ids=["idle", "given back"])
def test_connections_closed_for_their_age(url: str, held: bool) -> None:
    Database.configure(url, max_lifetime_secs=0.05)
    db("r").query("SELECT 1")
    if held:
        db("r").query("SELECT pg_sleep(0.1)")
    finalize_db("r")
    wait_until(lambda: status().size == 0)
    s = status()
    assert (s.closed_idle, s.closed_lifetime, s.closed_broken) == (0, 1, 0)


def test_connections_that_the_server_ended(url: str) -> None:
    Database.configure(url)
    with pytest.raises(errors.OperationalError):
        db("r").query("SELECT pg_terminate_backend(pg_backend_pid())")
    finalize_db("r")
    wait_until(lambda: status().size == 0)
    s = status()
    assert (s.closed_idle, s.closed_lifetime, s.closed_broken) == (0, 0, 1)


def test_an_idle_connection_that_the_server_ended_is_counted_when_it_is_found(url: str) -> None:
    Database.configure(url)
    pid = db("r").query_value("SELECT pg_backend_pid()")
    end("r")
    Database.configure(url, alias="other")
    try:
        db("k", alias="other").execute("SELECT pg_terminate_backend($1)", [pid])
        wait_until(
            lambda: (
                db("k", alias="other").query_value(
                    "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", [pid]
                )
                == 0
            )
        )
    finally:
        finalize_db("k")
        Database.close("other")
    assert db("r").query_value("SELECT 1") == 1
    end("r")
    s = status()
    assert (s.closed_broken, s.connects) == (1, 2)


def test_a_disconnected_pool_starts_anew(url: str) -> None:
    Database.configure(url)
    db("r").query("SELECT 1")
    end("r")
    Database.close()
    Database.configure(url)
    db("r").query("SELECT 1")
    end("r")
    s = status()
    assert (s.acquired, s.connects, s.closed_broken) == (1, 1, 0)


def ready(kind: str, timeout: float | None = None) -> None:
    if kind == "awaited":
        run(Database.aready(timeout=timeout))
    else:
        Database.ready(timeout=timeout)


def test_ready_connects_min_idle(url: str, kind: str) -> None:
    Database.configure(url, min_idle=3, max_size=4)
    ready(kind)
    s = status()
    assert s.size >= 3  # and one more if it was dialed while ready() had one
    assert (s.in_use, s.connect_errors) == (0, 0)


def test_ready_without_min_idle_connects_once(url: str, kind: str) -> None:
    Database.configure(url)
    ready(kind)
    wait_until(lambda: status().available == 1)


def test_ready_raises_the_real_error(url: str, kind: str) -> None:
    Database.configure(url_with(url, dbname="there is none"))
    with pytest.raises(errors.InvalidCatalogName, match="there is none"):
        ready(kind)
    Database.close()
    Database.configure("postgresql://nobody@localhost:1/x", min_idle=2)
    with pytest.raises(errors.OperationalError, match="refused"):
        ready(kind)


def test_ready_waits_for_so_long(url: str, kind: str) -> None:
    Database.configure(url, max_size=1, acquire_timeout_secs=0.1)
    db("holder").begin()
    for timeout in (None, 0.05):
        with pytest.raises(errors.PoolTimeout):
            ready(kind, timeout)
    end("holder")
    with pytest.raises(errors.ConfigurationError):
        Database.ready("unknown")


def test_drain_replaces_idle_connections_at_once(url: str) -> None:
    Database.configure(url)
    before = db("r").query_value("SELECT pg_backend_pid()")
    end("r")
    Database.drain()
    assert status().size == 0
    assert db("r").query_value("SELECT pg_backend_pid()") != before
    end("r")
    s = status()
    assert (s.size, s.closed_lifetime, s.closed_broken) == (1, 1, 0)


def test_drain_replaces_connections_in_use_when_they_come_back(url: str) -> None:
    Database.configure(url)
    session = db("r")
    with session.transaction():
        before = session.query_value("SELECT pg_backend_pid()")
        Database.drain()
        assert session.query_value("SELECT pg_backend_pid()") == before
    end("r")
    wait_until(lambda: status().size == 0)
    assert db("r").query_value("SELECT pg_backend_pid()") != before
    end("r")
    assert status().size == 1


def test_drain_keeps_min_idle(url: str, kind: str) -> None:
    Database.configure(url, min_idle=2)
    ready(kind)
    before = status()
    Database.drain()
    wait_until(lambda: status().available >= 2)
    s = status()
    assert s.closed_lifetime >= before.available >= 2
    assert s.connects >= before.connects + 2


def test_drain_before_first_use_does_nothing(url: str) -> None:
    Database.configure(url)
    Database.drain()
    assert status() == PoolStatus(size=0, available=0, max_size=16)
    with pytest.raises(errors.ConfigurationError):
        Database.drain("unknown")
