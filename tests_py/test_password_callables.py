"""password= as a callable: asked for every connection that is made, in a thread of hypern's."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from either import db, finalize_db, scope
from support import RunPython, url_with

from hypern import errors
from hypern.database import Database

pytestmark = pytest.mark.usefixtures("kind")

RIGHT = "right one"


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    Database.close("secured")


def _until(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_is_asked_once_for_each_connection(password_server: str) -> None:
    threads: list[str] = []

    def ask() -> str:
        threads.append(threading.current_thread().name)
        return RIGHT

    Database.configure(password_server, password=ask, alias="secured")
    with scope(), scope():
        for _ in range(3):
            assert db(alias="secured").query_value("SELECT 1") == 1
    with scope():
        db(alias="secured").query("SELECT 1")
    assert threads == ["hypern-attendant"]
    one, two = db("one", alias="secured"), db("two", alias="secured")
    one.execute("SELECT 1")
    two.execute("SELECT 1")
    assert len(threads) == 2
    finalize_db("one")
    finalize_db("two")


def test_connections_made_in_the_background_ask_for_the_password_of_the_day(
    password_server: str,
) -> None:
    """After a rotation the pool is filled with the new password."""
    today = ["right one"]
    asked: list[str] = []

    def ask() -> str:
        asked.append(today[0])
        return today[0]

    admin = url_with(password_server, user="postgres", dbname="postgres")
    Database.configure(admin, alias="admin")
    Database.configure(
        password_server, password=ask, alias="secured", min_idle=2, max_lifetime_secs=1
    )
    try:
        Database.ready("secured")
        with scope():
            db(alias="admin").execute("ALTER ROLE alice PASSWORD 'the new one'")
        today[0] = "the new one"
        before = Database.status("secured").connects
        _until(lambda: Database.status("secured").connects >= before + 3)
        _until(lambda: Database.status("secured").available == 2)
        assert Database.status("secured").connect_errors == 0 or asked[-1] == "the new one"
        assert Database.status("secured").last_error is None
    finally:
        with scope():
            db(alias="admin").execute("ALTER ROLE alice PASSWORD 'right one'")
        Database.close("admin")


def test_an_async_callable_runs_on_a_loop_of_that_thread(password_server: str) -> None:
    seen: list[tuple[str, asyncio.AbstractEventLoop]] = []

    async def ask() -> str:
        await asyncio.sleep(0.01)
        seen.append((threading.current_thread().name, asyncio.get_running_loop()))
        return RIGHT

    Database.configure(password_server, password=ask, alias="secured")
    one, two = db("one", alias="secured"), db("two", alias="secured")
    assert one.query_value("SELECT 1") == two.query_value("SELECT 1") == 1
    finalize_db("one")
    finalize_db("two")
    assert [name for name, _ in seen] == ["hypern-attendant"] * 2
    assert seen[0][1] is seen[1][1]


class SealedError(LookupError):
    """What a callable raises."""


def _sealed() -> str:
    raise SealedError("the vault is sealed")


async def _sealed_too() -> str:
    raise SealedError("the vault is sealed")


@pytest.mark.parametrize("ask", [_sealed, _sealed_too], ids=["sync", "async"])
def test_the_caller_gets_what_it_raises(password_server: str, ask: Any) -> None:
    Database.configure(password_server, password=ask, alias="secured")
    for _ in range(2):
        with scope(), pytest.raises(SealedError, match="sealed"):
            db(alias="secured").query("SELECT 1")
    assert Database.status("secured").last_error == (
        'the password callable of alias "secured" failed: SealedError'
    )


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (b"right one", TypeError, "must return a str, not bytes"),
        (None, TypeError, "must return a str, not NoneType"),
        ("right\0one", errors.DataError, "a NUL character or a lone surrogate"),
        ("right\udcffone", errors.DataError, "a NUL character or a lone surrogate"),
    ],
)
def test_what_is_no_password_is_refused(
    password_server: str, given: Any, error: type[Exception], text: str
) -> None:
    Database.configure(password_server, password=lambda: given, alias="secured")
    with scope(), pytest.raises(error, match=text) as raised:
        db(alias="secured").query("SELECT 1")
    assert "right" not in str(raised.value)


def test_one_that_hangs_is_not_waited_for_longer_than_for_a_connect(password_server: str) -> None:
    goes_on = threading.Event()

    def hang() -> str:
        goes_on.wait(30)
        return RIGHT

    Database.configure(
        password_server,
        password=hang,
        alias="secured",
        connect_timeout_secs=0.2,
        acquire_timeout_secs=20,
    )
    with scope(), pytest.raises(errors.OperationalError, match="has not returned within 200ms"):
        db(alias="secured").query("SELECT 1")
    goes_on.set()
    with scope():
        assert db(alias="secured").query_value("SELECT 1") == 1


def test_an_async_one_that_hangs_is_cancelled(password_server: str) -> None:
    ended: list[str] = []

    async def hang() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")
        return RIGHT

    Database.configure(
        password_server,
        password=hang,
        alias="secured",
        connect_timeout_secs=0.2,
        acquire_timeout_secs=20,
    )
    with scope(), pytest.raises(errors.OperationalError, match="has not returned within 200ms"):
        db(alias="secured").query("SELECT 1")
    _until(lambda: ended == ["cancelled"])


def test_one_that_hangs_is_named_to_those_who_wait_behind_it(password_server: str) -> None:
    """Functions are called one at a time, and for no connection that nobody waits for any more."""
    called, goes_on = threading.Event(), threading.Event()
    calls: list[None] = []

    def hang() -> str:
        called.set()
        goes_on.wait(60)
        return RIGHT

    def quick() -> str:
        calls.append(None)
        return RIGHT

    Database.configure(password_server, password=hang, alias="secured", acquire_timeout_secs=60)
    Database.configure(
        password_server,
        password=quick,
        alias="behind",
        connect_timeout_secs=0.2,
        acquire_timeout_secs=60,
    )
    waiting = threading.Thread(target=lambda: Database.ready("secured"))
    waiting.start()
    try:
        assert called.wait(30)
        text = 'has not been called within 200ms.*callable of alias "secured" has not returned yet'
        for _ in range(3):
            with scope(), pytest.raises(errors.OperationalError, match=text):
                db(alias="behind").query("SELECT 1")
    finally:
        goes_on.set()
        waiting.join()
    assert calls == []

    def is_served() -> bool:
        try:
            with scope():
                return bool(db(alias="behind").query_value("SELECT 1"))
        except errors.OperationalError:  # on a busy machine 200 ms may be too short
            return False

    _until(is_served)
    assert calls
    Database.close("behind")


def test_a_wrong_password_is_the_servers_error(password_server: str) -> None:
    Database.configure(password_server, password=lambda: "wrong one", alias="secured")
    with scope(), pytest.raises(errors.InvalidPassword) as raised:
        db(alias="secured").query("SELECT 1")
    assert "wrong one" not in str(raised.value)


def test_a_pool_that_is_closed_meanwhile_ends_the_wait(password_server: str) -> None:
    asked, goes_on = threading.Event(), threading.Event()

    def hang() -> str:
        asked.set()
        goes_on.wait(30)
        return RIGHT

    def close() -> None:
        asked.wait(30)
        Database.close("secured")

    Database.configure(password_server, password=hang, alias="secured")
    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(errors.PoolClosed):
        db("r", alias="secured").query("SELECT 1")
    closer.join()
    goes_on.set()
    finalize_db("r")


def test_a_forked_child_has_a_thread_of_its_own(
    password_server: str, run_python: RunPython
) -> None:
    run_python(
        """
        import os, sys, threading
        from hypern.database import Database, db, scope

        Database.configure(sys.argv[1], password=lambda: "right one")
        assert threading.active_count() == 1  # configure() starts none
        with scope():
            assert db().query_value("SELECT 1") == 1
        assert [t.name for t in threading.enumerate()][1:] == ["hypern-attendant"]
        before = set(os.listdir("/proc/self/fd"))
        pid = os.fork()
        if pid == 0:
            try:
                assert threading.active_count() == 1
                with scope():
                    assert db().query_value("SELECT 2") == 2
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        with scope():
            assert db().query_value("SELECT 3") == 3
        """,
        password_server,
    )


def test_a_pool_without_a_callable_starts_no_thread(
    password_server: str, run_python: RunPython
) -> None:
    run_python(
        """
        import sys, threading
        from hypern.database import Database, db, scope

        Database.configure(sys.argv[1], password="right one")
        with scope():
            assert db().query_value("SELECT 1") == 1
        assert threading.active_count() == 1
        """,
        password_server,
    )


def test_a_replicas_connections_ask_as_well(password_server: str) -> None:
    asked: list[None] = []

    def ask() -> str:
        asked.append(None)
        return RIGHT

    replica = url_with(password_server, target_session_attrs="any")
    Database.configure(password_server, password=ask, alias="secured", replica=replica)
    with scope(read_only=True):
        assert db(alias="secured").query_value("SELECT 1") == 1
    status = Database.status("secured")
    assert status.replica is not None
    assert (status.size, status.replica.size, len(asked)) == (0, 1, 1)
    with scope():
        assert db(alias="secured").query_value("SELECT 1") == 1
    assert (Database.status("secured").size, len(asked)) == (1, 2)


def test_a_child_that_exits_leaves_the_parents_event_loop_alone(
    password_server: str, run_python: RunPython
) -> None:
    """Their epoll is one: what the child's copy of the loop takes out is gone from the parent's."""
    run_python(
        """
        import asyncio, gc, os, sys, time
        from hypern.database import Database, db, scope

        async def ask():
            await asyncio.to_thread(time.sleep, 0.01)  # it wakes the loop by its own socket
            return "right one"

        Database.configure(sys.argv[1], password=ask, connect_timeout_secs=20)
        with scope():
            assert db().query_value("SELECT 1") == 1
        pid = os.fork()
        if pid == 0:
            gc.collect()
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        Database.drain()
        with scope():
            assert db().query_value("SELECT 2") == 2
        """,
        password_server,
    )


def test_a_child_forked_by_the_callable_ends_with_it(
    password_server: str, run_python: RunPython
) -> None:
    run_python(
        """
        import os, sys, time
        from hypern.database import Database, db, scope

        children = []

        def ask():
            pid = os.fork()
            if pid:
                children.append(pid)
            return "right one"

        Database.configure(sys.argv[1], password=ask)
        with scope():
            assert db().query_value("SELECT 1") == 1
        end = time.monotonic() + 30
        while os.waitpid(children[0], os.WNOHANG) == (0, 0):
            assert time.monotonic() < end
            time.sleep(0.01)
        """,
        password_server,
    )


def test_a_thread_that_is_refused_is_tried_again(
    password_server: str, run_python: RunPython
) -> None:
    run_python(
        """
        import sys, threading
        from hypern.database import Database, db, listen, scope

        Database.configure(sys.argv[1], password=lambda: "right one", acquire_timeout_secs=20)
        start = threading.Thread.start

        def refuse(thread):
            raise RuntimeError("can't start new thread")

        def listening():
            with listen("c") as events:
                pass

        def querying():
            with scope():
                assert db().query_value("SELECT 1") == 1

        for use in (querying, listening):
            threading.Thread.start = refuse
            for _ in range(2):
                try:
                    use()
                except RuntimeError as error:
                    assert "new thread" in str(error), error
                else:
                    raise AssertionError
            threading.Thread.start = start
            use()
        """,
        password_server,
    )
