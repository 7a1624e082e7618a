"""Connections shared by requests: limits, waiting, status, closing, replacing the broken."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from either import close, db, finalize_db, scope
from support import in_threads, wait_until

from hypern import errors
from hypern._literals import Reset, StatementCache
from hypern.database import Database, DbSession, PoolStatus, adb
from hypern.database import scope as own_scope

pytestmark = pytest.mark.usefixtures("kind")


def backend(session: DbSession) -> int:
    pid: int = session.query_value("SELECT pg_backend_pid()")
    return pid


def test_status_follows_use(configured: str) -> None:
    assert Database.status() == PoolStatus(size=0, available=0, max_size=4)
    session = db("r")
    session.query("SELECT 1 AS first")
    status = Database.status()
    assert (status.size, status.available, status.max_size) == (1, 0, 4)
    assert (status.in_use, status.waiting, status.last_error) == (1, 0, None)
    holder = status.holders[0]
    assert (holder.request_id, holder.alias, holder.state) == ("r", "default", "connected")
    assert holder.sql == "SELECT 1 AS first"
    assert 0 <= holder.age_secs < 5
    finalize_db("r")
    status = Database.status()
    assert (status.size, status.available, status.in_use, status.holders) == (1, 1, 0, ())


def test_a_connection_is_used_again(configured: str) -> None:
    pids = set()
    for _ in range(5):
        with scope():
            pids.add(backend(db()))
    assert len(pids) == 1


def test_an_exhausted_pool_raises_and_names_the_holders(database: str) -> None:
    Database.configure(database, max_size=2, acquire_timeout_secs=0.3, alias="small")
    holders = [db(f"holder-{n}", alias="small") for n in range(2)]
    for session in holders:
        session.query("SELECT $1::text AS held", ["a secret"])
    started = time.monotonic()
    with pytest.raises(errors.PoolTimeout) as caught:
        db("late", alias="small").query("SELECT 1")
    assert 0.2 < time.monotonic() - started < 2
    text = str(caught.value)
    assert "holder-0" in text
    assert "holder-1" in text
    assert "SELECT $1::text AS held" in text
    assert "a secret" not in text
    with pytest.raises(errors.PoolTimeout):
        db("late", alias="small").begin()
    finalize_db("holder-0")
    assert db("late", alias="small").query_value("SELECT 1") == 1
    for request_id in ("holder-1", "late"):
        finalize_db(request_id)
    close("small")


def test_waiters_are_served_in_order(database: str) -> None:
    Database.configure(database, max_size=1, alias="one")
    db("holder", alias="one").query("SELECT 1")
    served: list[int] = []

    def work(n: int) -> None:
        with scope():
            db(alias="one").query("SELECT 1")
            served.append(n)

    threads = []
    for n in range(5):
        thread = threading.Thread(target=work, args=(n,))
        thread.start()
        threads.append(thread)
        wait_until(lambda n=n: Database.status("one").waiting == n + 1)  # type: ignore[misc]
    finalize_db("holder")
    for thread in threads:
        thread.join(10)
    assert served == [0, 1, 2, 3, 4]
    close("one")


def test_many_threads_share_few_connections(configured: str) -> None:
    pids: set[int] = set()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                with scope(), db().transaction():
                    pids.add(backend(db()))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert 1 <= len(pids) <= 4
    status = Database.status()
    assert status.in_use == 0
    assert status.size == status.available <= 4


def test_an_idle_connection_that_the_server_closed_is_replaced_silently(configured: str) -> None:
    with scope():
        pid = backend(db())
    Database.configure(configured, alias="killer")
    with scope():
        db(alias="killer").execute("SELECT pg_terminate_backend($1, 5000)", [pid])
    with scope():
        assert backend(db()) != pid


def test_a_broken_connection_in_use_is_not_used_again(configured: str) -> None:
    session = db("r")
    pid = backend(session)
    with scope():
        db().execute("SELECT pg_terminate_backend($1, 5000)", [pid])
    with pytest.raises((errors.ConnectionLost, errors.AdminShutdown)):
        session.query("SELECT 1")
    assert backend(session) != pid
    finalize_db("r")


def test_close_ends_idle_connections_and_forgets_the_settings(configured: str) -> None:
    Database.configure(configured, alias="watcher")
    with scope():
        pid = backend(db())
    close("default")
    assert not Database.is_configured()
    with pytest.raises(errors.ConfigurationError):
        db("r")
    watcher = db("w", alias="watcher")
    sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"
    wait_until(lambda: watcher.query_value(sql, [pid]) == 0)
    finalize_db("w")
    Database.configure(configured, max_size=2)
    with scope():
        assert backend(db()) != pid


def test_close_cancels_a_statement_that_another_thread_runs(configured: str) -> None:
    failure: list[BaseException] = []
    session = db("r")

    def work() -> None:
        try:
            session.query("SELECT pg_sleep(30)")
        except errors.Error as error:
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: Database.status().in_use == 1)
    time.sleep(0.2)
    started = time.monotonic()
    close()
    thread.join(10)
    assert time.monotonic() - started < 6
    assert isinstance(failure[0], errors.PoolClosed)
    finalize_db("r")


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_session_of_a_closed_pool_raises(configured: str, in_transaction: bool) -> None:
    session = db("r")
    if in_transaction:
        session.begin()
    session.query("SELECT 1")
    close()
    with pytest.raises(errors.PoolClosed):
        session.query("SELECT 1")
    if in_transaction:
        with pytest.raises(errors.TransactionAborted):
            finalize_db("r")
    finalize_db("r")
    assert session.state == "closed"


def test_a_waiter_of_a_pool_that_closes_is_told(database: str) -> None:
    Database.configure(database, max_size=1, alias="one")
    db("holder", alias="one").query("SELECT 1")
    failure: list[BaseException] = []

    def work() -> None:
        try:
            db("waiter", alias="one").query("SELECT 1")
        except errors.Error as error:
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: Database.status("one").waiting == 1)
    close("one")
    thread.join(10)
    assert isinstance(failure[0], errors.PoolClosed)
    finalize_db("holder")
    finalize_db("waiter")


def test_min_idle_connections_are_kept_and_idle_ones_above_it_reaped(database: str) -> None:
    Database.configure(database, max_size=4, min_idle=1, idle_timeout_secs=0.3, alias="lean")
    sessions = [db(f"r{n}", alias="lean") for n in range(3)]
    for session in sessions:
        session.query("SELECT 1")
    assert Database.status("lean").in_use == 3  # an idle one may have been added already
    for n in range(3):
        finalize_db(f"r{n}")
    wait_until(lambda: Database.status("lean").size == 1, seconds=10)
    close("lean")


def test_a_connection_past_its_lifetime_is_replaced(database: str) -> None:
    Database.configure(database, max_lifetime_secs=0.5, alias="short")
    with scope():
        pid = backend(db(alias="short"))
    time.sleep(0.7)
    with scope():
        assert backend(db(alias="short")) != pid
    close("short")


def test_test_before_acquire_works(database: str) -> None:
    Database.configure(database, test_before_acquire=True, alias="tested")
    for _ in range(3):
        with scope():
            assert db(alias="tested").query_value("SELECT 1") == 1
    close("tested")


@pytest.mark.parametrize("cache", ["auto", "named", "describe", "off"])
@pytest.mark.parametrize("reset", ["full", "transaction", "off"])
def test_every_cache_and_reset_mode_gives_the_same_answers(
    database: str, cache: StatementCache, reset: Reset
) -> None:
    Database.configure(database, max_size=1, statement_cache=cache, reset=reset, alias="mode")
    for n in range(4):
        with scope(), db(alias="mode").transaction() as session:
            assert session.query_value("SELECT $1::int + 1", [n]) == n + 1
            with pytest.raises(errors.DivisionByZero), session.transaction():
                session.query("SELECT 1 / $1::int", [0])
    close("mode")


def test_application_name_is_what_the_server_shows(database: str) -> None:
    Database.configure(database, application_name="shop", alias="named")
    with scope():
        assert db(alias="named").query_value("SHOW application_name") == "shop"
    close("named")


def test_a_password_is_taken_from_the_url_a_keyword_or_a_callable(password_server: str) -> None:
    asked: list[None] = []

    def ask() -> str:
        asked.append(None)
        return "right one"

    for password in ("right one", ask):
        Database.configure(password_server, password=password, alias="secured")
        with scope():
            assert db(alias="secured").query_value("SELECT current_user::text") == "alice"
        close("secured")
    assert asked


def test_a_callable_password_that_fails_is_raised(password_server: str) -> None:
    def fail() -> str:
        raise LookupError("the vault is sealed")

    Database.configure(password_server, password=fail, alias="secured")
    with pytest.raises(LookupError, match="sealed"):
        db("r", alias="secured").query("SELECT 1")
    finalize_db("r")
    close("secured")


def test_a_burst_of_short_requests_does_not_fill_the_pool(database: str, kind: str) -> None:
    before: set[int] = set()

    def hold(seconds: float) -> None:
        with scope():
            sql = "SELECT pg_backend_pid(), pg_sleep($1)"
            before.add(db(alias="burst").query_one(sql, [seconds])["pg_backend_pid"])

    async def ask() -> None:
        async with own_scope():
            await adb(alias="burst").query("SELECT 1")

    async def ask_all() -> None:
        await asyncio.gather(*(ask() for _ in range(32)))

    def size_after_a_burst() -> int:
        Database.close("burst")
        Database.configure(database, alias="burst", max_size=32)
        before.clear()
        in_threads(5, lambda _: hold(0.3))
        assert Database.status("burst").size == len(before) == 5
        if kind == "awaited":
            asyncio.run(ask_all())
        else:
            in_threads(32, lambda _: hold(0))
        return Database.status("burst").size

    # On a busy machine some wait for longer than a dial takes, and get one of their own by right.
    assert min(size_after_a_burst() for _ in range(4)) <= 5 + 8, (
        "one was dialed for each that had to wait"
    )
    Database.close("burst")
