"""Ways to log in that have a keyword: require_auth, sslnegotiation=direct, OAuth bearer tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from either import db, scope
from reliability.certificates import Certificate, make
from support import url_with
from tls_front import TlsFront

from hypern import errors
from hypern.config.parse import parse
from hypern.database import Database

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    Database.close("logged in")


@pytest.fixture(scope="module")
def authority() -> Certificate:
    return make("authority", is_ca=True)


def _log_in(url: str, password: object = None) -> object:
    Database.close("logged in")
    Database.configure(url, alias="logged in", password=password, acquire_timeout_secs=20)  # type: ignore[arg-type]
    with scope():
        return db(alias="logged in").query_value("SELECT current_user")


@pytest.mark.parametrize(
    "methods", ["scram-sha-256", "md5,scram-sha-256", "!none", "!md5,!password"]
)
def test_a_way_to_log_in_that_is_allowed(password_server: str, methods: str) -> None:
    assert _log_in(url_with(password_server, require_auth=methods), "right one") == "alice"


@pytest.mark.parametrize("methods", ["md5", "none", "password,oauth", "!scram-sha-256"])
def test_a_way_to_log_in_that_is_not_allowed(password_server: str, methods: str) -> None:
    with pytest.raises(errors.OperationalError, match="require_auth") as caught:
        _log_in(url_with(password_server, require_auth=methods), "right one")
    assert "right one" not in str(caught.value)


def test_a_server_that_asks_for_nothing(database: str) -> None:
    assert _log_in(url_with(database, require_auth="none")) == "postgres"
    with pytest.raises(errors.OperationalError, match="require_auth"):
        _log_in(url_with(database, require_auth="scram-sha-256"), "right one")


def _front(url: str, authority: Certificate, directory: Path, **how: object) -> TlsFront:
    settings = parse(url)
    path = f"{settings['host']}/.s.PGSQL.{settings.get('port') or 5432}"
    return TlsFront(path, make("localhost", authority), directory, **how)  # type: ignore[arg-type]


def _through(
    front: TlsFront, database: str, authority: Certificate, directory: Path, settings: str
) -> str:
    root = directory / "root.crt"
    root.write_bytes(authority.pem)
    return (
        f"host=localhost hostaddr=127.0.0.1 port={front.port} user=postgres "
        f"dbname={parse(database)['dbname']} sslrootcert={root} {settings}"
    )


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_tls_from_the_first_byte(
    database: str, authority: Certificate, tmp_path: Path, mode: str
) -> None:
    with _front(database, authority, tmp_path, direct=True) as front:
        settings = f"sslmode={mode} sslnegotiation=direct"
        assert _log_in(_through(front, database, authority, tmp_path, settings)) == "postgres"
        with (
            scope(),
            pytest.raises(errors.QueryCanceled),
        ):  # the request to cancel goes the same way
            db(alias="logged in").query("SELECT pg_sleep(20)", timeout=0.3)
        Database.close("logged in")
        assert len(front.protocols) >= 2
        assert set(front.protocols) == {"postgresql"}
        with pytest.raises(errors.OperationalError):
            _log_in(_through(front, database, authority, tmp_path, f"sslmode={mode}"))


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_callables_token_is_the_bearer_token(
    database: str, authority: Certificate, tmp_path: Path, is_async: bool
) -> None:
    given = ["first.token"]

    def token() -> str:
        return given[0]

    async def token_too() -> str:
        await asyncio.sleep(0)
        return given[0]

    with _front(database, authority, tmp_path, token="first.token") as front:
        url = _through(front, database, authority, tmp_path, "sslmode=verify-full")
        ask = token_too if is_async else token
        assert _log_in(f"{url} require_auth=oauth", ask) == "postgres"
        given[0] = "another"
        with pytest.raises(errors.OperationalError, match="invalid_token") as caught:
            _log_in(url, ask)
        assert front.tokens == ["first.token", "another"]
        assert "another" not in str(caught.value)


def test_a_token_goes_to_nobody_in_the_clear_and_by_no_other_way_than_allowed(
    database: str, authority: Certificate, tmp_path: Path
) -> None:
    with _front(database, authority, tmp_path, token="token") as front:
        for settings in ("sslmode=prefer", "sslmode=verify-full require_auth=scram-sha-256"):
            with pytest.raises(errors.OperationalError):
                _log_in(_through(front, database, authority, tmp_path, settings), lambda: "token")
        assert front.tokens == []


def test_a_password_that_is_set_is_no_bearer_token(
    database: str, authority: Certificate, tmp_path: Path
) -> None:
    with _front(database, authority, tmp_path, token="token") as front:
        with pytest.raises(errors.OperationalError):
            _log_in(_through(front, database, authority, tmp_path, "sslmode=require"), "token")
        assert front.tokens == []
