"""TLS in every sslmode against every kind of certificate; it is never silently absent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import either
import pytest
from reliability.certificates import Certificate, make, revocations
from reliability.hostile_server import HostileServer
from reliability.own_server import PASSWORD, OwnServer
from reliability.tally import Tally

from hypern import errors
from hypern.database import Database, adb, db, scope

_ACCESS = """
local all all trust
hostssl all carol all cert
hostssl all dave all password
host all all all scram-sha-256
"""

_NAME = "localhost"
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_IN_THE_CLEAR = {"disable", "allow"}  # where the server lets them


@dataclass
class _Authority:
    """A CA, and files of certificates for clients."""

    ca: Certificate
    directory: Path

    def file(self, name: str, content: bytes) -> str:
        path = self.directory / name
        path.write_bytes(content)
        path.chmod(0o600)
        return str(path)

    @property
    def root(self) -> str:
        return self.file("root.crt", self.ca.pem)

    def identity(self, name: str, certificate: Certificate) -> str:
        """The settings that present a certificate of a client's."""
        crt = self.file(f"{name}.crt", certificate.pem)
        return f"sslcert={crt} sslkey={self.file(f'{name}.key', certificate.key_pem)}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> _Authority:
    """Who signs what is genuine."""
    return _Authority(make("authority", is_ca=True), tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls_server(authority: _Authority) -> Iterator[OwnServer]:
    """A server with TLS: alice has a password, carol a certificate, dave says his in the clear."""
    server = OwnServer(access=_ACCESS, tls=True)
    server.write("ca.crt", authority.ca.pem)
    server.psql("ALTER SYSTEM SET ssl_ca_file = 'ca.crt'")
    server.psql("CREATE ROLE carol LOGIN")
    server.psql(f"CREATE ROLE dave LOGIN PASSWORD '{PASSWORD}'")
    yield server
    Database.close()
    server.remove()


@pytest.fixture
def genuine(tls_server: OwnServer, authority: _Authority) -> OwnServer:
    """The server, with a certificate of the authority's for its name."""
    _present(tls_server, make(_NAME, authority.ca))
    return tls_server


def _present(server: OwnServer, certificate: Certificate) -> None:
    server.present(certificate)
    server.restart("fast")


def _connect(server: OwnServer, settings: str, user: str = "alice") -> bool:
    """Whether a connection with the settings is encrypted, as the server sees it."""
    url = f"host={_NAME} port={server.port} user={user} dbname=postgres {settings}"
    Database.configure(url, alias="tls", password=PASSWORD, connect_timeout_secs=5)
    try:
        with scope():
            encrypted: bool = db(alias="tls").query_value(
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            )
            return encrypted
    finally:
        Database.close("tls")


def _elsewhere(ca: Certificate) -> Certificate:
    return make("elsewhere.example", ca)


_CERTIFICATES: dict[str, tuple[Callable[[Certificate], Certificate], set[str]]] = {
    # what the server presents, and the modes that must refuse it
    "genuine": (lambda ca: make(_NAME, ca), set()),
    "for another host": (_elsewhere, {"verify-full"}),
    "expired": (lambda ca: make(_NAME, ca, expired=True), {"verify-ca", "verify-full"}),
    "self-signed": (lambda ca: make(_NAME), {"verify-ca", "verify-full"}),
    "of another authority": (
        lambda ca: make(_NAME, make("authority", is_ca=True)),
        {"verify-ca", "verify-full"},
    ),
}


@pytest.mark.parametrize("what", _CERTIFICATES)
def test_each_mode_checks_what_it_should(
    tls_server: OwnServer, authority: _Authority, tally: Tally, what: str
) -> None:
    certificate, refused_by = _CERTIFICATES[what]
    _present(tls_server, certificate(authority.ca))
    for mode in _MODES:
        root = f"sslrootcert={authority.root}" if mode.startswith("verify") else ""
        settings = f"sslmode={mode} {root}"
        if mode in refused_by:
            with pytest.raises(errors.OperationalError, match=r"certificate|x509") as caught:
                _connect(tls_server, settings)
            assert PASSWORD not in str(caught.value)
        else:
            assert _connect(tls_server, settings) is (mode not in _IN_THE_CLEAR), mode
    tally.add(
        f"sslmode disable to verify-full, certificate {what}",
        len(_MODES),
        "encrypted and checked as asked, or an error",
    )


def test_require_with_a_root_checks_it_as_libpq_does(
    tls_server: OwnServer, authority: _Authority
) -> None:
    _present(tls_server, make(_NAME))
    with pytest.raises(errors.OperationalError, match=r"certificate|x509"):
        _connect(tls_server, f"sslmode=require sslrootcert={authority.root}")


@pytest.mark.parametrize("mode", _MODES)
def test_a_server_without_tls_is_not_taken_for_one_with(
    own_server: OwnServer, authority: _Authority, tally: Tally, mode: str
) -> None:
    settings = f"sslmode={mode} sslrootcert={authority.root}"
    if mode in ("disable", "allow", "prefer"):
        assert _connect(own_server, settings) is False
        return
    with pytest.raises(errors.OperationalError, match=r"TLS|SSL"):
        _connect(own_server, settings)
    tally.add("TLS required of a server that has none", 1, "an error")


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"N", "no"),
        (b"E\0\0\0\x10SFATAL\0Mno\0\0", "an error"),
        (b"SR\0\0\0\x08\0\0\0\0", "yes, and a welcome in the clear"),
        (b"R\0\0\0\x08\0\0\0\0", "a welcome in the clear"),
    ],
)
@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_somebody_in_between_hears_no_more_than_the_wish_for_tls(
    authority: _Authority, tally: Tally, mode: str, answer: bytes, what: str
) -> None:
    with HostileServer(introduction=answer) as server:
        url = f"host=127.0.0.1 port={server.port} user=alice dbname=postgres sslmode={mode}"
        Database.configure(
            f"{url} sslrootcert={authority.root}",
            alias="between",
            password=PASSWORD,
            connect_timeout_secs=2,
        )
        with scope(), pytest.raises(errors.OperationalError):
            db(alias="between").query("SELECT 'a secret'")
        Database.close("between")
        assert b"alice" not in server.said
        assert b"secret" not in server.said
        assert PASSWORD.encode() not in server.said
    tally.add("somebody in between who answers the wish for TLS", 1, "an error; hears no user name")


def test_a_client_certificate_is_presented(
    genuine: OwnServer, authority: _Authority, tally: Tally
) -> None:
    tls = f"sslmode=verify-full sslrootcert={authority.root}"
    carol = authority.identity("carol", make("carol", authority.ca))
    forged = authority.identity("forged", make("carol", make("authority", is_ca=True)))
    mallory = authority.identity("mallory", make("mallory", authority.ca))
    assert _connect(genuine, f"{tls} {carol}", user="carol") is True
    for other in ("", forged, mallory):
        with pytest.raises(errors.OperationalError):
            _connect(genuine, f"{tls} {other}", user="carol")
    tally.add("client certificate: right, none, forged, another's", 4, "only the right one enters")


def test_a_channel_is_bound_where_it_can_be_and_refused_where_it_must(
    genuine: OwnServer, authority: _Authority, tally: Tally
) -> None:
    tls = f"sslmode=verify-full sslrootcert={authority.root}"
    for binding in ("disable", "prefer", "require"):
        assert _connect(genuine, f"{tls} channel_binding={binding}") is True
    assert _connect(genuine, tls, user="dave") is True  # a password in the clear, through TLS
    carol = authority.identity("carol", make("carol", authority.ca))
    for settings, user in (
        ("sslmode=disable", "alice"),
        (tls, "dave"),
        (f"{tls} {carol}", "carol"),  # proves nothing of the server
    ):
        with pytest.raises(errors.OperationalError, match="channel binding"):
            _connect(genuine, f"{settings} channel_binding=require", user=user)
    tally.add("SCRAM with and without channel_binding=require", 7, "bound, or an error")


def test_a_whole_session_goes_through_tls(
    genuine: OwnServer, authority: _Authority, tally: Tally
) -> None:
    url = f"host={_NAME} port={genuine.port} user=alice dbname=postgres sslmode=verify-full"
    Database.configure(f"{url} sslrootcert={authority.root}", alias="tls", password=PASSWORD)
    big = "x" * 3_000_000
    rows = 20_000

    async def awaited() -> None:
        async with scope():
            session = adb(alias="tls")
            assert await session.query_value("SELECT $1::text", [big]) == big
            numbers = await session.query("SELECT generate_series(1, $1::int) AS n", [rows])
            assert [row["n"] for row in numbers] == list(range(1, rows + 1))

    with scope():
        session = db(alias="tls")
        assert session.query_value("SELECT $1::text", [big]) == big
        session.execute("CREATE TEMP TABLE t (n int)")
        assert session.execute_many("INSERT INTO t VALUES ($1)", ([n] for n in range(rows))) == rows
        assert sum(row["n"] for row in session.stream("SELECT n FROM t")) == rows * (rows - 1) // 2
        with pytest.raises(errors.QueryCanceled):
            session.query("SELECT pg_sleep(5)", timeout=0.05)
        assert session.query_value("SELECT 1") == 1
    asyncio.run(awaited())
    Database.close("tls")
    tally.add("large values, rows, cancel over TLS, blocking and awaited", 1, "as without")


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
@pytest.mark.parametrize("by", ["sslcrl", "sslcrldir"])
def test_a_revoked_certificate_is_refused(
    tls_server: OwnServer, authority: _Authority, tally: Tally, tmp_path: Path, by: str, mode: str
) -> None:
    ca, mine = authority.ca, make(_NAME, authority.ca)
    _present(tls_server, mine)
    lists = tmp_path / "lists"
    lists.mkdir()
    file = lists / "ca.r0"
    settings = f"sslmode={mode} sslrootcert={authority.root} {by}="
    settings += str(file if by == "sslcrl" else lists)

    file.write_bytes(revocations(ca, make("other", ca)))
    assert _connect(tls_server, settings) is True
    stranger = make("authority", is_ca=True)
    refused = {
        f'the certificate of "{_NAME}" was revoked': revocations(ca, mine),
        'no certificate revocation list of "authority" is in force': revocations(ca, expired=True),
        "in force": revocations(stranger),
        "have no certificate revocation list": b"",
    }
    for text, content in refused.items():
        file.write_bytes(content)
        with pytest.raises(errors.OperationalError, match=text):
            _connect(tls_server, settings)
    file.unlink()
    with pytest.raises(errors.OperationalError, match=r"cannot be read|have no certificate"):
        _connect(tls_server, settings)
    tally.add(f"{by} with sslmode={mode}", 6, "a revoked certificate is refused")


@pytest.mark.parametrize("settings", ["sslmode=require", "sslmode=prefer", "sslmode=disable"])
def test_a_revocation_list_that_would_not_be_looked_at_is_refused(settings: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="sslcrl has no effect unless"):
        Database.configure(f"host=h user=u sslcrl=/x {settings}", alias="tls")


def test_a_list_is_read_for_each_connection(
    genuine: OwnServer, authority: _Authority, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "ca.crl"
    file.write_bytes(revocations(authority.ca))
    Database.configure(
        f"host={_NAME} port={genuine.port} user=alice dbname=postgres sslmode=verify-full "
        f"sslrootcert={authority.root} sslcrl={file}",
        alias="tls",
        password=PASSWORD,
    )
    try:
        with either.scope():
            assert either.db(alias="tls").query_value("SELECT 1") == 1
        file.write_bytes(revocations(authority.ca, expired=True))
        with either.scope():  # the connection that there is
            assert either.db(alias="tls").query_value("SELECT 1") == 1
        Database.drain("tls")
        with either.scope(), pytest.raises(errors.OperationalError, match="is in force"):
            either.db(alias="tls").query_value("SELECT 1")
    finally:
        Database.close("tls")
