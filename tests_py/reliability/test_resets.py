"""A reset between two requests that fails, in each way that a server makes it fail for real."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from either import close, db, finalize_db, scope
from reliability.fault_proxy import FaultProxy
from reliability.own_server import OwnServer
from reliability.tally import Tally
from support import wait_until

from hypern import errors
from hypern.database import Database
from hypern.database import db as blocking

pytestmark = pytest.mark.usefixtures("kind")

_REQUESTS = 20
_PID = "SELECT pg_backend_pid()"
_LOCKS = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def _admin(*statements: str) -> None:
    with scope():
        for sql in statements:
            blocking(alias="admin").execute(sql)


@pytest.fixture
def plain(own_server: OwnServer) -> Iterator[str]:
    """The URL of a role without any rights beyond PUBLIC's and those to the table `kept`."""
    _admin(
        "CREATE ROLE plain LOGIN",
        "CREATE TABLE kept (n int)",
        "GRANT ALL ON kept TO plain",
        "CREATE FUNCTION run(what text) RETURNS int LANGUAGE plpgsql AS"
        " 'BEGIN EXECUTE what; RETURN 1; END'",
        "CREATE PROCEDURE call(what text) LANGUAGE plpgsql AS 'BEGIN EXECUTE what; END'",
    )
    yield own_server.admin.replace("postgres@", "plain@")
    close("plain")
    _admin(
        "DROP FUNCTION run",
        "DROP PROCEDURE call",
        "DROP TABLE kept",
        "DROP OWNED BY plain",
        "DROP ROLE plain",
    )


@pytest.fixture
def one(plain: str) -> None:
    """The alias "plain": one connection of that role."""
    Database.configure(plain, alias="plain", max_size=1, acquire_timeout_secs=5)


def _locks() -> int:
    with scope():
        held: int = blocking(alias="admin").query_value(_LOCKS)
        return held


def _request(number: int, work: Callable[[int], object] = id) -> tuple[int, float]:
    """A request that leaves a lock and a setting; returns its server process and its time."""
    began = time.monotonic()
    session = db(f"request {number}", "plain")
    session.begin()
    session.execute("INSERT INTO kept VALUES ($1)", [number])
    pid: int = session.query_value(_PID)
    session.commit()
    mark = session.query_value("SELECT coalesce(current_setting('app.mark', true), '')")
    assert mark == "", "the request before has left it"
    session.execute("SET app.mark = 'left'")
    session.query_value("SELECT pg_advisory_lock_shared(42)")
    work(number)
    finalize_db(f"request {number}")
    return pid, time.monotonic() - began


def _requests(work: Callable[[int], object] = id) -> None:
    """Requests one right after the other are all served, and soon, by the same connection."""
    with scope():
        before = blocking(alias="admin").query_value("SELECT count(*) FROM kept")
    done = [_request(n, work) for n in range(_REQUESTS)]
    assert len({pid for pid, _ in done}) == 1
    assert max(took for _, took in done) < 1
    with scope():
        after = blocking(alias="admin").query_value("SELECT count(*) FROM kept")
    assert after - before == _REQUESTS


_UNSEEN = {
    "DO": lambda s: s.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"),
    "a function": lambda s: s.execute("SELECT run('DEALLOCATE ALL')"),
    "execute_many": lambda s: s.execute_many("DEALLOCATE ALL", [[]]),
}


@pytest.mark.parametrize("how", _UNSEEN)
@pytest.mark.parametrize("once", [True, False], ids=["once", "each time"])
def test_statements_deallocated_unseen(one: None, how: str, once: bool, tally: Tally) -> None:
    def work(number: int) -> None:
        if not once or number == _REQUESTS // 2:
            _UNSEEN[how](db(f"request {number}", "plain"))

    _requests(work)
    tally.add("statements deallocated unseen: requests", _REQUESTS, "no error; healed at once")


_PREPARE = {
    "DO": lambda s: s.execute("DO $$ BEGIN EXECUTE 'PREPARE left_one AS SELECT 1'; END $$"),
    "a procedure": lambda s: s.execute("CALL call('PREPARE left_one AS SELECT 1')"),
    "execute_many": lambda s: s.execute_many("PREPARE left_one AS SELECT 1", [[]]),
}


@pytest.mark.parametrize("how", _PREPARE)
def test_statements_prepared_unseen(one: None, how: str, tally: Tally) -> None:
    left = "SELECT count(*) FROM pg_prepared_statements WHERE from_sql"
    pids = set()
    for _ in range(5):
        with scope():
            session = db(alias="plain")
            assert session.query_value(left) == 0
            pids.add(session.query_value(_PID))
            _PREPARE[how](session)
            assert session.query_value(left) == 1
    assert len(pids) == 1
    tally.add("statements prepared unseen: requests", 5, "the next request sees none")


def test_a_role_that_may_not_unlock_is_reset_by_the_rest(
    plain: str, tally: Tally, caplog: pytest.LogCaptureFixture
) -> None:
    unlock = "FUNCTION pg_catalog.pg_advisory_unlock_all()"
    _admin(f"REVOKE EXECUTE ON {unlock} FROM PUBLIC")
    try:
        Database.configure(plain, alias="plain", max_size=1, acquire_timeout_secs=5)
        with caplog.at_level("WARNING", logger="hypern"):
            _requests()
            for n in range(3):  # apart, so that the reset is sent by itself
                time.sleep(0.02)
                _request(_REQUESTS + n)
        lines = [r.getMessage() for r in caplog.records if "refuses a part" in r.getMessage()]
        assert len(lines) == 1
        assert "pg_advisory_unlock_all" in lines[0]
        assert "permission denied" in lines[0]
    finally:
        close("plain")
        _admin(f"GRANT EXECUTE ON {unlock} TO PUBLIC")
    tally.add(
        "a role without EXECUTE on pg_advisory_unlock_all: requests",
        _REQUESTS,
        "reset by the rest; logged once; no connection is lost",
    )


@pytest.mark.parametrize("begun", [False, True], ids=["statement", "transaction"])
def test_a_reset_that_takes_longer_than_the_roles_statement_timeout(
    plain: str, begun: bool, tally: Tally
) -> None:
    _admin("ALTER ROLE plain SET statement_timeout = '20ms'")
    Database.configure(plain, alias="plain", max_size=1, acquire_timeout_secs=5)
    pids = set()
    for rolled_back in (False, True):
        with scope():
            session = db(alias="plain")
            if begun:
                session.begin()
            pids.add(session.query_value(_PID))
            session.execute("SET statement_timeout = 0")
            session.execute(
                "DO $$ BEGIN FOR i IN 1..300 LOOP"
                " EXECUTE format('CREATE TEMP TABLE left_%s (n int, t text)', i); END LOOP; END $$"
            )
            if rolled_back:
                session.set_error()
            session.query_value("SELECT pg_advisory_lock_shared(42)")
    wait_until(lambda: _locks() == 0)
    with scope():
        pids.add(db(alias="plain").query_value(_PID))
        temporary = "SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'"
        assert db(alias="plain").query_value(temporary) == 0
    assert len(pids) == 1
    tally.add("a reset that outlasts the role's statement_timeout", 2, "it is reset")


def test_pg_cancel_backend_at_random_moments(one: None, full: bool, tally: Tally) -> None:
    """Whatever it hits, a statement or a reset, nothing hangs and nothing is left behind."""
    pid, _ = _request(0)
    stop = threading.Event()

    def cancel() -> None:
        with scope("canceller"):
            session = blocking("canceller", "admin")
            while not stop.is_set():
                session.query_value("SELECT pg_cancel_backend($1)", [pid])
                time.sleep(
                    random.uniform(0, 0.001)
                )  # a reset is repaired a few times in a row only

    thread = threading.Thread(target=cancel)
    thread.start()
    slow = served = 0
    requests = 2000 if full else 200
    try:
        for n in range(requests):
            began = time.monotonic()
            try:
                pid_now, _ = _request(n)
                served += 1
            except errors.QueryCanceled:
                db(f"request {n}", "plain").set_error()
                finalize_db(f"request {n}")
            else:
                assert pid_now == pid
            slow += time.monotonic() - began > 1
    finally:
        stop.set()
        thread.join()
        finalize_db("canceller")
    assert slow == 0
    _request(-1)
    tally.add(
        "pg_cancel_backend at random moments: requests",
        requests,
        "QueryCanceled or served; no connection is lost",
    )


def test_a_role_that_may_not_ask_for_its_process(plain: str, tally: Tally) -> None:
    ask = "FUNCTION pg_catalog.pg_backend_pid()"
    _admin(f"REVOKE EXECUTE ON {ask} FROM PUBLIC")
    try:
        Database.configure(plain, alias="plain", max_size=1)
        with scope():
            assert db(alias="plain").query_value("SELECT $1::int", [1]) == 1
            named = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'hypern%'"
            assert db(alias="plain").query_value(named) > 0, "it was taken for a pooler"
        close("plain")
        _admin("REVOKE SELECT ON pg_catalog.pg_stat_activity FROM PUBLIC")
        Database.configure(plain, alias="plain", max_size=1)
        with scope():
            assert db(alias="plain").query_value("SELECT $1::int", [1]) == 1
            db(alias="plain").execute("SET app.mark = 'left'")
        with scope():
            assert db(alias="plain").query_value("SELECT current_setting('app.mark')") == ""
    finally:
        close("plain")
        _admin(
            f"GRANT EXECUTE ON {ask} TO PUBLIC",
            "GRANT SELECT ON pg_catalog.pg_stat_activity TO PUBLIC",
        )
    tally.add("a role without EXECUTE on pg_backend_pid", 2, "it connects; nothing is left behind")


@pytest.mark.parametrize("first", ["query", "begin", "begin, later", "execute_many", "stream"])
def test_an_idle_connection_that_was_closed_without_a_word(
    own_server: OwnServer, first: str, tally: Tally
) -> None:
    times = 5
    with FaultProxy(own_server.port) as proxy:
        url = own_server.url(proxy.port, user="postgres")
        Database.configure(url, alias="plain", max_size=2, acquire_timeout_secs=5)
        for _ in range(times):
            with scope():
                db(alias="plain").query("SELECT 1")
            if first != "begin, later":
                proxy.hang_up()
            with scope():
                session = db(alias="plain")
                if first.startswith("begin"):
                    session.begin()
                if first == "begin, later":
                    proxy.hang_up()
                if first == "execute_many":
                    assert session.execute_many("SELECT $1::int", [[1], [2]]) == 2
                elif first == "stream":
                    assert len(list(session.stream("SELECT 1"))) == 1
                else:
                    assert session.query_value("SELECT 1") == 1
        close("plain")
    tally.add("an idle connection closed without a goodbye (FIN)", times, "no error")


@pytest.mark.parametrize(
    "change", ["DROP TABLE streamed", "ALTER TABLE streamed ADD m int", "TRUNCATE streamed"]
)
@pytest.mark.parametrize("chunk", [2, 3, 100])
def test_a_stream_read_to_its_end_lets_go_of_its_table(one: None, change: str, chunk: int) -> None:
    with scope():
        session = db(alias="plain")
        session.execute("CREATE TEMP TABLE streamed AS SELECT generate_series(1, 6) AS n")
        with session.transaction():
            rows = session.stream("SELECT n FROM streamed", chunk_rows=chunk)
            assert [row["n"] for row in rows] == [1, 2, 3, 4, 5, 6]
            session.execute(change)
