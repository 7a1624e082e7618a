"""Sessions that only read go to a streaming standby, and see what was committed before."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import either
import pytest
from reliability.fault_proxy import BLACK_HOLE, CUT, Fault, FaultProxy
from reliability.messages import TO_CLIENT
from reliability.own_server import PASSWORD, OwnServer
from reliability.pair import PROMPT, Pair, running_pair
from reliability.tally import Tally
from support import wait_until

from hypern import database, errors
from hypern.database import Database, DbSession, PoolStatus

pytestmark = pytest.mark.usefixtures("kind")

_THREADS = 4
_ROWS = 16  # of the table `t`, each with a thread of its own
_NEVER_SECS = 60.0  # a wait that no test is to sit out
_WHERE = "SELECT pg_is_in_recovery()"


@pytest.fixture(scope="module")
def running() -> Iterator[Pair]:
    """Both for all tests here; one that stops a server starts it again."""
    with running_pair() as pair:
        yield pair


@pytest.fixture
def pair(running: Pair) -> Iterator[Pair]:
    """Both, configured."""
    running.configure()
    yield running
    Database.close()


def _is_on_replica(**options: Any) -> bool:
    with either.scope(read_only=True, **options):
        return bool(either.db().query_value(_WHERE))


def _replica_status() -> PoolStatus:
    status = Database.status().replica
    assert status is not None
    return status


def _write(n: int, row: int = 0) -> str:
    with either.scope(atomic=True) as scope:
        either.db().execute("UPDATE t SET n = $1 WHERE id = $2", [n, row])
    lsn = scope.commit_lsn()
    assert lsn is not None
    return lsn


def test_reads_go_to_the_standby_and_a_write_there_is_refused(pair: Pair) -> None:
    with either.scope(read_only=True):
        assert either.db().query_value(_WHERE)
        sql = (
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'alice' AND state IS NOT NULL "
            "AND application_name = 'hypern'"
        )
        assert either.db().query_value(sql) == 1
        with pytest.raises(errors.ReadOnlySqlTransaction):
            either.db().execute("UPDATE t SET n = 1")
        either.db().rollback()
    assert Database.status().connects == 0
    assert _replica_status().connects == 1
    with either.scope():
        assert not either.db().query_value(_WHERE)


def test_a_request_may_have_a_session_of_each_kind(pair: Pair) -> None:
    with either.scope(read_only=True):
        assert either.db() == either.db(read_only=True) != either.db(read_only=False)
        either.db(read_only=False).execute("UPDATE t SET n = 5 WHERE id = 3")
        assert not either.db(read_only=False).query_value(_WHERE)
        assert either.db().query_value(_WHERE)
    with either.scope():
        assert either.db() == either.db(read_only=False) != either.db(read_only=True)
        assert either.db(read_only=True).query_value(_WHERE)
        assert not either.db().query_value(_WHERE)
    assert either.db("mine", read_only=True).query_value(_WHERE)
    assert not either.db("mine").query_value(_WHERE)
    either.finalize_db("mine")
    assert Database.status().in_use == _replica_status().in_use == 0


def test_without_a_replica_each_kind_is_on_the_primary(pair: Pair) -> None:
    pair.configure(replica=None)
    with either.scope(read_only=True) as scope:
        with pytest.raises(errors.ReadOnlySqlTransaction):
            either.db().execute("UPDATE t SET n = 1")
        either.db().rollback()
        assert either.db(read_only=False).execute("UPDATE t SET n = 6 WHERE id = 3") == 1
        assert scope.commit_lsn() is None


@pytest.mark.parametrize("value", [1, "yes"])
def test_read_only_is_a_bool(pair: Pair, value: Any) -> None:
    with either.scope(), pytest.raises(TypeError, match="read_only must be a bool"):
        either.db(read_only=value)


def _in_block(session: DbSession) -> None:
    with session.transaction():
        session.execute("UPDATE t SET n = n + 1 WHERE id = 1")


def _in_begin(session: DbSession) -> None:
    session.begin()
    session.execute("UPDATE t SET n = n + 1 WHERE id = 1")
    session.commit()


def _in_sql(session: DbSession) -> None:
    session.execute("BEGIN")
    session.execute("UPDATE t SET n = n + 1 WHERE id = 1")
    session.execute("COMMIT")


def _in_chain(session: DbSession) -> None:
    session.execute("BEGIN")
    session.execute("UPDATE t SET n = n + 1 WHERE id = 1")
    session.execute("COMMIT AND CHAIN")
    session.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")  # nothing ran before it
    session.rollback()


def _in_stream(session: DbSession) -> None:
    sql = "UPDATE t SET n = n + 1 WHERE id < 9 RETURNING id"
    assert len(list(session.stream(sql, chunk_rows=2))) == 9


def _in_batch(session: DbSession) -> None:
    with session.batch() as batch:
        for row in range(3):
            batch.execute("UPDATE t SET n = n + 1 WHERE id = $1", [row])


WAYS: dict[str, Callable[[DbSession], object]] = {
    "execute": lambda session: session.execute("UPDATE t SET n = n + 1 WHERE id = 1"),
    "query": lambda session: session.query("UPDATE t SET n = n + 1 RETURNING id"),
    "execute_many": lambda s: s.execute_many("UPDATE t SET n = $1 WHERE id = 1", [(1,), (2,)]),
    "script": lambda s: s.execute_script("UPDATE t SET n = 7; UPDATE t SET n = 8 WHERE id = 1"),
    "steps": lambda s: s.execute_script(
        "UPDATE t SET n = 7; UPDATE t SET n = 8 WHERE id = 1", atomic=False
    ),
    "block": _in_block,
    "begin": _in_begin,
    "SQL": _in_sql,
    "chain": _in_chain,
    "stream": _in_stream,
    "batch": _in_batch,
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_commit_has_a_position_behind_it(pair: Pair, way: str) -> None:
    admin = "SELECT xmin::text::bigint AS x FROM t WHERE id = 1"
    for _ in range(3):  # the first time, prepared, and with the statement for the position
        with either.scope() as scope:
            assert scope.commit_lsn() is None
            WAYS[way](either.db())
            lsn = scope.commit_lsn()
            assert lsn is not None
            assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+:1:\d+", lsn)
        assert scope.commit_lsn() == lsn
        with either.scope():
            written = either.db().query_value(admin)
        with either.scope(read_only=True, not_before=lsn):
            assert either.db().query_value(admin) == written


def test_what_the_end_of_a_request_commits_has_a_position(pair: Pair) -> None:
    first = _write(1)
    second = _write(2)
    assert _number(first) < _number(second)
    with either.scope() as scope:
        either.db().execute("UPDATE t SET n = 3 WHERE id = 0")
        either.finalize_db()
        lsn = scope.commit_lsn()
        assert lsn is not None
        assert _number(second) < _number(lsn)
    with either.scope(atomic=True) as scope:
        either.db().execute("UPDATE t SET n = 4 WHERE id = 0")
        either.db().rollback()
    assert scope.commit_lsn() is None


def _number(position: str) -> int:
    high, low = position.split(":")[0].split("/")
    return (int(high, 16) << 32) + int(low, 16)


@pytest.mark.timeout(500)
def test_what_was_written_is_read(pair: Pair, full: bool, tally: Tally) -> None:
    times = 10_000 if full else 320
    pair.configure(replica_wait_secs=10)
    missed: list[tuple[int, int]] = []
    on_replica = 0
    lock = threading.Lock()

    def work(row: int) -> None:
        nonlocal on_replica
        for n in range(times // _ROWS):
            lsn = _write(n, row)
            with either.scope(read_only=True, not_before=lsn):
                found = either.db().query_one(
                    "SELECT n, pg_is_in_recovery() AS replica FROM t WHERE id = $1", [row]
                )
            with lock:
                on_replica += found["replica"]
                if found["n"] != n:
                    missed.append((n, found["n"]))

    threads = [threading.Thread(target=work, args=[row]) for row in range(_ROWS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not missed
    assert on_replica > times * 0.9  # the primary serves where the standby is too late
    tally.add("a read behind a write, on a standby that is late", times, "all saw their write")


def test_a_standby_that_is_late_is_not_waited_for_longer_than_allowed(pair: Pair) -> None:
    pair.configure(replica_wait_secs=0.05)
    pair.standby.psql("SELECT pg_wal_replay_pause()")
    try:
        lsn = _write(77)
        with either.scope(read_only=True, not_before=lsn):
            assert not either.db().query_value(_WHERE)
            assert either.db().query_value("SELECT n FROM t WHERE id = 0") == 77
        assert _is_on_replica(), "what needs no position is still read there"
        assert _replica_status().closed_broken == 0
    finally:
        pair.standby.psql("SELECT pg_wal_replay_resume()")
    pair.configure(replica_wait_secs=_NEVER_SECS)
    assert _is_on_replica(not_before=lsn)


def test_a_position_that_a_standby_never_reaches_is_read_on_the_primary(pair: Pair) -> None:
    pair.configure(replica_wait_secs=_NEVER_SECS)
    lsn, timeline, system = _write(1).split(":")
    assert _is_on_replica(not_before=f"{lsn}:{timeline}:{system}")
    assert _is_on_replica(not_before=lsn)
    assert not _is_on_replica(not_before=f"{lsn}:2:{system}")
    assert not _is_on_replica(not_before=f"{lsn}:{timeline}:{int(system) + 1}")
    assert not _is_on_replica(not_before="FFFFFFFF/FFFFFFFF")
    assert _is_on_replica(not_before={"other": "FFFFFFFF/FFFFFFFF", "default": lsn})
    pair.configure(replica_wait_secs=0)
    assert not _is_on_replica(not_before="FFFFFFFF/0")  # of the future


def test_the_wait_for_a_position_is_within_the_callers_time(pair: Pair) -> None:
    pair.configure(replica_wait_secs=_NEVER_SECS)
    with (
        either.scope(read_only=True, not_before="FFFFFFFF/0"),
        pytest.raises(errors.QueryCanceled),
    ):
        either.db().query(_WHERE, timeout=0.1)
    with (
        either.scope(read_only=True, not_before="FFFFFFFF/0", deadline_secs=0.2),
        pytest.raises(errors.QueryCanceled, match="deadline_secs"),
    ):
        either.db().query(_WHERE)
    assert _is_on_replica()
    assert _replica_status().in_use == 0


@pytest.mark.parametrize(
    ("position", "text"),
    [
        ("", "is no position"),
        ("0", "is no position"),
        ("0/", "is no position"),
        ("0/300014800", "is no position"),
        ("0/3000148:1", "is no position"),
        ("0/3000148:x:1", "is no position"),
        ("0/3000148\n", "is no position"),
        ("0/'; DROP TABLE t", "is no position"),
        (7, "must be a str, not int"),
        ({"default": 7}, 'not_before["default"] must be a str, not int'),
        ({7: "0/1"}, "must be a mapping by alias"),
    ],
)
def test_a_malformed_position_is_refused(position: Any, text: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=re.escape(text)):
        either.scope(read_only=True, not_before=position)
    with pytest.raises(errors.ConfigurationError, match=re.escape(text)):
        database.scoped(not_before=position)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"replica": ""}, "replica is empty"),
        ({"replica": 7}, "replica must be a str"),
        ({"replica": "mysql://x"}, "replica: the URL must start with postgresql://"),
        ({"replica_wait_secs": -1}, "replica_wait_secs must be from 0"),
        ({"replica_wait_secs": "1"}, "replica_wait_secs must be a number"),
        ({"sql_comments": 1}, "sql_comments must be True or False"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=re.escape(text)):
        Database.configure("postgresql://x", alias="refused", **settings)


def test_a_replica_that_is_a_primary_is_not_read_and_logged_once(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    pair.configure(replica=pair.primary.url())
    with caplog.at_level(logging.WARNING, "hypern"):
        for _ in range(5):
            assert not _is_on_replica()
            assert not _is_on_replica(not_before=_write(1))
    missed = [record.getMessage() for record in caplog.records]
    assert len(missed) == 1
    assert "no replica of alias" in missed[0]
    assert PASSWORD not in missed[0]
    assert _replica_status().last_error is not None


def test_a_role_that_may_not_ask_for_the_position_commits_all_the_same(pair: Pair) -> None:
    pair.primary.psql("REVOKE EXECUTE ON FUNCTION pg_current_wal_insert_lsn() FROM PUBLIC")
    pair.primary.psql(f"CREATE ROLE bob LOGIN PASSWORD '{PASSWORD}'")
    pair.primary.psql("GRANT ALL ON t TO bob")
    try:
        Database.close()
        where = f"host={pair.primary.directory} port={pair.primary.port} dbname=postgres"
        Database.configure(f"{where} user=bob", replica=pair.standby.url(), password=PASSWORD)
        with either.scope() as scope:
            either.db().execute("UPDATE t SET n = 11 WHERE id = 2")
            with either.db().transaction() as session:
                session.execute("UPDATE t SET n = 12 WHERE id = 2")
            assert scope.commit_lsn() == "FFFFFFFF/FFFFFFFF"
        with either.scope(atomic=True) as scope:
            either.db().execute("UPDATE t SET n = 13 WHERE id = 2")
        assert scope.commit_lsn() == "FFFFFFFF/FFFFFFFF"
        with either.scope():
            assert either.db().query_value("SELECT n FROM t WHERE id = 2") == 13
    finally:
        Database.close()
        pair.primary.psql("DROP OWNED BY bob")
        pair.primary.psql("DROP ROLE bob")
        pair.primary.psql("GRANT EXECUTE ON FUNCTION pg_current_wal_insert_lsn() TO PUBLIC")


def test_a_standby_that_dies_and_comes_back_under_load(
    pair: Pair, caplog: pytest.LogCaptureFixture, tally: Tally
) -> None:
    stop = threading.Event()
    served: list[tuple[float, bool]] = []
    failed: list[errors.Error] = []

    def read() -> None:
        while not stop.is_set():
            try:
                served.append((time.monotonic(), _is_on_replica()))
            except errors.Error as error:
                failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(_THREADS)]
    with caplog.at_level(logging.WARNING, "hypern"):
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: sum(on_replica for _, on_replica in served) > 50, 20)
            pair.standby.stop("immediate")
            died = time.monotonic()
            wait_until(lambda: any(at > died + 0.3 for at, _ in served), 20)
            pair.standby.start()
            wait_until(lambda: served[-1][1], 20)
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)
    assert any(not on_replica for _, on_replica in served)
    assert len(failed) <= _THREADS, failed  # one that was running when the server died
    missed = [r.getMessage() for r in caplog.records if "no replica" in r.getMessage()]
    assert len(missed) == 1, missed
    assert _replica_status().in_use == Database.status().in_use == 0
    tally.add("a standby that dies under load and comes back", len(served), "the primary served")


def test_the_replicas_follow_a_new_primary(tally: Tally) -> None:
    with contextlib.ExitStack() as stack:
        primary = OwnServer(PROMPT)
        stack.callback(primary.remove)
        primary.psql("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)")
        primary.psql("INSERT INTO t VALUES (0, 0)")
        heir, other = OwnServer(standby_of=primary), OwnServer(standby_of=primary)
        for server in (heir, other):
            stack.callback(server.remove)
            server.start()
        stack.callback(Database.close)

        def hosts(*servers: OwnServer) -> str:
            ports = ",".join(str(server.port) for server in servers)
            names = ",".join("127.0.0.1" for _ in servers)
            return f"host={names} port={ports} user=alice dbname=postgres sslmode=disable"

        Database.close()
        Database.configure(
            f"{hosts(primary, heir)} target_session_attrs=read-write",
            replica=f"{hosts(heir, other)} load_balance_hosts=random",
            password=PASSWORD,
            replica_wait_secs=5,
        )
        before = _write(1)
        with either.scope(read_only=True, not_before=before):
            assert either.db().query_value("SELECT n FROM t") == 1
        primary.stop("immediate")
        heir.promote()
        source = f"host={heir.directory} port={heir.port} user=postgres"
        other.psql(f"ALTER SYSTEM SET primary_conninfo = '{source}'")
        other.psql("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 30
        while True:
            try:
                after = _write(2)
                break
            except errors.Error:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert after.split(":")[1] == "2"
        where = f"{_WHERE} AS replica, n, inet_server_port() AS port"
        served = 0
        while not served:
            assert time.monotonic() < deadline
            after = _write(3)
            for position in (before, after):
                with either.scope(read_only=True, not_before=position):
                    found = either.db().query_one(f"{where} FROM t")
                assert found["n"] == 3 or position is before
                served += found["replica"] and position is after
        for _ in range(20):
            with either.scope(read_only=True):
                found = either.db().query_one(f"{where} FROM t")
            assert found["replica"]
            assert found["port"] == other.port
        tally.add("failover of a primary whose replicas follow", 1, "reads go to the other standby")


@pytest.mark.parametrize("what", [CUT, BLACK_HOLE])
@pytest.mark.parametrize("way", ["atomic", "block", "execute"])
def test_a_connection_lost_behind_a_commit_is_no_failed_commit(
    pair: Pair, what: str, way: str
) -> None:
    def write(proxy: FaultProxy, n: int) -> str | None:
        pair.configure()
        Database.close()
        Database.configure(
            pair.primary.url(proxy.port), replica=pair.standby.url(), password=PASSWORD
        )
        with either.scope(atomic=way == "atomic") as scope:
            session = either.db()
            if way == "block":
                with session.transaction():
                    session.execute("UPDATE t SET n = $1 WHERE id = 4", [n])
            else:
                session.execute("UPDATE t SET n = $1 WHERE id = 4", [n])
        return scope.commit_lsn()

    with FaultProxy(pair.primary.port) as proxy:
        assert write(proxy, 0) is not None
        received = [m for m in proxy.seen if m.direction == TO_CLIENT and m.connection == 0]
        row = max(i for i, m in enumerate(received) if m.kind == "D")  # of the position
        answered = max(i for i, m in enumerate(received[:row]) if m.kind == "Z")
    with FaultProxy(pair.primary.port, Fault(what, received[answered + 1], 0)) as proxy:
        assert write(proxy, 41) == "FFFFFFFF/FFFFFFFF"
        assert proxy.fired.wait(5)
    pair.configure()
    with either.scope():
        assert either.db().query_value("SELECT n FROM t WHERE id = 4") == 41
