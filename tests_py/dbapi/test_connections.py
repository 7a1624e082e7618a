"""Connections: transactions, options, ends, pools and what they tell."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from dbapi.faces import Connect
from support import url_with, wait_until

from hypern import dbapi, errors
from hypern.config.parse import parse
from hypern.database import Database

ALL = "SELECT n FROM numbers ORDER BY n"


def state_of(pid: int, connect: Connect) -> tuple[str, str]:
    """State and last statement of a server process, as another connection sees it."""
    query = "SELECT state, query FROM pg_stat_activity WHERE pid = %s"
    with connect() as other:
        found = other.execute(query, [pid]).fetchone()
    assert found is not None
    return found[0], found[1]


def test_the_module_says_what_it_is() -> None:
    assert (dbapi.apilevel, dbapi.threadsafety, dbapi.paramstyle) == ("2.0", 2, "pyformat")
    for name in ("Error", "InterfaceError", "DatabaseError", "IntegrityError", "DataError"):
        assert getattr(dbapi, name) is getattr(errors, name) is getattr(dbapi.Connection, name)
    assert issubclass(dbapi.Warning, Exception)


def test_begin_goes_with_the_first_statement(
    connection: dbapi.Connection, connect: Connect
) -> None:
    connection.execute("SELECT 1")
    assert connection.in_transaction
    pid = connection.info.backend_pid
    assert state_of(pid, connect)[0] == "idle in transaction"
    connection.commit()
    assert state_of(pid, connect)[0] == "idle"


def test_commit_and_rollback_decide(numbers: dbapi.Connection, connect: Connect) -> None:
    numbers.execute("INSERT INTO numbers VALUES (1)")
    numbers.commit()
    numbers.execute("INSERT INTO numbers VALUES (2)")
    numbers.rollback()
    with connect() as other:
        assert other.execute(ALL).fetchall() == [(1,)]


def test_with_nothing_open_they_do_nothing(connection: dbapi.Connection) -> None:
    connection.commit()
    connection.rollback()
    connection.commit()
    assert not connection.in_transaction


def test_close_rolls_back_and_a_second_one_does_nothing(
    numbers: dbapi.Connection, connect: Connect
) -> None:
    other = connect()
    other.execute("INSERT INTO numbers VALUES (1)")
    other.close()
    other.close()
    assert other.closed
    assert numbers.execute(ALL).fetchall() == []


def test_close_after_a_failed_statement_is_silent(connect: Connect) -> None:
    connection = connect()
    with pytest.raises(dbapi.ProgrammingError):
        connection.execute("SELECT * FROM nowhere")
    connection.close()


def test_commit_after_an_error_says_so(numbers: dbapi.Connection) -> None:
    numbers.execute("INSERT INTO numbers VALUES (1)")
    with pytest.raises(dbapi.IntegrityError):
        numbers.execute("INSERT INTO numbers VALUES (1)")
    with pytest.raises(errors.TransactionAborted):
        numbers.commit()
    assert numbers.execute(ALL).fetchall() == []


def test_autocommit(numbers: dbapi.Connection, connect: Connect) -> None:
    automatic = connect(autocommit=True)
    automatic.execute("INSERT INTO numbers VALUES (1)")
    assert not automatic.in_transaction
    assert numbers.execute(ALL).fetchall() == [(1,)]
    with pytest.raises(dbapi.ProgrammingError, match="inside a transaction"):
        numbers.autocommit = True
    numbers.rollback()
    numbers.autocommit = True
    numbers.execute("DELETE FROM numbers")
    assert not numbers.in_transaction
    numbers.autocommit = False


def test_a_block_commits_or_rolls_back_and_closes(
    numbers: dbapi.Connection, connect: Connect
) -> None:
    with connect() as first:
        first.execute("INSERT INTO numbers VALUES (1)")
    second = connect()
    second.execute("INSERT INTO numbers VALUES (2)")
    with pytest.raises(ZeroDivisionError), second:
        raise ZeroDivisionError
    assert first.closed
    assert second.closed
    assert numbers.execute(ALL).fetchall() == [(1,)]


def test_options_of_the_transactions_to_come(connection: dbapi.Connection) -> None:
    connection.isolation_level = "serializable"
    connection.read_only = True
    connection.deferrable = True
    shown = [
        connection.execute(f"SHOW transaction_{name}").fetchone()
        for name in ("isolation", "read_only", "deferrable")
    ]
    assert shown == [("serializable",), ("on",), ("on",)]
    with pytest.raises(dbapi.ProgrammingError, match="inside a transaction"):
        connection.read_only = False
    connection.rollback()
    connection.isolation_level = connection.read_only = connection.deferrable = None
    assert connection.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
    connection.rollback()
    with pytest.raises(ValueError, match="isolation"):
        connection.isolation_level = "snapshot"  # type: ignore[assignment]


def test_a_closed_connection_refuses(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    connection.close()
    calls: list[Callable[[], object]] = [
        connection.cursor,
        connection.commit,
        connection.rollback,
        lambda: connection.execute("SELECT 1"),
        lambda: cursor.execute("SELECT 1"),
        cursor.fetchone,
        lambda: connection.tpc_begin("x"),
    ]
    for call in calls:
        with pytest.raises(dbapi.InterfaceError, match="closed"):
            call()
    assert cursor.closed


def test_a_lost_connection_stays_lost(connection: dbapi.Connection, connect: Connect) -> None:
    connection.autocommit = True
    pid = connection.info.backend_pid
    with connect(autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
        gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        wait_until(lambda: other.execute(gone, [pid]).fetchone() == (0,))
    with pytest.raises(dbapi.OperationalError):
        connection.execute("SELECT 1")
    assert connection.closed
    assert connection.broken
    with pytest.raises(dbapi.OperationalError, match="was lost"):
        connection.execute("SELECT 1")
    connection.close()
    assert not connection.broken


def test_connections_with_equal_settings_share_a_pool(connect: Connect, database: str) -> None:
    first, second = connect(max_size=3), connect(max_size=3)
    other = connect(max_size=4)
    assert first._pool is second._pool is not other._pool
    assert Database.status(first._pool.alias).in_use == 2
    pid = first.info.backend_pid
    first.close()
    wait_until(lambda: Database.status(second._pool.alias).available == 1)
    assert connect(max_size=3).info.backend_pid == pid
    assert database


def test_settings_do_not_stay_in_the_pool(connect: Connect) -> None:
    with connect(max_size=1) as first:
        first.execute("SET work_mem = '7MB'")
        first.execute("CREATE TEMP TABLE left_behind ()")
    with connect(max_size=1) as second:
        assert second.execute("SHOW work_mem").fetchone() != ("7MB",)
        assert second.execute("SELECT to_regclass('left_behind')").fetchone() == (None,)


def test_an_alias(connect: Connect, configured: str) -> None:
    with connect(alias="default") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert Database.status().in_use == 1
    assert configured


def test_what_connect_refuses(connect: Connect, database: str) -> None:
    Database.close()
    with pytest.raises(errors.ConfigurationError, match="not both"):
        connect(database, alias="default")
    with pytest.raises(errors.ConfigurationError, match="default"):
        connect(alias="default")
    with pytest.raises(errors.ConfigurationError, match="max_sise"):
        connect(database, max_sise=3)
    with pytest.raises(errors.ConfigurationError, match="max_size: settings go with a url"):
        connect(alias="default", max_size=3)
    with pytest.raises(errors.ConfigurationError, match="unknown connection keyword"):
        connect(f"{database}&color=red")
    with pytest.raises(errors.ConfigurationError, match="paramstyle"):
        connect(database, paramstyle="qmark")
    with pytest.raises(errors.InvalidCatalogName):
        connect(url_with(database, dbname="no_such_database"))


def test_a_full_pool_says_who_holds_it(connect: Connect) -> None:
    connect(max_size=1, acquire_timeout_secs=0.1)
    with pytest.raises(errors.PoolTimeout, match="dbapi-"):
        connect(max_size=1, acquire_timeout_secs=0.1)


def test_info(connection: dbapi.Connection, database: str) -> None:
    info = connection.info
    assert (info.dbname, info.user, info.encoding) == (
        connection.execute("SELECT current_database()").fetchall()[0][0],
        connection.execute("SELECT current_user").fetchall()[0][0],
        "utf-8",
    )
    assert info.server_version >= 140000
    assert info.parameter_status("server_encoding") == "UTF8"
    assert info.parameter_status("no.such") is None
    assert f"dbname={info.dbname}" in info.dsn
    assert info.port == int(parse(database).get("port") or 5432)
    assert info.host
    connection.rollback()
    assert not connection.in_transaction
    assert info.backend_pid > 0
    assert not connection.in_transaction, "a look at info opens no transaction"
    assert database


def test_info_and_repr_have_no_password(connect: Connect, database: str) -> None:
    connection = connect(database, password="sesame")
    for text in (connection.info.dsn, repr(connection), repr(connection.info.get_parameters())):
        assert "sesame" not in text


def test_threads_share_a_connection(numbers: dbapi.Connection, database: str) -> None:
    with dbapi.connect(database) as shared:

        def insert(n: int) -> None:
            shared.execute("INSERT INTO numbers VALUES (%s)", [n])

        threads = [threading.Thread(target=insert, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(numbers.execute(ALL).fetchall()) == 8


def test_a_forgotten_connection_warns_and_goes_back(database: str) -> None:
    connection = dbapi.connect(database, max_size=5)
    alias = connection._pool.alias
    connection.execute("SELECT 1")
    held = [connection]
    del connection
    with pytest.warns(ResourceWarning, match="was not closed"):
        held.clear()
    assert Database.status(alias).in_use == 0


def test_a_retired_pool_closes_with_its_last_connection(connect: Connect) -> None:
    connection = connect(max_size=6)
    pool = connection._pool
    pool.retire()
    assert connection.execute("SELECT 1").fetchone() == (1,)
    assert connect(max_size=6)._pool is not pool
    connection.close()
    assert not Database.is_configured(pool.alias)


def test_after_a_fork_each_process_has_its_own(connect: Connect, tmp_path: Path) -> None:
    connection = connect(autocommit=True)
    pid = connection.info.backend_pid
    child = os.fork()
    if not child:
        status = 1
        try:
            try:
                connection.execute("SELECT 1")
            except dbapi.InterfaceError:
                status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert connection.info.backend_pid == pid
    assert tmp_path
