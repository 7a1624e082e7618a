"""`timeout=` is a deadline: the caller has the outcome in time whatever the network does, and what
is left to do happens behind it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import either
import pytest
from either import db, finalize_db, scope
from reliability.database_sockets import holders
from reliability.fault_proxy import allowed_delay
from reliability.own_server import PASSWORD, OwnServer
from reliability.stalling_proxy import StallingProxy
from reliability.tally import Tally
from support import wait_until

from hypern import errors
from hypern.database import Database, DbSession

pytestmark = pytest.mark.usefixtures("kind")

_TIMEOUT = 0.3
_GRACE = 0.25  # what the outcome may come later, on a short way
_LARGE = "x" * 8_000_000  # more than the buffers of the sockets take


@pytest.fixture
def proxy(own_server: OwnServer) -> Iterator[StallingProxy]:
    """A proxy, and the alias "far" that goes through it, with two connections at most."""
    with StallingProxy(own_server.port) as proxy:
        _configure(own_server, proxy)
        yield proxy
        proxy.resume()
        finalize_db("r")
        Database.close("far")


def _configure(server: OwnServer, proxy: StallingProxy, sslmode: str = "disable") -> None:
    Database.configure(
        server.url(proxy.port, sslmode=sslmode),
        alias="far",
        password=PASSWORD,
        max_size=2,
        acquire_timeout_secs=10,
    )


@contextlib.contextmanager
def _in_time(timeout: float = _TIMEOUT, grace: float = _GRACE) -> Iterator[None]:
    """The block takes `timeout` seconds, and no longer than the grace more.

    On a busy machine it may have to wait for the processor as long as the proxies' thread did.
    """
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert timeout <= took < timeout + grace + allowed_delay(began), took


def _session() -> DbSession:
    session = db("r", alias="far")
    assert session.query_value("SELECT 1") == 1
    return session


def _ends_clean(proxy: StallingProxy) -> None:
    """Everything given up is closed and counted out, and the next request is served."""
    proxy.resume()
    finalize_db("r")
    wait_until(lambda: Database.status("far").in_use == 0)
    with scope():
        assert db(alias="far").query_value("SELECT 2") == 2
    wait_until(lambda: Database.status("far").size <= 1)


@pytest.mark.parametrize("is_deaf", [False, True], ids=["the cancel arrives", "the cancel is lost"])
def test_silence_in_place_of_an_answer(proxy: StallingProxy, tally: Tally, is_deaf: bool) -> None:
    session = _session()
    proxy.is_deaf = is_deaf
    proxy.stall()
    with _in_time(), pytest.raises(errors.ConnectionLost, match=r"timeout=0\.3 s") as caught:
        session.query_value("SELECT 1", timeout=_TIMEOUT)
    assert not caught.value.safe_to_retry
    status = Database.status("far")
    assert (status.size, status.in_use, status.available) == (1, 0, 0)  # it is being closed
    proxy.resume()
    assert session.query_value("SELECT 3") == 3  # on another connection
    _ends_clean(proxy)
    tally.add("silence in place of an answer, with `timeout=`", 1, "ConnectionLost in time")


def test_a_request_to_cancel_that_is_lost(proxy: StallingProxy, tally: Tally) -> None:
    """The server is there and runs on."""
    session = _session()
    proxy.is_deaf = True
    with _in_time(), pytest.raises(errors.ConnectionLost):
        session.query_value("SELECT pg_sleep(1.2)", timeout=_TIMEOUT)
    proxy.resume()
    with _in_time(0, 2.5):
        assert session.query_value("SELECT 3") == 3
    _ends_clean(proxy)
    tally.add("a request to cancel that is lost, with `timeout=`", 1, "ConnectionLost in time")


def test_close_leaves_no_request_to_cancel_behind(proxy: StallingProxy, tally: Tally) -> None:
    """One that gets no answer would have its connection for two seconds."""
    session = _session()
    proxy.is_deaf = True
    with pytest.raises(errors.ConnectionLost):
        session.query_value("SELECT pg_sleep(1.2)", timeout=0.05)
    assert holders(os.getpid(), proxy.port)
    Database.close("far")
    wait_until(lambda: not holders(os.getpid(), proxy.port), 0.5)
    tally.add("`Database.close` with a request to cancel that is lost", 1, "no socket is left")


def test_the_outcome_does_not_wait_for_a_request_to_cancel(
    proxy: StallingProxy, own_server: OwnServer
) -> None:
    """The statement has ended by itself, and the request to cancel it hangs."""
    session = _session()
    proxy.is_deaf = True
    with _in_time():
        assert session.query_value("SELECT 7 FROM pg_sleep(0.35)", timeout=_TIMEOUT) == 7
    _ends_clean(proxy)


def test_in_a_transaction_it_is_lost_and_says_so(proxy: StallingProxy, tally: Tally) -> None:
    session = _session()
    session.begin()
    session.query_value("SELECT 1")
    proxy.stall()
    with _in_time(), pytest.raises(errors.ConnectionLost, match="the transaction is lost"):
        session.query_value("SELECT 1", timeout=_TIMEOUT)
    assert session.is_in_transaction
    with pytest.raises(errors.ConnectionLost, match="transaction was lost"):
        session.query_value("SELECT 1")
    session.rollback()
    proxy.resume()
    assert session.query_value("SELECT 1") == 1
    _ends_clean(proxy)
    tally.add("silence in a transaction, with `timeout=`", 1, "it is lost, and says so, in time")


def test_a_window_that_stays_shut(proxy: StallingProxy, tally: Tally) -> None:
    session = _session()
    session.query_value("SELECT length($1)", ["x"])
    proxy.stall()
    with _in_time(), pytest.raises(errors.ConnectionLost):
        session.query_value("SELECT length($1)", [_LARGE], timeout=_TIMEOUT)
    proxy.resume()
    assert session.query_value("SELECT length($1)", ["x"]) == 1
    proxy.stall()
    with _in_time(), pytest.raises(errors.ConnectionLost):
        session.execute_many(
            "SELECT length($1)", (["x" * 100_000] for _ in range(1000)), timeout=_TIMEOUT
        )
    _ends_clean(proxy)
    tally.add("a peer that reads nothing, with `timeout=`", 2, "ConnectionLost in time")


def test_a_stream(proxy: StallingProxy) -> None:
    session = _session()
    rows = iter(session.stream("SELECT generate_series(1, 10)", chunk_rows=2, timeout=_TIMEOUT))
    next(rows), next(rows)
    proxy.stall()
    with _in_time(), pytest.raises(errors.ConnectionLost):
        next(rows)
    _ends_clean(proxy)


def test_rows_that_never_end(proxy: StallingProxy) -> None:
    session = _session()
    pid = session.query_value("SELECT pg_backend_pid()")
    for sql in (
        "SELECT generate_series(1, 1e12)",
        "SELECT repeat('x', 3000) FROM generate_series(1, 1e9)",
    ):
        with _in_time(), pytest.raises(errors.QueryCanceled):
            session.execute(sql, timeout=_TIMEOUT)
    assert session.query_value("SELECT pg_backend_pid()") == pid
    proxy.is_deaf = True
    with _in_time(), pytest.raises(errors.ConnectionLost):
        session.execute("SELECT generate_series(1, 1e12)", timeout=_TIMEOUT)
    _ends_clean(proxy)


def test_a_request_to_cancel_that_comes_ahead_of_the_statement(proxy: StallingProxy) -> None:
    """It has no effect, and is repeated in time."""
    session = _session()
    pid = session.query_value("SELECT pg_backend_pid()")
    for n in range(20):
        with _in_time(0), pytest.raises(errors.QueryCanceled):
            session.query(f"SELECT pg_sleep(5), {n}", timeout=0)
    assert session.query_value("SELECT pg_backend_pid()") == pid


def test_the_answer_to_a_reset(proxy: StallingProxy, tally: Tally) -> None:
    """Half of the time is left for another connection; with none to be had, it ends in time."""
    _session()
    proxy.stall()
    finalize_db("r")
    with _in_time(_TIMEOUT / 2, 0.25):
        assert db("r", alias="far").query_value("SELECT 5", timeout=_TIMEOUT) == 5
    _ends_clean(proxy)
    time.sleep(0.05)  # else the reset is left to the next statement, and shares its fate
    _session()
    proxy.stall()
    proxy.is_deaf = True
    finalize_db("r")
    with _in_time(), pytest.raises(errors.PoolTimeout, match=r"timeout=0\.3 s"):
        db("r", alias="far").query_value("SELECT 5", timeout=_TIMEOUT)
    _ends_clean(proxy)
    tally.add("silence in place of the answer to a reset, with `timeout=`", 2, "in time")


def test_a_place_in_the_queue_and_a_connect(proxy: StallingProxy) -> None:
    proxy.is_deaf = True
    with _in_time(), pytest.raises(errors.PoolTimeout, match=r"timeout=0\.3 s.*without an answer"):
        db("r", alias="far").query_value("SELECT 1", timeout=_TIMEOUT)
    proxy.resume()


def test_behind_tls(tls_stalled: StallingProxy, tally: Tally) -> None:
    session = _session()
    tls_stalled.is_deaf = True
    tls_stalled.stall()
    with _in_time(), pytest.raises(errors.ConnectionLost):
        session.query_value("SELECT 1", timeout=_TIMEOUT)
    tls_stalled.resume()
    assert session.query_value("SELECT length($1)", ["x"]) == 1
    tls_stalled.stall()
    with _in_time(), pytest.raises(errors.ConnectionLost):
        session.query_value("SELECT length($1)", [_LARGE], timeout=_TIMEOUT)
    _ends_clean(tls_stalled)
    tally.add("silence over TLS, with `timeout=`", 2, "ConnectionLost in time")


@pytest.fixture
def tls_stalled(tls_server: OwnServer) -> Iterator[StallingProxy]:
    """As `proxy`, by TLS."""
    with StallingProxy(tls_server.port) as proxy:
        _configure(tls_server, proxy, sslmode="require")
        yield proxy
        proxy.resume()
        finalize_db("r")
        Database.close("far")


def test_a_long_way_has_more_time_to_confirm(own_server: OwnServer, tally: Tally) -> None:
    """60 ms each way: connecting, asking and the answer take longer than the shortest grace."""
    with StallingProxy(own_server.port) as proxy:
        _configure(own_server, proxy)
        with scope():
            db(alias="far").query_value("SELECT 1")
        proxy.delay = 0.06
        Database.close("far")
        _configure(own_server, proxy)
        session = _session()
        pid = session.query_value("SELECT pg_backend_pid()")
        with _in_time(grace=1.0), pytest.raises(errors.QueryCanceled, match=r"timeout=0\.3 s"):
            session.query_value("SELECT pg_sleep(9)", timeout=_TIMEOUT)
        assert session.query_value("SELECT pg_backend_pid()") == pid
        proxy.stall()
        with _in_time(grace=1.0), pytest.raises(errors.ConnectionLost):
            session.query_value("SELECT 1", timeout=_TIMEOUT)
        proxy.delay = 0
        _ends_clean(proxy)
        Database.close("far")
    tally.add("`timeout=` with a round trip of 120 ms", 1, "QueryCanceled; the connection stays")


def test_close_does_not_wait_for_what_is_given_up(proxy: StallingProxy) -> None:
    session = _session()
    proxy.is_deaf = True
    proxy.stall()
    with pytest.raises(errors.ConnectionLost):
        session.query_value("SELECT 1", timeout=_TIMEOUT)
    with _in_time(0, 0.5):
        either.close("far")
    with pytest.raises(errors.PoolClosed), scope():
        session.query_value("SELECT 1")
    finalize_db("r")


_EXITS = """
import sys, time
from hypern import errors
from hypern.database import Database, db, scope
Database.configure(sys.argv[1], password=sys.argv[2])
with scope():
    db().query_value("SELECT 1")
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        db().query_value("SELECT 1", timeout=0.2)
    except errors.ConnectionLost:
        print(time.monotonic(), flush=True)
"""


def test_exit_stays_bounded(own_server: OwnServer, kind: str) -> None:
    if kind == "awaited":
        pytest.skip("a process ends alike, whatever kind its sessions were of")
    with (
        StallingProxy(own_server.port) as proxy,
        subprocess.Popen(
            [sys.executable, "-c", _EXITS, own_server.url(proxy.port), PASSWORD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        proxy.is_deaf = True
        proxy.stall()
        process.stdin.write("\n")
        process.stdin.flush()
        gave_up = float(process.stdout.readline())
        assert process.wait(10) == 0
        assert time.monotonic() - gave_up < 1.5


def test_the_pool_never_has_more_than_it_may(proxy: StallingProxy) -> None:
    """Connections that are being closed count; whoever waits for their place gets it."""
    requests = ["a", "b", "c", "d"]
    sessions = [db(name, alias="far") for name in requests[:2]]
    for session in sessions:
        session.query_value("SELECT 1")
    proxy.is_deaf = True
    proxy.stall()
    for session in sessions:
        with pytest.raises(errors.ConnectionLost):
            session.query_value("SELECT 1", timeout=0.1)
    status = Database.status("far")
    assert (status.size, status.in_use, status.available) == (2, 0, 0)
    with pytest.raises(errors.PoolTimeout, match="2 being closed") as caught:
        db("c", alias="far").query_value("SELECT 1", timeout=0.1)
    assert "being connected" not in str(caught.value)
    proxy.resume()
    with _in_time(0, 3):
        assert db("d", alias="far").query_value("SELECT 1") == 1
    for name in requests:
        finalize_db(name)
    wait_until(lambda: Database.status("far").in_use == 0)
