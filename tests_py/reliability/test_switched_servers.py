"""An address that leads to another server than before: its types are the ones that count."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from either import KINDS, choose, db, finalize_db
from reliability.own_server import OwnServer
from support import wait_until
from test_pgbouncer import binary

from hypern.database import Database, DbSession

# The same two OIDs on both servers: what is an enum on the one is a composite on the other.
OIDS = (17000, 17100)
TYPES = ("CREATE TYPE {} AS ENUM ('x')", "CREATE TYPE {} AS (a int, b int)")
TABLE = "CREATE TABLE things (first {}, second {})"
VALUES = ("x", {"a": 1, "b": 2})


def _create(server: OwnServer, statement: str, oid: int) -> None:
    """Create a type under this OID: a large object takes the next, a type some for its parts."""
    name = statement.split()[2]
    server.psql(
        f"""DO $$ DECLARE ahead oid; BEGIN
          ahead := lo_create(0);
          {statement};
          ahead := {oid} - ('{name}'::regtype::oid::int - ahead::int);
          DROP TYPE {name};
          WHILE lo_create(0) < ahead LOOP END LOOP;
          {statement};
          ASSERT '{name}'::regtype::oid = {oid};
        END $$"""
    )


@dataclass
class Address:
    """A socket directory whose one socket is a link to a server's."""

    directory: Path
    first: OwnServer
    second: OwnServer

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.directory}&port=5432"

    def lead_to(self, server: OwnServer) -> None:
        link = self.directory / "new"
        link.symlink_to(server.directory / f".s.PGSQL.{server.port}")
        link.rename(self.directory / ".s.PGSQL.5432")


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """Two servers, restored from one dump in another order, and an address for either."""
    first, second = OwnServer(), OwnServer()
    try:
        for server, order in ((first, (0, 1)), (second, (1, 0))):
            for n, which in enumerate(order):
                _create(server, TYPES[which].format(("one", "two")[n]), OIDS[n])
            server.psql(TABLE.format("one", "two"))
            literals = ["'x'", "ROW(1, 2)"]
            server.psql(f"INSERT INTO things VALUES ({', '.join(literals[i] for i in order)})")
            for role in ("plain", "barred"):
                server.psql(f"CREATE ROLE {role} LOGIN")
            server.psql("GRANT SELECT ON things TO PUBLIC")
        with tempfile.TemporaryDirectory(prefix="hypern-addr-") as directory:
            Path(directory).chmod(0o755)
            yield Address(Path(directory), first, second)
    finally:
        Database.close()
        first.remove()
        second.remove()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Either kind of session."""
    choose(request.param)
    yield request.param
    Database.close()
    choose("blocking")


def _values(session: DbSession) -> tuple[object, ...]:
    assert session.query_value("SELECT 1") == 1
    row = session.query_one("SELECT first, second FROM things")
    echo = session.query_one(
        "SELECT $1::one AS first, $2::two AS second", [row["first"], row["second"]]
    )
    assert echo == row
    return row["first"], row["second"]


@pytest.mark.parametrize(
    "forbidden", [(), ("pg_control_system",), ("pg_control_system", "pg_postmaster_start_time")]
)
def test_during_a_failover_each_connections_types_are_its_servers(
    address: Address, kind: str, forbidden: tuple[str, ...]
) -> None:
    """Connections to both servers are in one pool, and used in turn."""
    oids = (
        "SELECT string_agg(oid::text, ' ' ORDER BY oid) FROM pg_type WHERE typname ~ '^(one|two)$'"
    )
    for server in (address.first, address.second):
        for name in ("pg_control_system", "pg_postmaster_start_time"):
            verb = (
                "REVOKE EXECUTE ON FUNCTION {}() FROM"
                if name in forbidden
                else "GRANT EXECUTE ON FUNCTION {}() TO"
            )
            server.psql(verb.format(name) + " PUBLIC")
    address.lead_to(address.first)
    Database.configure(address.url.replace("postgres@", "plain@"), max_size=2)
    old = db("old")
    found = old.query_value(oids)
    assert _values(old) == VALUES
    address.lead_to(address.second)
    new = db("new")
    assert new.query_value(oids) == found, "the two servers do not have the same OIDs"
    for _ in range(3):
        assert _values(new) == VALUES[::-1]
        assert _values(old) == VALUES
    finalize_db("old")
    finalize_db("new")


@pytest.fixture(params=["transaction", "session"])
def bouncer(address: Address, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a PgBouncer in front of the address."""
    with tempfile.TemporaryDirectory(prefix="hypern-pgb-", ignore_cleanup_errors=True) as directory:
        room = Path(directory)
        (room / "pgbouncer.ini").write_text(
            f"[databases]\nbounced = host={address.directory} port=5432 dbname=postgres"
            f" user=postgres pool_size=4\n[pgbouncer]\npool_mode = {request.param}\n"
            f"unix_socket_dir = {room}\n"
            f"listen_port = 6432\nauth_type = any\nlogfile = {room}/log\nserver_login_retry = 1\n"
        )
        user = address.first.directory.stat().st_uid
        for path in (room, room / "pgbouncer.ini"):
            os.chown(path, user, -1)
        with subprocess.Popen(
            [binary(), "-q", str(room / "pgbouncer.ini")], stderr=subprocess.DEVNULL, user=user
        ) as process:
            try:
                wait_until((room / ".s.PGSQL.6432").exists)
                yield f"postgresql://app@/bounced?host={room}&port=6432"
            finally:
                Database.close()
                process.terminate()


def test_behind_a_pooler_a_switch_over_changes_the_types_of_connections_that_stay(
    address: Address, kind: str, bouncer: str
) -> None:
    others = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    address.lead_to(address.first)
    Database.configure(bouncer, max_size=1)
    assert _values(db("r")) == VALUES
    finalize_db("r")
    for server, values in ((address.second, VALUES[::-1]), (address.first, VALUES)):
        address.lead_to(server)
        for old in (address.first, address.second):
            old.psql(others)

        def works() -> bool:
            try:
                assert db("r").query_value("SELECT 1") == 1
            except Exception:
                return False
            finally:
                finalize_db("r")
            return True

        wait_until(works, 10)
        for _ in range(3):
            assert _values(db("r")) == values
            finalize_db("r")
        with db("r").transaction():
            assert _values(db("r")) == values
        finalize_db("r")
