"""A pooler in front of the tests' database: what it does to its clients, and its process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import wait_until

from hypern.config.parse import parse
from hypern.database import Database

PORT = 6432
SERVER_CONNECTIONS = 2  # that a pooler has, if a test does not say otherwise


@dataclass(frozen=True)
class Kind:
    """A pooler in one of its modes.

    mode: how long a client keeps its server: "session", "transaction", "statement". verdict: what
    Database.status().pooler must be. And what is peculiar to it:

    prepares: statements that clients prepare by name are prepared on each shared server.
    keeps_plans: so are unnamed ones, so that what they depend on must not change.
    resets: it drops a session's state between two transactions.
    passes_timeout: the server gets statement_timeout from the client's startup.
    holds_cancel: it takes a second over a request to cancel, which a `timeout=` does not wait for.
    """

    name: str
    mode: str
    verdict: str
    prepares: bool = False
    keeps_plans: bool = False
    resets: bool = False
    passes_timeout: bool = False
    holds_cancel: bool = False


@dataclass
class Pooler:
    """One that runs."""

    kind: Kind
    url: str
    log: Path
    pid: int

    def send(self, number: signal.Signals) -> None:
        """Signal each of its processes."""
        os.killpg(self.pid, number)

    @property
    def mode(self) -> str:
        return self.kind.mode

    def configure(self, max_size: int, **settings: Any) -> None:
        """Configure it anew as "default"."""
        Database.close("default")
        Database.configure(self.url, max_size=max_size, **{"acquire_timeout_secs": 20, **settings})


def accepts(path: Path) -> bool:
    """Whether somebody listens on the socket: it exists a moment earlier."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def owner(server: dict[str, str]) -> int:
    """Whom a pooler runs as: not root, which PgBouncer refuses, and may connect to the server."""
    host = Path(server.get("host", ""))
    if os.geteuid() != 0:
        return os.geteuid()
    return host.stat().st_uid if host.is_dir() and host.stat().st_uid else 65534


@contextmanager
def running(
    kind: Kind, database: str, prepare: Callable[[Path, dict[str, str]], list[str]], name: str
) -> Iterator[Pooler]:
    """A pooler in a directory of its own, where it has its socket and its log.

    prepare: writes its configuration into the directory for a server, and returns the command.
    name: the database that clients ask for.
    """
    server = parse(database)
    with tempfile.TemporaryDirectory(prefix="hypern-pgb-", ignore_cleanup_errors=True) as directory:
        room = Path(directory)
        command = prepare(room, server)
        user = owner(server)
        for path in (room, *room.iterdir()):
            os.chown(path, user, -1, follow_symlinks=False)
        with (
            (room / "output").open("wb") as output,
            subprocess.Popen(
                command, stdout=output, stderr=output, user=user, cwd=room, start_new_session=True
            ) as process,
        ):
            try:
                wait_until(lambda: accepts(room / f".s.PGSQL.{PORT}"), 20)
                log = room / "log" if (room / "log").exists() else room / "output"
                url = f"postgresql://app@/{name}?host={room}&port={PORT}"
                yield Pooler(kind, url, log, process.pid)
            finally:
                Database.close()
                process.terminate()
