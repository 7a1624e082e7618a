"""A pooler in front of the tests' database: what it does to its clients, and its process."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    Database.status().pooler must be. named: whether clients may prepare statements by name though
    servers are shared; they do, then. resets: whether the pooler itself drops a session's state
    between two transactions.
    """

    name: str
    mode: str
    verdict: str
    named: bool = False
    resets: bool = False


@dataclass
class Pooler:
    """One that runs."""

    kind: Kind
    url: str
    log: Path
    pid: int
    settings: dict[str, Any] = field(default_factory=dict)  # for Database.configure, in each test

    @property
    def mode(self) -> str:
        return self.kind.mode

    def configure(self, max_size: int, **settings: Any) -> None:
        """Configure it anew as "default"."""
        Database.close("default")
        given = {"acquire_timeout_secs": 20, **self.settings, **settings}
        Database.configure(self.url, max_size=max_size, **given)


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
            subprocess.Popen(command, stdout=output, stderr=output, user=user, cwd=room) as process,
        ):
            try:
                wait_until(lambda: accepts(room / f".s.PGSQL.{PORT}"), 20)
                log = room / "log" if (room / "log").exists() else room / "output"
                url = f"postgresql://app@/{name}?host={room}&port={PORT}"
                yield Pooler(kind, url, log, process.pid)
            finally:
                Database.close()
                process.terminate()
