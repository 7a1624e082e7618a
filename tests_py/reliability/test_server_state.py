"""A server that can be read only, or has no room left on its disk."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from reliability.own_server import PASSWORD, OwnServer
from reliability.tally import Tally

from hypern import errors
from hypern.database import Database, DbSession, db, scope


@pytest.fixture
def standby(own_server: OwnServer) -> Iterator[None]:
    """The alias "standby": a server that follows the other, and takes no writes."""
    follower = OwnServer(standby_of=own_server)
    follower.start()
    Database.configure(follower.url(), alias="standby", password=PASSWORD, max_size=2)
    yield
    Database.close("standby")
    follower.remove()


def test_a_standby_is_read_and_refuses_to_be_written(standby: None, tally: Tally) -> None:
    times = 10
    insert = "INSERT INTO ledger VALUES ('standby', 'r', 1)"
    for _ in range(times):
        with scope():
            session = db(alias="standby")
            assert session.query_value("SELECT pg_is_in_recovery()") is True
            with pytest.raises(errors.ReadOnlySqlTransaction):
                session.execute(insert)
            with pytest.raises(errors.ReadOnlySqlTransaction):
                session.execute_many("INSERT INTO ledger VALUES ('s', 'r', $1)", [[1], [2]])
            with pytest.raises(errors.ReadOnlySqlTransaction), session.transaction():
                session.execute(insert)
            assert session.query_value("SELECT 1") == 1
    assert Database.status("standby").in_use == 0
    tally.add("a write on a read-only standby", 3 * times, "ReadOnlySqlTransaction; reads go on")


def test_where_only_a_standby_is_left_the_wish_to_write_is_told(
    own_server: OwnServer, standby: None, tally: Tally
) -> None:
    with scope():
        port = db(alias="standby").query_value("SELECT current_setting('port')")
    url = f"{own_server.url(int(port))}&target_session_attrs=read-write"
    Database.configure(url, alias="writes", password=PASSWORD)
    with scope(), pytest.raises(errors.OperationalError, match="read only") as caught:
        db(alias="writes").query("SELECT 1")
    assert caught.value.safe_to_retry
    Database.close("writes")
    tally.add("target_session_attrs=read-write, only a standby there", 1, "an error that says so")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A directory with room for a few megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    directory = Path(tempfile.mkdtemp(prefix="hypern-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        directory.rmdir()
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)
    directory.rmdir()


def _fill(session: DbSession) -> None:
    """Insert until there is no room; a table that is not logged spares the server itself."""
    for _ in range(1000):
        session.execute(
            "INSERT INTO filler SELECT md5(n::text)::name FROM generate_series(1, 20000) n"
        )


def test_a_full_disk_is_an_error_of_the_statement(small_disk: Path, tally: Tally) -> None:
    with contextlib.ExitStack() as stack:
        server = OwnServer()
        stack.callback(server.remove)
        server.adopt(small_disk)
        server.psql(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
        Database.configure(server.url(), password=PASSWORD, max_size=1)
        stack.callback(Database.close)
        with scope():
            # Of a type without a TOAST table, which TRUNCATE would need room for.
            db().execute("CREATE UNLOGGED TABLE filler (x name) TABLESPACE small")
        with scope(), pytest.raises(errors.DiskFull) as caught:
            _fill(db())
        assert caught.value.sqlstate == "53100"
        with scope(), pytest.raises(errors.DiskFull), db().transaction():
            _fill(db())
        with scope():
            assert db().query_value("SELECT 1") == 1
            db().execute("TRUNCATE filler")
            db().execute("INSERT INTO filler VALUES ('room again')")
            assert db().query_value("SELECT count(*) FROM filler") == 1
    tally.add("disk full", 2, "DiskFull; the connection stays, and works once there is room")
