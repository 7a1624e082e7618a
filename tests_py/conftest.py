"""Fixtures for tests on a real PostgreSQL: HYPERN_TEST_URL if it is set, else an embedded one."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import either
import pytest
import uvloop
from support import RunPython, url_with

from hypern import embedded
from hypern.database import Database, DbSession, db, scope
from hypern.scope.scope import current_scope

# A shell starts what it runs in the background with Ctrl-C ignored, and processes inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty home directory, and an environment without any PG* variable."""
    for name in list(os.environ):
        if name.startswith("PG"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PGSYSCONFDIR", str(tmp_path / "etc"))
    return tmp_path


@pytest.fixture(scope="session")
def hypern_url() -> Iterator[str]:
    """Where the server is: a URL with the right to create databases."""
    given = os.environ.get("HYPERN_TEST_URL")
    if given:
        yield given
        return
    with embedded.start() as server:
        yield server.url


@pytest.fixture(scope="module")
def database(hypern_url: str) -> Iterator[str]:
    """The URL of a new, empty database, dropped after the module's tests."""
    name = f"hypern_test_{secrets.token_hex(6)}"
    _as_admin(hypern_url, f"CREATE DATABASE {name}")
    yield url_with(hypern_url, dbname=name)
    Database.close()
    _as_admin(hypern_url, f"DROP DATABASE {name} WITH (FORCE)")


def _as_admin(url: str, statement: str) -> None:
    Database.configure(url, max_size=1, alias="admin")
    with scope():
        db(alias="admin").execute(statement)
    Database.close("admin")


@pytest.fixture
def configured(database: str) -> Iterator[str]:
    """The URL of the module's database, configured as "default" with four connections."""
    Database.close()
    Database.configure(database, max_size=4, acquire_timeout_secs=5)
    yield database
    Database.close()


@pytest.fixture(autouse=True)
def _no_scope_left() -> Iterator[None]:
    """A test that leaves a scope current which has ended would make the next one's `db()` fail."""
    yield
    left = current_scope.get()
    assert left is None or not left.ended


@pytest.fixture(params=either.KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """For tests of what blocking and awaited sessions have in common (see either.py)."""
    either.choose(request.param)
    yield request.param
    either.choose("blocking")


@pytest.fixture
def session(configured: str, request: pytest.FixtureRequest) -> Iterator[DbSession]:
    """A session of the module's database; of either kind where the test uses the fixture `kind`."""
    if "kind" in request.fixturenames:
        request.getfixturevalue("kind")
    yield either.db("the test")
    either.finalize_db("the test")


@pytest.fixture
def numbers(session: DbSession) -> Iterator[None]:
    """The table `numbers` (n int PRIMARY KEY, not below zero), empty."""
    session.execute("CREATE TABLE numbers (n int PRIMARY KEY CHECK (n >= 0))")
    yield
    if session.is_in_transaction:
        session.rollback()
    session.execute("DROP TABLE numbers")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop of asyncio's own and one of uvloop's, in turn."""
    loop: asyncio.AbstractEventLoop = request.param()
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def password_server() -> Iterator[str]:
    """The URL of a server of its own that asks every user but "postgres" for a password."""
    with (
        tempfile.TemporaryDirectory(prefix="hypern-pw-", ignore_cleanup_errors=True) as directory,
        embedded.start(Path(directory) / "data") as server,
    ):
        (Path(directory) / "data" / "pg_hba.conf").write_text(
            "local all postgres trust\nlocal all all scram-sha-256\n"
        )
        _as_admin(server.url, "SELECT pg_reload_conf()")
        _as_admin(server.url, "CREATE ROLE alice LOGIN PASSWORD 'right one'")
        _as_admin(server.url, "CREATE DATABASE alice OWNER alice")
        yield url_with(server.url, user="alice", dbname="alice")
        Database.close()


@pytest.fixture
def run_python(tmp_path: Path) -> RunPython:
    """Run Python code in an interpreter of its own: `run_python(code, *arguments, options=())`.

    The code's own asserts decide: its exit status must be 0 (or `status`), within a minute (or
    `seconds`). It can import the modules of this directory.
    """

    def run(
        code: str,
        *arguments: str,
        options: tuple[str, ...] = (),
        status: int = 0,
        seconds: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        path = filter(None, [os.environ.get("PYTHONPATH"), str(Path(__file__).parent)])
        script = tmp_path / f"{secrets.token_hex(4)}.py"
        script.write_text(textwrap.dedent(code))
        done = subprocess.run(
            [sys.executable, *options, str(script), *arguments],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        )
        assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run
