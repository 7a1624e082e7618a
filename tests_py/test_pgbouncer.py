"""Behind each pooler, in each of its modes: nothing to configure, nothing that goes wrong.

PgBouncer of the machine is tried always, `make test/poolers` tries all of poolers/kinds.py.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import pytest
import statement_scenarios
from either import db, finalize_db, scope
from poolers import kinds
from poolers.pgbouncer import binary, started
from poolers.pooler import Pooler as Bouncer
from support import wait_until

from hypern import _native, errors
from hypern.database import Database, DbSession, Event
from hypern.database import db as blocking_db
from hypern.database import scope as blocking_scope
from hypern.pool import registry
from hypern.testing.nested import NestedPools

__all__ = ["Bouncer", "binary", "started"]  # for the tests of other files

pytestmark = pytest.mark.usefixtures("kind")

KEEPS = "it keeps statements as they were first parsed: see test_pooler_prepared.py"
NAMED = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'hypern%'"


@pytest.fixture(scope="module", params=kinds.chosen())
def bouncer(request: pytest.FixtureRequest, database: str) -> Iterator[Bouncer]:
    """Each pooler in each of its modes, with two server connections."""
    with kinds.start(database, request.param) as running:
        yield running


@pytest.fixture
def bounced(bouncer: Bouncer) -> Iterator[Bouncer]:
    """The pooler configured as "default"."""
    Database.close()
    bouncer.configure(12)
    yield bouncer
    Database.close()


def make_accounts(bouncer: Bouncer) -> None:
    with scope():
        db().execute("DROP TABLE IF EXISTS accounts")
        db().execute("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)")
        for n in range(10):
            db().execute("INSERT INTO accounts VALUES ($1, 100)", [n])


def transfer(session: DbSession, n: int) -> None:
    for account, amount in sorted([(n % 10, -1), ((n * 7 + 3) % 10, 1)]):
        sql = "UPDATE accounts SET balance = balance + $1 WHERE id = $2"
        assert session.execute(sql, [amount, account]) == 1


def request(bouncer: Bouncer, name: str, n: int) -> None:
    """What a web request does, as far as the mode allows."""
    session = db(name)
    assert session.query_value("SELECT $1::int + 1", [n]) == n + 1
    assert session.query_value("SELECT $1::text", [f"x{n}"]) == f"x{n}"
    if bouncer.mode == "statement":
        assert session.execute("UPDATE accounts SET balance = balance WHERE id = $1", [n % 10]) == 1
    else:
        session.run(lambda s: transfer(s, n), retries=50)
        rows = session.stream("SELECT n FROM generate_series(1, $1::int) n", [5], chunk_rows=2)
        assert [row["n"] for row in rows] == [1, 2, 3, 4, 5]
        session.begin()
        session.execute("SELECT 1")
    finalize_db(name)


def test_twelve_threads_on_two_server_connections_see_no_error(bounced: Bouncer) -> None:
    if bounced.mode == "session":
        bounced.configure(2)  # there, each client keeps one of the two
    make_accounts(bounced)
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for n in range(30):
                request(bounced, f"request {thread}.{n}", thread * 30 + n)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with scope():
        assert db().query_value("SELECT sum(balance) FROM accounts") == 1000
        assert db().query_value("SELECT count(*) FROM accounts WHERE balance < 0") == 0


def test_a_pooler_that_shares_servers_is_logged_once(
    bounced: Bouncer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="hypern"):
        for _ in range(3):
            with scope():
                db().query_value("SELECT 1")
    lines = [r.message for r in caplog.records if "behind a pooler" in r.message]
    assert len(lines) == (1 if bounced.kind.verdict == "shared" else 0)


def test_statements_are_named_only_where_a_server_is_kept(bounced: Bouncer) -> None:
    with scope():
        for n in range(3):
            assert db().query_value("SELECT $1::int", [n]) == n
        assert bool(db().query_value(NAMED)) == (bounced.mode == "session")


def test_state_is_reset_only_where_a_server_is_kept(bounced: Bouncer) -> None:
    """Elsewhere a RESET would reach a server that another client is using."""
    bounced.configure(1)
    with scope():
        assert db().query_value("SELECT set_config('hypern.mark', 'left', false)") == "left"
    with scope():
        mark = db().query_value("SELECT current_setting('hypern.mark', true)")
        reset = bounced.mode == "session" or bounced.kind.resets
        assert mark == ("" if reset else "left")
        db().execute("SELECT set_config('hypern.mark', '', false)")


def test_statement_timeout_is_kept_by_the_clients_clock_or_the_server(bounced: Bouncer) -> None:
    bounced.configure(1, statement_timeout_secs=0.3)
    with scope():
        assert db().query_value("SELECT 1") == 1
        began = time.monotonic()
        server, client = "the setting statement_timeout", r"statement_timeout_secs=0\.3 s"
        whose = server if bounced.kind.passes_timeout else client
        with pytest.raises(errors.QueryCanceled, match=whose):
            db().query_value("SELECT pg_sleep(30)")
        assert time.monotonic() - began < 5
        assert db().query_value("SELECT 1") == 1
        if bounced.mode != "statement":
            db().begin()
            assert db().query_value("SELECT 1") == 1
            time.sleep(0.5)  # it limits statements, not transactions
            assert db().query_value("SELECT 2") == 2


def test_a_timeout_cancels_and_keeps_the_connection(bounced: Bouncer) -> None:
    with scope():
        assert db().query_value("SELECT 1") == 1
        for _ in range(3):
            with pytest.raises(errors.QueryCanceled, match=r"timeout=0\.2 s"):
                db().query_value("SELECT pg_sleep(30)", timeout=0.2)
            if not bounced.kind.holds_cancel:
                assert Database.status().size == 1
        assert db().query_value("SELECT 2") == 2


def test_a_pooler_that_stands_still_keeps_nobody_past_a_deadline(bounced: Bouncer) -> None:
    with scope():
        assert db().query_value("SELECT 1") == 1
        bounced.send(signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(errors.ConnectionLost, match=r"timeout=0\.3 s"):
                db().query_value("SELECT 1", timeout=0.3)
            assert time.monotonic() - began < 1.3
        finally:
            bounced.send(signal.SIGCONT)
        assert db().query_value("SELECT 2") == 2
    wait_until(lambda: Database.status().size == 1)


def test_a_result_of_another_shape_is_never_given_wrong_values(bounced: Bouncer) -> None:
    if bounced.kind.keeps_plans:
        pytest.skip(KEEPS)
    with scope():
        session = db()
        session.execute("DROP TABLE IF EXISTS shapes")
        session.execute("CREATE TABLE shapes (a int, b text)")
        session.execute("INSERT INTO shapes VALUES (1, 'one')")
        sql = "SELECT * FROM shapes"
        changes: list[tuple[str, dict[str, object]]] = [
            ("ALTER TABLE shapes ALTER a TYPE text", {"a": "1", "b": "one"}),
            ("ALTER TABLE shapes DROP a", {"b": "one"}),
            ("ALTER TABLE shapes ADD c bigint DEFAULT 2", {"b": "one", "c": 2}),
            ("ALTER TABLE shapes RENAME b TO d", {"d": "one", "c": 2}),
            ("ALTER TABLE shapes ALTER c TYPE float8", {"d": "one", "c": 2.0}),
        ]
        for change, row in changes:
            session.query(sql)
            session.execute(change)
            try:
                got = session.query(sql)
            except errors.FeatureNotSupported as error:
                changed = "columns of the result have changed" in str(error)
                got = session.query(sql) if changed else []
            assert got == [row]
            assert [type(v) for v in got[0].values()] == [type(v) for v in row.values()]


@pytest.mark.parametrize(
    "scenario", statement_scenarios.DIRECT.values(), ids=list(statement_scenarios.DIRECT)
)
def test_a_change_under_a_cached_statement_is_noticed(
    bouncer: Bouncer, database: str, scenario: Callable[[], None]
) -> None:
    kept = statement_scenarios.DIRECT if bouncer.mode == "session" else statement_scenarios.ALL
    if bouncer.mode == "statement" or scenario.__name__ not in kept:
        pytest.skip("no transactions here, or no session that keeps what it sets")
    if bouncer.kind.keeps_plans:
        pytest.skip(KEEPS)
    bouncer.configure(1)
    Database.configure(database, max_size=1, alias="other")
    scenario()
    Database.close()


@pytest.mark.parametrize("sql", ["/* route */ COMMIT", ";commit/**/work", "COMMIT AND CHAIN"])
def test_a_commit_of_an_aborted_transaction_raises_in_any_spelling(
    bounced: Bouncer, sql: str
) -> None:
    if bounced.mode == "statement":
        pytest.skip("statement mode has no transactions")
    done: list[str] = []
    with scope():
        session = db().begin()
        session.on_commit(lambda: done.append("undone"))
        with pytest.raises(errors.DivisionByZero):
            session.query("SELECT 1 / 0")
        with pytest.raises(errors.TransactionAborted) as caught:
            session.execute(sql)
        assert isinstance(caught.value.__cause__, errors.DivisionByZero)
        session.execute("ROLLBACK") if session.is_in_transaction else session.begin()
        with session.transaction():
            session.on_commit(lambda: done.append("kept"))
            session.query("SELECT 1")
    assert done == ["kept"]


@pytest.mark.parametrize("then", ["scope", "statement"])
def test_a_stream_left_early_whose_commit_fails_is_no_success(bounced: Bouncer, then: str) -> None:
    if bounced.mode == "statement":
        pytest.skip("statement mode has no transactions")
    with scope():
        db().execute("DROP TABLE IF EXISTS streamed_late")
        db().execute("CREATE TABLE streamed_late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    done: list[str] = []
    sql = "INSERT INTO streamed_late SELECT 1 FROM generate_series(1, 3) RETURNING n"

    def request() -> None:
        with scope():
            session = db().on_commit(lambda: done.append("undone"))
            for _ in session.stream(sql, chunk_rows=1):
                break
            if then == "statement":
                session.query("SELECT 1")

    with pytest.raises(errors.UniqueViolation):
        request()
    with scope():
        assert db().query_value("SELECT count(*) FROM streamed_late") == 0
    assert done == []


def test_a_chained_transaction_of_a_block_is_rolled_back(bounced: Bouncer) -> None:
    if bounced.mode == "statement":
        pytest.skip("statement mode has no transactions")
    with scope():
        session = db()
        with session.transaction():
            session.execute("COMMIT AND CHAIN")
            with pytest.raises(errors.ProgrammingError, match="execute_many"):
                session.execute_many("COMMIT", [[]])
            with pytest.raises(errors.InterfaceError, match="leave the block"):
                session.query("SELECT 1")
        assert not session.is_in_transaction
        assert session.query_value("SELECT 1") == 1


def test_a_transaction_keeps_its_server(bounced: Bouncer) -> None:
    if bounced.mode == "statement":
        with (
            pytest.raises(errors.TransactionAborted),
            scope(),
            pytest.raises(errors.Error, match="transaction blocks not allowed"),
        ):
            db().begin().execute("SELECT 1")
        return
    with scope():
        with db().transaction():
            pids = {db().query_value("SELECT pg_backend_pid()") for _ in range(10)}
            assert len(pids) == 1
            assert db().execute_many("SELECT $1::int", [[1], [2]]) == 2
        with pytest.raises(errors.DivisionByZero), db().transaction():
            db().query("SELECT 1 / 0")
        assert db().query_value("SELECT 1") == 1


def test_a_copy_in_execute_many_costs_neither_connection_nor_transaction(bounced: Bouncer) -> None:
    if bounced.mode == "statement":
        pytest.skip("no transactions here, which execute_many is one of")
    with scope():
        for sql in ("COPY pg_am FROM STDIN", "COPY (SELECT 1) TO STDOUT"):
            with db().transaction():
                pid = db().query_value("SELECT pg_backend_pid()")
                with pytest.raises(errors.NotSupportedError, match="COPY"):
                    db().execute_many(sql, [[], []])
                assert db().execute_many("SELECT 1", [[], [], []]) == 3
                assert db().query_value("SELECT pg_backend_pid()") == pid


def test_copy_through_a_pooler(bounced: Bouncer) -> None:
    with scope():
        pid = db().query_value("SELECT pg_backend_pid()")
        series = "SELECT n FROM generate_series(1, 100000) n"
        assert sum(row["n"] for row in db().copy_out(series)) == 5000050000
        for rows in (db().copy_out(series), db().copy_out_raw(f"COPY ({series}) TO STDOUT")):
            next(rows)  # the next call ends it early
        assert db().query_value("SELECT 1") == 1
        with pytest.raises(errors.UndefinedTable):
            db().copy_in_raw("COPY missing FROM STDIN", [b"1\n"])
        if bounced.mode == "statement":
            return
        with db().transaction():
            db().execute("CREATE TEMP TABLE copied (n int PRIMARY KEY) ON COMMIT DROP")
            assert db().copy_in("copied", ((n,) for n in range(50_000))) == 50_000
            assert db().copy_in_raw("COPY copied FROM STDIN", [b"-1\n-2\n"]) == 2
            with pytest.raises(errors.UniqueViolation) as caught:
                db().copy_in("copied", [(-3,), (-1,)])
            assert caught.value.row == 1
            next(db().copy_out("copied"))
            assert db().query_value("SELECT count(*) FROM copied") == 50_002
        assert bounced.mode != "session" or db().query_value("SELECT pg_backend_pid()") == pid


@pytest.fixture
def odd_settings(bounced: Bouncer, database: str) -> Iterator[None]:
    """A database that prints dates, floats and intervals unlike others."""
    Database.configure(database, alias="direct")

    def change(*statements: str) -> None:
        with blocking_scope():
            direct = blocking_db(alias="direct")
            name = direct.query_value("SELECT current_database()")
            for statement in statements:
                direct.execute(statement.format(name=name))
            # PgBouncer's connections are made anew, with what the database says now.
            direct.execute(
                """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()"""
            )
        Database.close("default")
        time.sleep(0.2)  # until PgBouncer has seen them go
        bounced.configure(12)

    change(
        "CREATE TYPE priced AS (m money, f float8, at timestamptz, d date, i interval)",
        "ALTER DATABASE {name} SET datestyle = 'SQL, DMY'",
        "ALTER DATABASE {name} SET extra_float_digits = -5",
        "ALTER DATABASE {name} SET intervalstyle = iso_8601",
    )
    yield
    change("DROP TYPE priced", "ALTER DATABASE {name} RESET ALL")
    Database.close("direct")


STORED = "SELECT count(*) FROM priced_log"


def test_values_within_text_are_right_whatever_the_database_sets(
    bounced: Bouncer, odd_settings: None
) -> None:
    sql = """SELECT ROW(1, 0.1::float8 + 0.2, '2024-02-03 04:05+00', '2024-02-03'::date,
      '-3 days -4 hours')::priced AS it, $1::int AS n"""
    at = datetime(2024, 2, 3, 4, 5, tzinfo=timezone.utc)
    right = {"m": "$1.00", "f": 0.1 + 0.2, "at": at, "d": at.date(), "i": -timedelta(3, 14400)}
    with scope():
        db().execute("DROP TABLE IF EXISTS priced_log")
        db().execute("CREATE TABLE priced_log (what text)")
        style = db().query_value("SHOW datestyle")  # PgBouncer may know one of older connections
        for n in range(10):
            assert db().query_one(sql, [n]) == {"it": right, "n": n}
            assert db().query_value("SELECT 0.1::float8::text") == "0.1"
            assert db().query_value("SHOW datestyle") == style
            assert db().query_value("SHOW extra_float_digits") == "-5"
            printed, stored = "'2024-02-03'::date::text", db().query_value(STORED)
            row = db().query_one(
                f"""WITH i AS (INSERT INTO priced_log SELECT {printed} RETURNING what)
                SELECT ROW(1, 0.1::float8 + 0.2, NULL, NULL, NULL)::priced AS it, what FROM i"""
            )
            assert row["it"]["f"] == 0.1 + 0.2
            assert row["what"] == db().query_value(f"SELECT {printed}")
            assert db().query_value(STORED) == stored + 1
        if bounced.mode == "statement":
            return
        with db().transaction():
            for n in range(10):
                assert db().query_one(sql, [n]) == {"it": right, "n": n}
                assert db().query_value("SHOW datestyle") == style
            assert [row["n"] for row in db().stream(sql, [1], chunk_rows=1)] == [1]
            assert db().query_value("SHOW extra_float_digits") == "-5"


def test_a_stream_read_to_its_end_lets_go_of_its_table(bounced: Bouncer) -> None:
    if bounced.mode == "statement":
        pytest.skip("no transactions here")
    with scope():
        session = db()
        session.execute("DROP TABLE IF EXISTS streamed")
        session.execute("CREATE TABLE streamed AS SELECT generate_series(1, 6) AS n")
        for change in (
            "TRUNCATE streamed",
            "ALTER TABLE streamed ADD m int",
            "DROP TABLE streamed",
        ):
            with session.transaction():
                assert len(list(session.stream("SELECT n FROM streamed", chunk_rows=2))) in (0, 6)
                session.execute(change)


def test_statements_deallocated_unseen_are_healed(bounced: Bouncer) -> None:
    if bounced.kind.keeps_plans:
        pytest.skip(KEEPS)
    if bounced.mode == "statement":
        pytest.skip("no transactions here")
    bounced.configure(1)
    for n in range(12):
        with scope():
            session = db()
            session.begin()
            assert session.query_value("SELECT $1::int", [n]) == n
            session.commit()
            if n == 6:
                session.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
            if n == 8:
                session.execute("DO $$ BEGIN EXECUTE 'PREPARE left_by_do AS SELECT 1'; END $$")
    if bounced.mode == "session":
        with scope():
            sql = "SELECT count(*) FROM pg_prepared_statements WHERE name = 'left_by_do'"
            assert db().query_value(sql) == 0


def test_the_sessions_of_a_test_share_a_server_connection(
    bounced: Bouncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bounced.mode == "statement":
        pytest.skip("there are no transactions, which is what such sessions share")
    with scope():
        db().execute("DROP TABLE IF EXISTS nested")
        db().execute("CREATE TABLE nested (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    settings = registry.settings_of("default")
    assert settings is not None
    pools = NestedPools(settings)
    insert = "INSERT INTO nested VALUES ($1)"
    with monkeypatch.context() as patch:
        patch.setattr(registry, "open_session", pools.session)
        patch.setattr(_native, "sessions", pools.find)
        try:
            first, second = db("a"), db("b")
            second.execute(insert, [2])
            second.execute_many(insert, [[4], [5]])
            first.begin().execute(insert, [1])
            with pytest.raises(errors.DivisionByZero):
                first.execute("SELECT 1/0")
            with pytest.raises(errors.InFailedSqlTransaction):
                first.execute(insert, [3])
            rows = iter(second.stream("SELECT n FROM nested ORDER BY n", chunk_rows=1))
            assert next(rows) == {"n": 1}  # what is not committed yet is seen, too
            assert [row["n"] for row in rows] == [2, 4, 5]
            first.execute("ROLLBACK")
            first.execute("BEGIN")
            first.execute_many(insert, [[6], [7]])
            first.execute("COMMIT")
            with pytest.raises(errors.UniqueViolation):
                second.execute(insert, [7])
            assert first.query_value("SELECT sum(n) FROM nested") == 24
            finalize_db("a")
            finalize_db("b")
        finally:
            pools.close()
    with scope():
        assert db().query_value("SELECT count(*) FROM nested") == 0
        db().execute("DROP TABLE nested")


def test_a_released_connection_is_reset_and_an_event_says_where_it_led(bounced: Bouncer) -> None:
    seen: list[Event] = []
    Database.on_event(seen.append)
    try:
        with scope():
            session = db()
            for n in range(5):
                assert session.query_value("SELECT $1::int", [n]) == n
                session.release()
                assert Database.status().in_use == 0
            if bounced.mode != "statement":
                session.begin()
                session.query("SELECT 1")
                with pytest.raises(
                    errors.InterfaceError, match=r"release\(\) inside a transaction"
                ):
                    session.release()
                session.commit()
            session.release()
    finally:
        Database.on_event(None)
    assert Database.status().in_use == 0
    ports = {event.port for event in seen}
    assert len(ports) == 1
    assert f"{ports.pop()}" in bounced.url


def test_the_status_tells_the_mode(bouncer: Bouncer, database: str) -> None:
    for url, verdict in ((bouncer.url, bouncer.kind.verdict), (database, "none")):
        Database.close()
        Database.configure(url, max_size=2, acquire_timeout_secs=20)
        assert Database.status().pooler is None  # nothing has connected yet
        with scope():
            db().query_value("SELECT 1")
        assert Database.status().pooler == verdict
    Database.close()


def test_what_was_written_has_a_position_and_is_read(bounced: Bouncer) -> None:
    Database.close()
    replica = f"{bounced.url}&target_session_attrs=any"
    Database.configure(bounced.url, replica=replica, max_size=1, acquire_timeout_secs=20)
    before = None
    for n in range(3):
        with scope() as written:
            db().execute("CREATE TABLE IF NOT EXISTS positions (n int)")
            db().execute("INSERT INTO positions VALUES ($1)", [n])
            if bounced.mode != "statement":
                with db().transaction() as session:
                    session.execute("UPDATE positions SET n = n + 1")
        position = written.commit_lsn()
        assert position is not None
        assert not position.startswith("FFFFFFFF")
        assert position != before
        before = position
        if bounced.mode != "statement":  # which has no transactions
            with scope(read_only=True, not_before=position):
                assert db().query_value("SELECT count(*) FROM positions") == n + 1
    with scope():
        db().execute("DROP TABLE positions")


def test_a_label_follows_its_statements(bounced: Bouncer) -> None:
    Database.close()
    Database.configure(bounced.url, sql_comments=True, max_size=1)
    sql = "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    for label in ("one", "two", "one"):
        with scope(label=label):
            assert db().query_value(sql) == f"{sql} /*label='{label}'*/"
