"""Two-phase commit, on a server of its own: it needs max_prepared_transactions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from dbapi.faces import Connect

from hypern import dbapi, embedded, errors
from hypern.dbapi import Xid

ALL = "SELECT n FROM numbers ORDER BY n"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URL of a server that keeps prepared transactions, in place of the usual one."""
    with tempfile.TemporaryDirectory(prefix="hypern-2p-", ignore_cleanup_errors=True) as directory:
        path = Path(directory) / "data"
        with (
            embedded.start(path) as server,
            dbapi.connect(server.url, autocommit=True) as connection,
        ):
            connection.execute("ALTER SYSTEM SET max_prepared_transactions = 5")
        with embedded.start(path) as server:
            yield server.url


def test_both_phases(numbers: dbapi.Connection, connect: Connect) -> None:
    xid = numbers.xid(7, "global", "branch")
    numbers.tpc_begin(xid)
    numbers.execute("INSERT INTO numbers VALUES (1)")
    with pytest.raises(dbapi.ProgrammingError, match=r"use tpc_commit\(\)"):
        numbers.commit()
    with pytest.raises(dbapi.ProgrammingError, match=r"use tpc_rollback\(\)"):
        numbers.rollback()
    numbers.tpc_prepare()
    with connect() as other:
        (found,) = other.tpc_recover()
        assert tuple(found) == tuple(xid) == (7, "global", "branch")
        assert isinstance(found.prepared, datetime)
        assert found.database == other.info.dbname
        assert other.execute(ALL).fetchall() == []
    numbers.tpc_commit()
    assert numbers.execute(ALL).fetchall() == [(1,)]


def test_another_connection_ends_it(numbers: dbapi.Connection, connect: Connect) -> None:
    for gtrid in ("kept", "dropped"):
        with connect() as first:
            first.tpc_begin(first.xid(1, gtrid, ""))
            first.execute("INSERT INTO numbers VALUES (%s)", [len(gtrid)])
            first.tpc_prepare()
            with pytest.raises(dbapi.ProgrammingError):
                first.commit()
            first.close()
    with connect() as second:
        for xid in second.tpc_recover():
            (second.tpc_commit if xid.gtrid == "kept" else second.tpc_rollback)(xid)
        assert second.tpc_recover() == []
    assert numbers.execute(ALL).fetchall() == [(4,)]


def test_one_phase(numbers: dbapi.Connection) -> None:
    numbers.tpc_begin("by name")
    numbers.execute("INSERT INTO numbers VALUES (1)")
    numbers.tpc_rollback()
    numbers.tpc_begin("by name")
    numbers.execute("INSERT INTO numbers VALUES (2)")
    numbers.tpc_commit()
    assert numbers.execute(ALL).fetchall() == [(2,)]
    numbers.commit()


def test_ids_that_others_have_chosen(numbers: dbapi.Connection) -> None:
    for name in ("it's\\", "1_a_b", "7__", "日本"):
        numbers.tpc_begin(name)
        numbers.execute("SELECT 1")
        numbers.tpc_prepare()
        (found,) = numbers.tpc_recover()
        assert str(found) == name
        numbers.tpc_rollback()


def test_an_aborted_transaction_is_not_prepared(numbers: dbapi.Connection) -> None:
    numbers.tpc_begin("aborted")
    with pytest.raises(errors.UndefinedTable):
        numbers.execute("SELECT * FROM nowhere")
    with pytest.raises(dbapi.DatabaseError):
        numbers.tpc_prepare()
    assert numbers.tpc_recover() == []
    assert not numbers.in_transaction


def test_calls_in_the_wrong_place(numbers: dbapi.Connection) -> None:
    for call in (numbers.tpc_prepare, numbers.tpc_commit, numbers.tpc_rollback):
        with pytest.raises(dbapi.ProgrammingError, match=r"must follow tpc_begin\(\)"):
            call()
    numbers.execute("SELECT 1")
    with pytest.raises(dbapi.ProgrammingError, match="inside a transaction"):
        numbers.tpc_begin("x")
    with pytest.raises(dbapi.ProgrammingError, match="outside a transaction"):
        numbers.tpc_commit("x")
    numbers.rollback()
    numbers.autocommit = True
    with pytest.raises(dbapi.ProgrammingError, match="autocommit"):
        numbers.tpc_begin("x")
    numbers.autocommit = False
    numbers.tpc_begin("x")
    with pytest.raises(dbapi.ProgrammingError):
        numbers.tpc_begin("y")
    numbers.tpc_rollback()
    with pytest.raises(dbapi.ProgrammingError):
        numbers.tpc_rollback("no such transaction")


def test_the_parts_of_an_id(numbers: dbapi.Connection) -> None:
    assert numbers.xid(0x7FFFFFFF, "a" * 64, "b" * 64) == (0x7FFFFFFF, "a" * 64, "b" * 64)
    for parts in ((-1, "a", "b"), (2**31, "a", "b"), (1, "a" * 65, "b"), (1, "a", "\n")):
        with pytest.raises(dbapi.ProgrammingError):
            numbers.xid(*parts)
    with pytest.raises(TypeError, match="Xid or a str"):
        numbers.tpc_begin(7)  # type: ignore[arg-type]
    assert str(Xid(None, "theirs", None)) == "theirs"
