"""`Database.on_connect`: functions that prepare each new connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from either import db, finalize_db, scope
from support import url_with
from test_pgbouncer import started

from hypern import errors
from hypern.database import Database, DbSession
from hypern.pool import attendant

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    yield
    Database.close()
    attendant._hooks.clear()


def _configure(url: str, **settings: Any) -> None:
    Database.close()
    Database.configure(url, **{"max_size": 2, "acquire_timeout_secs": 20, **settings})


def _in_scope(sql: str) -> object:
    with scope():
        return db().query_value(sql)


def test_it_is_called_once_for_each_connection(database: str) -> None:
    pids: list[object] = []
    threads: set[str] = set()

    @Database.on_connect
    def prepare(session: DbSession) -> None:
        pids.append(session.query_value("SELECT pg_backend_pid()"))
        threads.add(threading.current_thread().name)

    _configure(database)
    seen = set()
    for request in ("one", "two"):
        seen.add(db(request).query_value("SELECT pg_backend_pid()"))
    for request in ("one", "two"):
        finalize_db(request)
    seen.add(_in_scope("SELECT pg_backend_pid()"))
    assert len(pids) == 2
    assert seen == set(pids)
    assert threads == {"hypern-attendant"}


def test_what_it_sets_is_there_in_every_request(database: str) -> None:
    @Database.on_connect
    def prepare(session: DbSession) -> None:
        session.execute("SET TimeZone = 'Asia/Tokyo'")
        session.execute('SET search_path = pg_catalog, "odd, name", public')
        session.execute("SET work_mem = '7MB'")
        session.execute("SELECT set_config('app.text', $1, false)", ['it\'s a \\ "text"'])
        session.execute("SET DateStyle = 'German'")
        session.execute("SET extra_float_digits = 0")

    _configure(database, max_size=1)
    expected = {
        "zone": "Asia/Tokyo",
        "path": 'pg_catalog, "odd, name", public',
        "mem": "7MB",
        "text": 'it\'s a \\ "text"',
        "style": "German, DMY",
        "digits": "0",
    }
    sql = """SELECT current_setting('TimeZone') zone, current_setting('search_path') path,
        current_setting('work_mem') mem, current_setting('app.text', true) AS text,
        current_setting('DateStyle') style, current_setting('extra_float_digits') digits"""
    for _ in range(3):
        with scope():
            session = db()
            assert session.query_one(sql) == expected
            session.execute("SET TimeZone = 'UTC'")
            session.execute("SET search_path = public")
            session.execute("SET app.text = ''")
            session.execute("RESET ALL")
    with scope():
        assert db().query_one(sql) == expected
        zoned = db().query_value("SELECT '2026-01-01 00:00'::timestamp::timestamptz::text")
        assert zoned == "01.01.2026 00:00:00 JST"
        assert db().query_value("SELECT 0.1::float8 + 0.2::float8") == 0.1 + 0.2


def test_a_reset_ahead_of_a_statement_sets_it_again(database: str) -> None:
    """Where requests come one after the other at once, the reset goes with the next statement."""

    @Database.on_connect
    def prepare(session: DbSession) -> None:
        session.execute("SET app.name = 'baseline'")

    _configure(database, max_size=1)
    for n in range(200):
        with scope():
            assert db().query_value("SELECT current_setting('app.name')") == "baseline", n
            db().execute("SET app.name = 'mine'")


def test_a_role_is_part_of_the_baseline(database: str) -> None:
    with_role = "hypern_on_connect_role"
    _configure(database)
    with scope():
        db().execute(f"DROP ROLE IF EXISTS {with_role}")
        db().execute(f"CREATE ROLE {with_role}")
    Database.on_connect(lambda session: session.execute(f"SET ROLE {with_role}"))
    for _ in range(3):
        with scope():
            assert db().query_value("SELECT current_user::text") == with_role
            db().execute("RESET ROLE")
    Database.close()
    attendant._hooks.clear()
    _configure(database)
    with scope():
        db().execute(f"DROP ROLE {with_role}")


def test_statements_that_were_parsed_before_are_parsed_under_what_it_has_set(
    database: str,
) -> None:
    _configure(database)
    with scope():
        db().execute_script(
            "CREATE SCHEMA IF NOT EXISTS theirs; CREATE TABLE IF NOT EXISTS theirs.which (t text);"
            "CREATE TABLE IF NOT EXISTS which (n int); DELETE FROM theirs.which; DELETE FROM which;"
            "INSERT INTO theirs.which VALUES ('theirs'); INSERT INTO which VALUES (1)"
        )
    seen: list[object] = []

    @Database.on_connect
    def prepare(session: DbSession) -> None:
        seen.append(session.query_value("SELECT * FROM which"))
        session.execute("SET search_path = theirs, public")
        seen.append(session.query_value("SELECT * FROM which"))

    for _ in range(3):
        assert _in_scope("SELECT * FROM which") == "theirs"
    assert seen == [1, "theirs"]


def test_a_transaction_it_leaves_open_is_committed(database: str) -> None:
    def prepare(session: DbSession) -> None:
        session.begin()
        session.execute("SET LOCAL app.local = 'x'")
        session.execute("SET app.kept = 'y'")

    assert Database.on_connect(prepare) is prepare
    _configure(database)
    for _ in range(2):
        with scope():
            assert db().query_value("SELECT current_setting('app.kept')") == "y"
            assert not db().query_value("SELECT current_setting('app.local', true)")


class RefusedError(Exception):
    """What a function raises."""


def test_an_exception_refuses_the_connection(database: str) -> None:
    refuses = True

    @Database.on_connect
    def prepare(session: DbSession) -> None:
        session.execute("SELECT 1")
        if refuses:
            raise RefusedError("not this one")

    _configure(database, max_size=1)
    for _ in range(2):
        with scope(), pytest.raises(RefusedError, match="not this one"):
            db().query("SELECT 1")
    status = Database.status()
    assert (status.size, status.last_error) == (
        0,
        'an on_connect function of alias "default" failed: RefusedError',
    )
    refuses = False
    assert _in_scope("SELECT 2") == 2


def test_an_error_of_its_sql_refuses_the_connection(database: str) -> None:
    Database.on_connect(lambda session: session.query("SELECT 1 / 0"))
    _configure(database)
    with scope(), pytest.raises(errors.DivisionByZero):
        db().query("SELECT 1")


def test_one_that_ends_its_connection_refuses_it(database: str) -> None:
    Database.on_connect(
        lambda session: session.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    )
    _configure(database)
    with scope(), pytest.raises(errors.OperationalError):
        db().query("SELECT 1")


def test_one_that_takes_too_long_refuses_the_connection(database: str) -> None:
    def slow(session: DbSession) -> None:
        session.execute("SELECT pg_sleep(60)")

    Database.on_connect(slow)
    _configure(database, connect_timeout_secs=0.3, acquire_timeout_secs=20)
    began = time.monotonic()
    with scope(), pytest.raises(errors.OperationalError, match="have not returned within 300ms"):
        db().query("SELECT 1")
    assert time.monotonic() - began < 15
    attendant._hooks.clear()
    Database.close()
    _configure(database)
    assert _in_scope("SELECT 1") == 1


def test_it_survives_close_and_can_be_for_another_alias(database: str) -> None:
    calls: list[str] = []

    @Database.on_connect(alias="other")
    def prepare(session: DbSession) -> None:
        calls.append(session.alias)

    _configure(database)
    _in_scope("SELECT 1")
    for _ in range(2):
        Database.configure(database, alias="other")
        with scope():
            db(alias="other").query("SELECT 1")
        Database.close("other")
    assert calls == ["other", "other"]


def test_connections_that_are_there_already_are_replaced(database: str) -> None:
    _configure(database, max_size=1)
    before = _in_scope("SELECT pg_backend_pid()")
    Database.on_connect(lambda session: session.execute("SET app.late = 'set'"))
    assert _in_scope("SELECT current_setting('app.late')") == "set"
    assert _in_scope("SELECT pg_backend_pid()") != before


def test_connections_made_in_the_background_go_through_it(database: str) -> None:
    calls: list[str] = []
    Database.on_connect(lambda session: calls.append(session.request_id))
    _configure(database, min_idle=2)
    Database.ready()
    end = time.monotonic() + 20
    while Database.status().available < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(calls) == 2


@pytest.mark.parametrize("reset", ["transaction", "off"])
def test_without_a_reset_nothing_has_to_be_set_again(database: str, reset: Any) -> None:
    Database.on_connect(lambda session: session.execute("SET app.name = 'set'"))
    _configure(database, max_size=1, reset=reset)
    for _ in range(3):
        assert _in_scope("SELECT current_setting('app.name')") == "set"


def test_what_cannot_be_called_is_refused() -> None:
    async def awaited(session: object) -> None: ...

    with pytest.raises(TypeError, match="an on_connect function must be callable, not int"):
        Database.on_connect(3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="cannot be a coroutine function"):
        Database.on_connect(awaited)


@pytest.mark.parametrize("mode", ["session", "transaction", "statement"])
def test_behind_pgbouncer(database: str, mode: str) -> None:
    Database.on_connect(lambda session: session.execute("SET app.name = 'set'"))
    with started(database, mode) as bouncer:
        _configure(bouncer.url)
        if mode == "session":
            for _ in range(3):
                assert _in_scope("SELECT current_setting('app.name')") == "set"
        else:
            with scope(), pytest.raises(errors.NotSupportedError, match="shares its servers"):
                db().query("SELECT 1")
        Database.close()


def test_a_replicas_connections_go_through_it_too(database: str) -> None:
    pids: list[object] = []

    @Database.on_connect
    def prepare(session: DbSession) -> None:
        session.execute("SET work_mem = '7MB'")
        pids.append(session.query_value("SELECT pg_backend_pid()"))

    _configure(database, max_size=1, replica=url_with(database, target_session_attrs="any"))
    for _ in range(2):
        with scope(read_only=True):
            assert db().query_value("SHOW work_mem") == "7MB"
            assert [db().query_value("SELECT pg_backend_pid()")] == pids
            db().execute("SET work_mem = '8MB'")
    status = Database.status().replica
    assert status is not None
    assert (status.size, status.available, Database.status().size) == (1, 1, 0)
    assert _in_scope("SHOW work_mem") == "7MB"
    assert len(pids) == 2


def test_one_that_raises_refuses_a_replicas_connection(database: str) -> None:
    """The session goes on with the primary, whose connection is refused as well."""

    @Database.on_connect
    def prepare(session: DbSession) -> None:
        raise LookupError("not prepared")

    _configure(database, replica=url_with(database, target_session_attrs="any"))
    with pytest.raises(LookupError, match="not prepared"), scope(read_only=True):
        db().query("SELECT 1")
    status = Database.status()
    assert status.replica is not None
    assert status.size == status.replica.size == 0
