"""The password file, the service file, and the order in which sources count."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from hypern.config.conninfo import resolve
from hypern.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("home")

SECRET = "s3cr3t-Pa55"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_keyword_precedes_url_precedes_service_precedes_environment(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    write(
        home / ".pg_service.conf",
        "# comment\n[other]\nuser=nobody\n\n[mine]\nhost=service-host\nuser=service-user\n"
        "dbname=service-db\napplication_name=service-app\n[later]\nuser=nobody\n",
    )
    for name in ("PGHOST", "PGUSER", "PGDATABASE", "PGAPPNAME", "PGPORT"):
        monkeypatch.setenv(name, "5999" if name == "PGPORT" else f"env-{name}")
    resolved = resolve(
        "postgresql://url-user@/url-db?service=mine&application_name=url-app",
        {"application_name": "keyword-app"},
    )
    assert resolved["application_name"] == "keyword-app"
    assert (resolved["user"], resolved["dbname"]) == ("url-user", "url-db")
    assert resolved["host"] == "service-host"
    assert resolved["port"] == "5999"


def test_a_service_may_come_from_the_environment_and_the_system_directory(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    (home / "etc").mkdir()
    write(home / "etc" / "pg_service.conf", "[wide]\nhost=far\n")
    monkeypatch.setenv("PGSERVICE", "wide")
    assert resolve("postgresql://", {})["host"] == "far"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[mine]\nhost\n", "line 2"),
        ("[mine]\nnonsense=1\n", "line 2"),
        ("[mine]\nservice=other\n", "line 2"),
        ("[yours]\nhost=x\n", 'definition of service "mine" not found'),
    ],
)
def test_a_bad_service_file_is_an_error(home: Path, content: str, message: str) -> None:
    file = write(home / "services", content)
    with pytest.raises(ConfigurationError, match=message):
        resolve(f"service=mine servicefile={file}", {})


def test_a_named_service_file_must_exist(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="not found"):
        resolve(f"service=mine servicefile={home}/none", {})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("db.example.com:5432:app:alice:pw\n", "pw"),
        ("*:*:*:*:any\n", "any"),
        (
            "# db.example.com:5432:app:alice:no\nother:*:*:*:no\ndb.example.com:*:*:alice:yes\n",
            "yes",
        ),
        ("db.example.com:5432:app:bob:no\n", None),
        (r"db.example.com:5432:app:alice:a\:b\\c" + "\n", r"a:b\c"),
        ("db.example.com:5432:app:alice:a:b\n", "a:b"),
        ("db.example.com:5432:app\n*:*:*:*:first\n*:*:*:*:second", "first"),
        ("", None),
    ],
)
def test_the_password_file_is_matched_line_by_line(
    home: Path, content: str, expected: str | None
) -> None:
    write(home / ".pgpass", content)
    resolved = resolve("postgresql://alice@db.example.com/app", {})
    assert resolved.get("password") == expected


def test_the_default_socket_directory_is_localhost_in_the_password_file(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    file = write(home / "pass", r"localhost:5432:app:alice:pw" + "\n")
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert resolve("postgresql://alice@/app", {})["password"] == "pw"


def test_a_given_password_leaves_the_file_alone(home: Path) -> None:
    write(home / ".pgpass", "*:*:*:*:file\n")
    assert resolve("postgresql://u:mine@h", {})["password"] == "mine"


def test_a_password_file_open_to_others_is_passed_over_with_a_warning(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(home / ".pgpass", f"*:*:*:*:{SECRET}\n", mode=0o640)
    with caplog.at_level(logging.WARNING, logger="hypern"):
        assert "password" not in resolve("postgresql://u@h", {})
    assert "0600" in caplog.text
    assert SECRET not in caplog.text


def test_different_passwords_for_several_hosts_are_refused(home: Path) -> None:
    write(home / ".pgpass", "a:*:*:*:one\nb:*:*:*:two\n")
    with pytest.raises(ConfigurationError, match="different passwords"):
        resolve("postgresql://u@a,b/db", {})
    write(home / ".pgpass", "*:*:*:*:both\n")
    assert resolve("postgresql://u@a,b/db", {})["password"] == "both"


def test_certificates_in_the_home_directory_are_used_where_they_exist(
    home: Path,
) -> None:
    directory = home / ".postgresql"
    directory.mkdir()
    for name in ("postgresql.crt", "postgresql.key", "root.crt"):
        write(directory / name, "")
    resolved = resolve("postgresql://u@h", {})
    assert resolved["sslcert"] == str(directory / "postgresql.crt")
    assert resolved["sslkey"] == str(directory / "postgresql.key")
    assert resolved["sslrootcert"] == str(directory / "root.crt")
    assert resolve("postgresql://u@h?sslcert=/c&sslkey=/k", {})["sslcert"] == "/c"


def test_a_revocation_list_in_the_home_directory_is_used_where_certificates_are_verified(
    home: Path,
) -> None:
    lists = home / ".postgresql" / "root.crl"
    lists.parent.mkdir()
    write(lists, "")
    assert "sslcrl" not in resolve("postgresql://u@h?sslmode=require", {})
    assert resolve("postgresql://u@h?sslmode=verify-full", {})["sslcrl"] == str(lists)
    write(lists.parent / "root.crt", "")
    assert resolve("postgresql://u@h?sslmode=require", {})["sslcrl"] == str(lists)
    assert "sslcrl" not in resolve("postgresql://u@h?sslmode=prefer", {})
    assert "sslcrl" not in resolve("postgresql://u@h?sslmode=verify-ca&sslcrldir=/x", {})
