"""What PostgreSQL 18 brought to logging in, on a real one with TLS, and an older one's answer.

`make test/reliability` downloads that server (tools/zonky.py); other runs skip these tests where it
is not there yet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from either import db, scope
from reliability.certificates import Certificate, make
from reliability.own_server import PASSWORD, OwnServer, system_binaries

from hypern import errors
from hypern.database import Database
from tools import zonky

pytestmark = pytest.mark.usefixtures("kind")

_ACCESS = """
local all all trust
host all alice 127.0.0.1/32 scram-sha-256
host all bob 127.0.0.1/32 trust
"""
_CANCELED = r"timeout=0\.2 s"


@pytest.fixture(scope="module")
def authority() -> Certificate:
    return make("authority", is_ca=True)


@pytest.fixture(scope="module")
def newest(full: bool, authority: Certificate) -> Iterator[OwnServer]:
    """A PostgreSQL 18 with TLS; bob logs in without a password."""
    if full and zonky.is_possible():
        zonky.fetch("18")
    if not zonky.directory("18").exists():
        pytest.skip("PostgreSQL 18 with TLS is not there: make test/reliability downloads it")
    server = OwnServer(access=_ACCESS, tls=True, binaries=zonky.directory("18"))
    server.present(make("localhost", authority))
    server.write("root.crt", authority.pem)
    server.psql("CREATE ROLE bob LOGIN")
    server.psql("SELECT pg_reload_conf()")
    yield server
    Database.close()
    server.remove()


def _configure(server: OwnServer, settings: str, user: str = "alice") -> None:
    Database.close()
    url = f"host=localhost hostaddr=127.0.0.1 port={server.port} user={user} dbname=postgres"
    password = PASSWORD if user == "alice" else None
    Database.configure(f"{url} {settings}", max_size=1, password=password)


def _works_and_can_be_canceled() -> str:
    """Run and cancel statements on one connection; the TLS version, or ""."""
    with scope():
        sql = "SELECT coalesce(version, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        version: str = db().query_value(sql)
        pid = db().query_value("SELECT pg_backend_pid()")
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(errors.QueryCanceled, match=_CANCELED):
                db().query_value("SELECT pg_sleep(30)", timeout=0.2)
            if (
                time.monotonic() - began < 0.45
            ):  # in the grace period, so that it has been confirmed
                assert db().query_value("SELECT pg_backend_pid()") == pid
        assert db().query_value("SELECT $1::int + 1", [41]) == 42
    assert Database.status().pooler == "none"
    return version


@pytest.mark.parametrize("tls", ["sslmode=disable", "sslmode=require"])
def test_protocol_3_2_and_its_long_keys(newest: OwnServer, tls: str) -> None:
    """A server that does not speak it would end the login; a key of 3.0 would cancel nothing."""
    _configure(newest, f"{tls} min_protocol_version=3.2 max_protocol_version=3.2")
    assert _works_and_can_be_canceled() == ("TLSv1.3" if "require" in tls else "")


@pytest.mark.parametrize("version", ["3.0", "3.2", "latest"])
def test_an_older_server_says_which_protocol_it_speaks(kind: str, version: str) -> None:
    server = OwnServer(binaries=system_binaries())
    try:
        _configure(server, f"sslmode=disable max_protocol_version={version}")
        assert _works_and_can_be_canceled() == ""
        _configure(server, "sslmode=disable min_protocol_version=3.2")
        with pytest.raises(errors.OperationalError, match="protocol"), scope():
            db().query("SELECT 1")
    finally:
        Database.close()
        server.remove()


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_tls_from_the_first_byte(newest: OwnServer, mode: str) -> None:
    root = f"sslrootcert={newest.directory}/root.crt"
    _configure(newest, f"sslmode={mode} sslnegotiation=direct {root}")
    assert _works_and_can_be_canceled() == "TLSv1.3"
    _configure(newest, f"sslmode={mode} {root}")
    assert _works_and_can_be_canceled() == "TLSv1.3"


def test_direct_tls_takes_a_mode_that_requires_tls(newest: OwnServer) -> None:
    for mode in ("disable", "allow", "prefer"):
        with pytest.raises(errors.ConfigurationError, match="sslnegotiation"):
            _configure(newest, f"sslmode={mode} sslnegotiation=direct")


def test_direct_tls_verifies_the_name(newest: OwnServer) -> None:
    Database.close()
    url = f"host=other.example hostaddr=127.0.0.1 port={newest.port} user=alice dbname=postgres"
    root = f"sslrootcert={newest.directory}/root.crt"
    Database.configure(
        f"{url} sslmode=verify-full sslnegotiation=direct {root}", password=PASSWORD, max_size=1
    )
    with pytest.raises(errors.OperationalError, match=r"other\.example"), scope():
        db().query("SELECT 1")


@pytest.mark.parametrize(
    ("user", "methods", "works"),
    [
        ("alice", "scram-sha-256", True),
        ("alice", "md5,scram-sha-256", True),
        ("alice", "!none", True),
        ("alice", "password", False),
        ("alice", "!scram-sha-256", False),
        ("bob", "none", True),
        ("bob", "scram-sha-256", False),
        ("bob", "!none", False),
    ],
)
def test_require_auth(newest: OwnServer, user: str, methods: str, works: bool) -> None:
    _configure(newest, f"sslmode=require require_auth={methods}", user)
    if works:
        assert _works_and_can_be_canceled() == "TLSv1.3"
        return
    with pytest.raises(errors.OperationalError, match="require_auth") as caught, scope():
        db().query("SELECT 1")
    assert PASSWORD not in str(caught.value)
