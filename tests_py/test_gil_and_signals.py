"""Every wait lets other threads run and can be interrupted, and the session stays usable."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from either import db, finalize_db
from support import wait_until

from hypern import errors
from hypern.database import Database, DbSession, adb

PROMPTLY = 0.2  # seconds from Ctrl-C to KeyboardInterrupt


@contextlib.contextmanager
def counting() -> Iterator[list[int]]:
    """A thread that counts in Python as fast as it can, in the list's one item."""
    count, stop = [0], threading.Event()

    def work() -> None:
        while not stop.is_set():
            count[0] += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """The URL of a server that takes connections and never says a word."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(directory, ".s.PGSQL.5432"))
        listener.listen(16)
        yield f"postgresql://u@/d?host={directory}&sslmode=disable"


@pytest.fixture(autouse=True)
def ctrl_c_raises() -> Iterator[None]:
    """Where the tests run in the background of a shell, they have inherited that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_after(seconds: float, number: int = signal.SIGINT) -> Callable[[], float]:
    """Send the main thread a signal after a while; the function answers when (monotonic)."""
    sent: list[float] = []

    def send() -> None:
        time.sleep(seconds)
        sent.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident or 0, number)

    thread = threading.Thread(target=send)
    thread.start()

    def when() -> float:
        thread.join()
        return sent[0]

    return when


@pytest.mark.usefixtures("kind")
def test_another_thread_runs_while_a_statement_waits(session: DbSession) -> None:
    session.query("SELECT 1")
    with counting() as count:
        before = count[0]
        session.query("SELECT pg_sleep(0.3)")
        during = count[0] - before
    assert during > 10_000


@pytest.mark.usefixtures("kind")
def test_another_thread_runs_while_a_connection_is_waited_for(database: str) -> None:
    Database.configure(database, max_size=1, acquire_timeout_secs=1, alias="one")
    db("holder", alias="one").query("SELECT 1")
    with counting() as count:
        before = count[0]
        with pytest.raises(errors.PoolTimeout):
            db("waiter", alias="one").query("SELECT 1")
        during = count[0] - before
    assert during > 10_000
    finalize_db("holder")
    finalize_db("waiter")
    Database.close("one")


@pytest.mark.usefixtures("kind")
def test_another_thread_runs_while_connecting() -> None:
    with silent_server() as url, counting() as count:
        Database.configure(url, connect_timeout_secs=0.3, alias="silent")
        before = count[0]
        with pytest.raises(errors.OperationalError):
            db("r", alias="silent").query("SELECT 1")
        during = count[0] - before
        finalize_db("r")
        Database.close("silent")
    assert during > 10_000


@pytest.mark.parametrize("in_transaction", [False, True])
def test_ctrl_c_interrupts_a_statement(session: DbSession, in_transaction: bool) -> None:
    pid = session.query_value("SELECT pg_backend_pid()")
    if in_transaction:
        session.begin()
    when = interrupt_after(0.2)
    with pytest.raises(KeyboardInterrupt):
        session.query("SELECT pg_sleep(30)")
    assert time.monotonic() - when() < PROMPTLY
    if in_transaction:
        session.rollback()
    assert session.query_value("SELECT pg_backend_pid()") == pid


def test_ctrl_c_interrupts_a_large_result(session: DbSession) -> None:
    session.query("SELECT 1")

    def forever() -> None:
        while True:
            session.query("SELECT n, repeat('x', 50) FROM generate_series(1, 300000) AS n")

    when = interrupt_after(0.2)
    with pytest.raises(KeyboardInterrupt):
        forever()
    assert time.monotonic() - when() < 5 * PROMPTLY  # rows that have arrived are dropped
    assert session.query_value("SELECT 1") == 1


def test_ctrl_c_interrupts_execute_many(session: DbSession) -> None:
    session.execute("CREATE TEMP TABLE t (n int)")
    when = interrupt_after(0.2)

    def forever() -> Iterator[list[int]]:
        while True:
            yield [1]

    with pytest.raises(KeyboardInterrupt):
        session.execute_many("INSERT INTO t VALUES ($1)", forever())
    assert time.monotonic() - when() < 5 * PROMPTLY
    assert session.query_value("SELECT count(*) FROM t") == 0


def test_ctrl_c_interrupts_the_wait_for_a_connection(database: str) -> None:
    Database.configure(database, max_size=1, alias="one")
    db("holder", alias="one").query("SELECT 1")
    waiter = db("waiter", alias="one")
    when = interrupt_after(0.2)
    with pytest.raises(KeyboardInterrupt):
        waiter.query("SELECT 1")
    assert time.monotonic() - when() < PROMPTLY
    assert Database.status("one").waiting == 0
    finalize_db("holder")
    assert waiter.query_value("SELECT 1") == 1
    finalize_db("waiter")
    Database.close("one")


def test_ctrl_c_interrupts_a_connect() -> None:
    with silent_server() as url:
        Database.configure(url, alias="silent")
        when = interrupt_after(0.2)
        with pytest.raises(KeyboardInterrupt):
            db("r", alias="silent").query("SELECT 1")
        assert time.monotonic() - when() < PROMPTLY
        finalize_db("r")
        started = time.monotonic()
        Database.close("silent")
        assert time.monotonic() - started < 6


def test_ctrl_c_interrupts_an_awaited_statement(session: DbSession) -> None:
    """The loop ends before the server has answered, and the connection goes with it."""
    pid = session.query_value("SELECT pg_backend_pid()")

    async def main() -> None:
        await adb("the test").query("SELECT pg_sleep(30)")

    when = interrupt_after(0.2)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert time.monotonic() - when() < PROMPTLY
    sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"
    wait_until(lambda: session.query_value(sql, [pid]) == 0)
    wait_until(lambda: Database.status().size == 1)


def test_a_signal_whose_handler_returns_does_not_disturb_the_statement(session: DbSession) -> None:
    caught: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: caught.append(number))
    signal.siginterrupt(signal.SIGUSR1, True)
    try:
        senders = [interrupt_after(0.05 * n, signal.SIGUSR1) for n in range(1, 8)]
        assert session.query("SELECT pg_sleep(0.6)::text AS slept, 7 AS n") == [
            {"slept": "", "n": 7}
        ]
        for sender in senders:
            sender()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert len(caught) >= 5


def test_a_handler_that_raises_interrupts_with_its_own_exception(session: DbSession) -> None:
    def handler(number: int, frame: object) -> None:
        raise ZeroDivisionError

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        when = interrupt_after(0.2, signal.SIGUSR1)
        with pytest.raises(ZeroDivisionError):
            session.query("SELECT pg_sleep(30)")
        assert time.monotonic() - when() < PROMPTLY
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert session.query_value("SELECT 1") == 1


def test_interrupt_main_interrupts_too(session: DbSession) -> None:
    session.query("SELECT 1")
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        session.query("SELECT pg_sleep(30)")
    assert time.monotonic() - started < 1
    timer.join()
    assert session.query_value("SELECT 1") == 1


def test_a_statement_in_another_thread_is_not_interrupted(session: DbSession) -> None:
    results: list[int] = []
    thread = threading.Thread(
        target=lambda: results.append(session.query_value("SELECT 7 FROM pg_sleep(0.5)"))
    )
    thread.start()
    interrupt_after(0.1)
    with pytest.raises(KeyboardInterrupt):
        time.sleep(5)
    thread.join()
    assert results == [7]
