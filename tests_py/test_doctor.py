"""`python -m hypern doctor`: what it finds, what it advises, and what it must not print."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from reliability.own_server import OwnServer
from support import url_with
from test_pgbouncer import started

import hypern
from hypern import _libc
from hypern.__main__ import main
from hypern.database import Database, db, scope
from hypern.doctor import Finding, Plan, examine, findings

SECRET = "s3cret-hunter2"


@pytest.fixture(autouse=True)
def _no_url_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)


def found(url: str | None, plan: Plan | None = None) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings(url, plan or Plan())}


def execute(url: str, *statements: str) -> None:
    Database.configure(url, alias="doctor's tests")
    with scope():
        for statement in statements:
            db(alias="doctor's tests").execute(statement)
    Database.close("doctor's tests")


def test_a_working_installation_has_nothing_wrong(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", database]) == 0
    out = capsys.readouterr().out
    for subject in ("hypern", "wheel", "libc", "core", "connection", "pooler", "tls", "clock"):
        assert f"ok       {subject} " in out, out
    assert hypern.__version__ in out
    assert "PostgreSQL " in out
    assert "\n0 wrong, " in out
    assert not Database.is_configured("hypern doctor")


def test_without_a_url_it_checks_the_installation_alone(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(found(None)) == ["hypern", "wheel", "libc", "core", "connection"]
    assert found(None)["connection"].level == "info"
    monkeypatch.setenv("DATABASE_URL", database)
    assert found(None)["connection"].level == "ok"


def test_a_warning_fails_if_it_is_to(database: str) -> None:
    plan = Plan(max_size=100_000)
    assert examine(database, plan) == 0
    assert examine(database, plan, strict=True) == 1


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        (f"postgresql://app:{SECRET}@127.0.0.1:1/shop", "Is the server running"),
        (f"postgresql://app:{SECRET}@/shop?host=/nowhere", "No server has its socket there"),
        (f"postgresql://app:{SECRET}@[::1/shop", "Correct the URL"),
        (f"host=127.0.0.1 pass={SECRET}", "Correct the URL"),
    ],
)
def test_a_failed_connect_comes_with_what_to_do(
    url: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert examine(url, Plan()) == 1
    out = capsys.readouterr().out
    assert "wrong    connection " in out
    assert remedy in " ".join(out.split())
    assert SECRET not in out


def test_a_database_that_is_not_there_comes_with_what_to_do(database: str) -> None:
    finding = found(url_with(database, dbname="not_there"))["connection"]
    assert (finding.level, "not_there" in finding.text) == ("wrong", True)
    assert "Create the database" in finding.remedy


@pytest.fixture(scope="module")
def encrypted() -> Iterator[OwnServer]:
    server = OwnServer(tls=True)
    try:
        yield server
    finally:
        server.remove()


def test_a_wrong_password_is_not_printed(
    encrypted: OwnServer, capsys: pytest.CaptureFixture[str]
) -> None:
    url = encrypted.url().replace("alice@", f"alice:{SECRET}@")
    assert examine(url, Plan()) == 1
    out = capsys.readouterr().out
    assert "Check the user and the password" in out
    assert SECRET not in out


def test_tls_is_named_and_who_vouches_for_it(encrypted: OwnServer) -> None:
    finding = found(encrypted.url(user="postgres", sslmode="require"))["tls"]
    assert finding.level == "ok"
    assert finding.text.startswith("TLSv1.")
    assert "sslmode=require" in finding.text
    assert found(encrypted.url(user="postgres"))["tls"].text == "none, on this machine"


@pytest.mark.parametrize("mode", ["session", "transaction", "statement"])
def test_a_pooler_and_its_mode_are_found(database: str, mode: str) -> None:
    with started(database, mode) as bouncer:
        full = found(bouncer.url)["pooler"]
        confirmed = found(bouncer.url, Plan(reset="transaction"))
    assert confirmed["pooler"].level == "ok"
    assert "the pooler limits them" in confirmed["connections"].text
    if mode == "session":
        assert (full.level, "session mode" in full.text) == ("ok", True)
    else:
        assert (full.level, "shares its connections" in full.text) == ("warning", True)
        assert 'reset="transaction"' in full.remedy


def test_max_size_is_compared_with_what_the_server_allows(database: str) -> None:
    Database.configure(database)
    with scope():
        most = int(db().query_value("SHOW max_connections"))
    Database.close()
    assert found(database, Plan(max_size=2))["connections"].level == "ok"
    finding = found(database, Plan(max_size=most, workers=4))["connections"]
    assert finding.level == "warning"
    assert f"{4 * most} wanted" in finding.text
    fits = int(finding.remedy.partition("max_size=")[2].partition(".")[0])
    assert 1 <= fits <= most // 4


def test_a_limit_of_the_role_counts_and_a_superuser_is_told(database: str) -> None:
    execute(database, "CREATE ROLE limited LOGIN CONNECTION LIMIT 3")
    try:
        facts = found(url_with(database, user="limited"), Plan(max_size=5))
        assert "role" not in facts
        assert facts["connections"].level == "warning"
        assert "3 allowed (the role's limit)" in facts["connections"].text
    finally:
        execute(database, "DROP ROLE limited")
    assert "superuser" in found(database)["role"].text


def test_settings_that_lose_data_are_told(database: str) -> None:
    Database.configure(database)
    with scope():
        fsync = db().query_value("SHOW fsync")
    Database.close()
    url = url_with(database, options="-c default_transaction_read_only=on")
    facts = found(url)
    assert "read only" in facts
    assert ("fsync" in facts) == (fsync == "off")


def test_a_clock_that_is_wrong_is_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = time.time
    assert found(database)["clock"].level == "ok"
    monkeypatch.setattr(time, "time", lambda: right() + 90)
    finding = found(database)["clock"]
    assert finding.level == "warning"
    assert "90.0 s ahead of the server's" in finding.text
    monkeypatch.setattr(time, "time", lambda: right() - 90)
    assert "90.0 s behind the server's" in found(database)["clock"].text


def test_another_c_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "confstr_names", {})
    finding = found(None)["libc"]
    assert (finding.level, finding.remedy) == ("wrong", _libc.IMAGE)


def test_a_core_that_does_not_load_is_told(tmp_path: Path) -> None:
    package = tmp_path / "hypern"
    shutil.copytree(Path(hypern.__file__).parent, package)
    core = package / "libhypern_core.so"
    core.write_bytes(core.read_bytes()[:100_000])
    done = subprocess.run(
        [sys.executable, "-m", "hypern", "doctor"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert "wrong    core             it does not load: " in done.stdout
    assert "--force-reinstall hypern-database" in " ".join(done.stdout.split())


def test_each_remedy_is_a_sentence(database: str) -> None:
    for finding in findings(database, Plan(max_size=100_000)):
        assert finding.level in ("ok", "info", "warning", "wrong")
        assert bool(finding.remedy) == (finding.level in ("warning", "wrong")), finding
        assert "\n" not in finding.text
