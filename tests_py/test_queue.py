"""Threads in the pool's queue."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import pytest
from support import in_threads, wait_until

from hypern.database import Database, adb, afinalize_db, db, finalize_db, scope
from hypern.errors import QueryCanceled, SyntaxError

_ROUNDS = 200


@pytest.fixture(autouse=True)
def one_connection(database: str) -> None:
    Database.close()
    Database.configure(database, max_size=1)


@pytest.fixture
def handler() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Sets what SIGUSR1 does."""
    before = signal.getsignal(signal.SIGUSR1)

    def set_to(action: Callable[[], None]) -> None:
        def call(number: int, frame: FrameType | None) -> None:
            action()

        signal.signal(signal.SIGUSR1, call)

    yield set_to
    signal.signal(signal.SIGUSR1, before)


def echo(number: int) -> None:
    for i in range(_ROUNDS):
        with scope():
            assert (
                db().query_value("SELECT $1::int", [number * _ROUNDS + i]) == number * _ROUNDS + i
            )


def waits() -> bool:
    return Database.status().waiting > 0


def hold() -> None:
    """Take the connection, until "holder" is finalized."""
    db("holder").query_value("SELECT 1")


def in_a_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize("threads", [3, 24])
def test_each_thread_gets_its_own_answers(threads: int) -> None:
    in_threads(threads, echo)


def test_statements_that_the_connection_does_not_know_are_sent_by_their_threads() -> None:
    def new_ones(number: int) -> None:
        for i in range(50):
            with scope():
                assert (
                    db().query_value(f"SELECT {number}{i:03} + $1::int", [i])
                    == number * 1000 + 2 * i
                )

    in_threads(4, new_ones)


def test_transactions_execute_many_and_errors_in_turn() -> None:
    with scope():
        db().execute("CREATE TABLE turns (n int)")

    def work(number: int) -> None:
        for _ in range(25):
            with scope():
                db().begin()
                db().execute("INSERT INTO turns VALUES ($1)", [number])
                db().execute_many("INSERT INTO turns VALUES ($1)", [[number]] * 3)
            with pytest.raises(SyntaxError), scope():
                db().execute("SELEC 1")
            with scope():
                db().set_error()
                db().execute_many("INSERT INTO turns VALUES ($1)", ([n] for n in [number, number]))

    in_threads(4, work)
    with scope():
        rows = db().query("SELECT n, count(*) FROM turns GROUP BY n ORDER BY n")
        assert rows == [{"n": n, "count": 25 * 6} for n in range(4)]
        db().execute("DROP TABLE turns")


def test_the_connection_is_given_while_a_signal_handler_runs(
    handler: Callable[[Callable[[], None]], None],
) -> None:
    given = threading.Event()

    def slow_handler() -> None:
        assert given.wait(5)

    def other() -> None:
        wait_until(waits)
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.1)
        finalize_db("holder")
        given.set()

    handler(slow_handler)
    for i in range(3):
        hold()
        thread = in_a_thread(other)
        with scope():
            assert db().query_value("SELECT $1::int", [i]) == i
        thread.join()
        given.clear()


def test_a_handler_that_raises_then_ends_the_statement_and_keeps_the_connection(
    handler: Callable[[Callable[[], None]], None],
) -> None:
    class StopError(Exception):
        pass

    def other() -> None:
        wait_until(waits)
        finalize_db("holder")
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGUSR1)

    def stop() -> None:
        raise StopError

    handler(stop)
    before = db("holder").query_value("SELECT pg_backend_pid()")
    db("holder").execute("SELECT pg_sleep($1)", [0])  # now the connection knows the statement
    thread = in_a_thread(other)
    with scope():
        began = time.monotonic()
        with pytest.raises(StopError):
            db().execute("SELECT pg_sleep($1)", [30])
        assert time.monotonic() - began < 10
        assert db().query_value("SELECT pg_backend_pid()") == before
    thread.join()


def test_a_timeout_counts_from_the_call_and_goes_on_once_the_statement_is_sent() -> None:
    with scope():
        db().query_value("SELECT pg_sleep($1)", [0.0])
    hold()

    def later() -> None:
        wait_until(waits)
        time.sleep(0.2)
        finalize_db("holder")

    thread = in_a_thread(later)
    began = time.monotonic()
    with scope(), pytest.raises(QueryCanceled):
        db().query_value("SELECT pg_sleep($1)", [30.0], timeout=0.5)
    assert 0.4 < time.monotonic() - began < 5
    thread.join()
    echo(1)


def test_a_child_that_a_signal_handler_forks_in_the_queue_has_a_queue_of_its_own(
    handler: Callable[[Callable[[], None]], None],
) -> None:
    status: list[int] = []

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                in_threads(2, lambda number: echo(number))
                code = 0
            finally:
                os._exit(code)
        status.append(os.waitpid(pid, 0)[1])

    def other() -> None:
        wait_until(waits)
        os.kill(os.getpid(), signal.SIGUSR1)
        wait_until(lambda: bool(status), 30)
        finalize_db("holder")

    handler(fork)
    hold()
    thread = in_a_thread(other)
    with scope():
        assert db().query_value("SELECT $1::int", [7]) == 7
    thread.join()
    assert status == [0]


def test_a_thread_is_given_another_connection_before_it_knows_of_a_dead_one(database: str) -> None:
    Database.configure(database, max_size=2, acquire_timeout_secs=10, alias="two")
    pid = db("first", alias="two").query_value("SELECT pg_backend_pid()")
    db("second", alias="two").query_value("SELECT 1")
    took: list[float] = []

    def wait() -> None:
        began = time.monotonic()
        with scope():
            assert db(alias="two").query_value("SELECT $1::int", [7]) == 7
        took.append(time.monotonic() - began)

    thread = in_a_thread(wait)
    wait_until(lambda: Database.status("two").waiting == 1)
    with scope():
        db().execute("SELECT pg_terminate_backend($1, 5000)", [pid])
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5)  # the thread does not run between the two
    try:
        finalize_db("first")
        finalize_db("second")
    finally:
        sys.setswitchinterval(interval)
    thread.join()
    assert took[0] < 5


def test_a_task_that_queues_takes_one_descriptor() -> None:
    count = 100

    async def ask(number: int) -> None:
        async with scope():
            assert await adb().query_value("SELECT $1::int", [number]) == number

    async def main() -> None:
        await adb("holder").query_value("SELECT 1")
        before = len(os.listdir("/proc/self/fd"))
        tasks = [asyncio.create_task(ask(number)) for number in range(count)]
        while Database.status().waiting < count:
            await asyncio.sleep(0.01)
        taken = len(os.listdir("/proc/self/fd")) - before
        await afinalize_db("holder")
        await asyncio.gather(*tasks)
        assert taken <= count + 1

    asyncio.run(main())
