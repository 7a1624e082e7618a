"""Connection strings, the environment and libpq's files, resolved into one dictionary."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from hypern.config.conninfo import resolve
from hypern.config.parse import parse
from hypern.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("home")

SECRET = "s3cr3t-Pa55"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://", {}),
        ("postgres://h", {"host": "h"}),
        (
            "postgresql://user:password@localhost:5432/mydb",
            {
                "user": "user",
                "password": "password",
                "host": "localhost",
                "port": "5432",
                "dbname": "mydb",
            },
        ),
        ("postgresql://u@/db", {"user": "u", "dbname": "db"}),
        (
            "postgresql:///db?host=/run/pg&port=6432",
            {"host": "/run/pg", "port": "6432", "dbname": "db"},
        ),
        ("postgresql://%2Frun%2Fpg/db", {"host": "/run/pg", "dbname": "db"}),
        (
            "postgresql://u%40x:p%2F%3A%25@h/d%20b",
            {"user": "u@x", "password": "p/:%", "host": "h", "dbname": "d b"},
        ),
        ("postgresql://u:%E2%82%AC@h", {"user": "u", "password": "\u20ac", "host": "h"}),
        (
            "postgresql://[2001:db8::1]:6000/db",
            {"host": "2001:db8::1", "port": "6000", "dbname": "db"},
        ),
        ("postgresql://[::1]", {"host": "::1"}),
        ("postgresql://a:1,b:2,c/db", {"host": "a,b,c", "port": "1,2,", "dbname": "db"}),
        ("postgresql://a,b", {"host": "a,b"}),
        ("postgresql://h/?ssl=true", {"host": "h", "sslmode": "require"}),
        ("postgresql://h?options=-c%20geqo%3Doff", {"host": "h", "options": "-c geqo=off"}),
        ("postgresql://u:a?b@h", {"user": "u", "password": "a?b", "host": "h"}),
        ("postgresql://h/a?dbname=b", {"host": "h", "dbname": "b"}),
        ("host=localhost port = 5433", {"host": "localhost", "port": "5433"}),
        (r"user='O\'Neill' password='a\\b c'", {"user": "O'Neill", "password": r"a\b c"}),
        (r"password=a\ b\'c dbname=x", {"password": "a b'c", "dbname": "x"}),
        ("dbname='' user=pass'word", {"dbname": "", "user": "pass'word"}),
        (" host=h\n\tuser=u ", {"host": "h", "user": "u"}),
    ],
)
def test_parse_reads_both_forms_as_libpq_does(url: str, expected: dict[str, str]) -> None:
    assert parse(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "localhost",
        SECRET,
        f"mysql://u:{SECRET}@h/db",
        f"http://{SECRET}",
        f"postgresql://u:{SECRET}@x@h/db",
        f"postgresql://u:ab/{SECRET}@h/db",
        f"postgresql://u:ab/{SECRET}?{SECRET}@h/db",
        f"postgresql://u:%zz{SECRET}@h/db",
        f"postgresql://u:{SECRET}%00@h/db",
        f"postgresql://u:{SECRET}%ff@h/db",
        f"postgresql://u:{SECRET}@[::1/db",
        f"postgresql://u:{SECRET}@[]/db",
        f"postgresql://u:{SECRET}@[::1]x/db",
        f"postgresql://u:{SECRET}@2001:db8::1/db",
        f"postgresql://u:{SECRET}@h/db?sslmode",
        f"postgresql://u:{SECRET}@h/db?a=b=c",
        f"postgresql://u:{SECRET}@h/db?pasword={SECRET}",
        f"postgresql://u:{SECRET}@h/db?search_path=app",
        f"postgresql://u:{SECRET}@h:99999/db",
        f"postgresql://u:{SECRET}@h:0/db",
        f"postgresql://u:{SECRET}@h:12x/db",
        f"postgresql://u:1{SECRET}/x",
        f"postgresql://u:{SECRET}@a,b:1,c:2,d/db?port=1,2",
        f"postgresql://u:{SECRET}@h/db?sslmode={SECRET}",
        f"postgresql://u:{SECRET}@h/db?target_session_attrs={SECRET}",
        f"postgresql://u:{SECRET}@h/db?connect_timeout={SECRET}",
        f"postgresql://u:{SECRET}@h/db?gssencmode=require",
        f"postgresql://u:{SECRET}@h/db?replication=database",
        f"postgresql://u:{SECRET}@h/db?requirepeer=postgres",
        f"postgresql://u:{SECRET}@h/db?load_balance_hosts={SECRET}",
        f"postgresql://u:{SECRET}@h/db?require_auth={SECRET}",
        f"postgresql://u:{SECRET}@h/db?hostaddr={SECRET}",
        f"postgresql://u:{SECRET}@h/db?hostaddr=127.0.0.1,127.0.0.2",
        f"postgresql://u:{SECRET}@h/db?tcp_user_timeout={SECRET}",
        f"postgresql://u:{SECRET}@h/db?keepalives={SECRET}",
        f"postgresql://u:{SECRET}@h/db?ssl_max_protocol_version=TLSv1",
        f"postgresql://u:{SECRET}@h/db?ssl_min_protocol_version=TLSv1.3"
        "&ssl_max_protocol_version=TLSv1.2",
        f"user=u password={SECRET} {SECRET}",
        f"user=u password='{SECRET}",
        f"user=u password='{SECRET}'x",
        f"user=u pasword={SECRET}",
        f"{SECRET}=x",
        f"password={SECRET} host=a\0b",
        "",
    ],
)
def test_a_malformed_string_is_refused_without_showing_any_of_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(url, {})
    assert SECRET not in str(caught.value)


def test_an_unknown_keyword_is_named_and_options_are_pointed_to() -> None:
    with pytest.raises(ConfigurationError, match=r'"search_path".*options=-c%20search_path'):
        parse("postgresql://h/db?search_path=app")


def test_defaults_fill_what_nobody_gave() -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    resolved = resolve("postgresql://", {})
    assert resolved == {
        "host": "/var/run/postgresql" if Path("/var/run/postgresql").is_dir() else "/tmp",
        "port": "5432",
        "user": user,
        "dbname": user,
        "application_name": "hypern",
        "client_encoding": "UTF8",
        "sslmode": "prefer",
    }


def test_the_database_is_named_after_the_user_by_default() -> None:
    assert resolve("postgresql://alice@h", {})["dbname"] == "alice"


def test_one_port_goes_for_every_host_and_an_empty_one_is_the_default() -> None:
    assert resolve("postgresql://a,b/?port=6000", {})["port"] == "6000,6000"
    assert resolve("postgresql://a:1,b/", {})["port"] == "1,5432"


def test_only_what_the_core_understands_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PGTZ", "Europe/Berlin")
    resolved = resolve(
        "postgresql://u@h/db?keepalives=1&keepalives_count=3&sslcompression=0&gssencmode=prefer"
        "&ssl_min_protocol_version=TLSv1.2&client_encoding=latin1&fallback_application_name=f"
        "&connect_timeout=3&keepalives_idle=9",
        {},
    )
    assert resolved == {
        "host": "h",
        "port": "5432",
        "user": "u",
        "dbname": "db",
        "application_name": "f",
        "client_encoding": "UTF8",
        "sslmode": "prefer",
        "timezone": "Europe/Berlin",
        "connect_timeout": "3",
        "keepalives_idle": "9",
        "keepalives": "1",
        "keepalives_count": "3",
        "ssl_min_protocol_version": "TLSv1.2",
    }
    assert "without effect: sslcompression" in caplog.text


def test_hostaddr_alone_is_where_to_connect() -> None:
    assert resolve("hostaddr=127.0.0.1 user=u", {})["host"] == "127.0.0.1"


def test_hostaddr_is_where_to_connect_and_host_is_the_name() -> None:
    resolved = resolve("host=a,,/tmp,d hostaddr=127.0.0.1,::1,127.0.0.3, user=u port=1,2,3,4", {})
    assert resolved["host"] == "a,::1,127.0.0.3,d"
    assert resolved["hostaddr"] == "127.0.0.1,,,"
    assert resolved["port"] == "1,2,3,4"
