"""PgBouncer, the machine's own or that of tools/poolers.py."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from poolers.pooler import PORT, SERVER_CONNECTIONS, Kind, Pooler, running

VERDICTS = {"session": "session", "transaction": "shared", "statement": "shared"}


def binary() -> str:
    """Where the machine's PgBouncer is; skips the test if it is nowhere."""
    found = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        pytest.skip("pgbouncer is not installed")
    return found


@contextmanager
def started(database: str, mode: str, size: int = SERVER_CONNECTIONS) -> Iterator[Pooler]:
    """The machine's PgBouncer in this mode, with so many server connections."""
    with start(database, Kind(mode, mode, VERDICTS[mode]), [binary()], size) as pooler:
        yield pooler


@contextmanager
def start(
    database: str, kind: Kind, program: list[str], size: int, settings: str = ""
) -> Iterator[Pooler]:
    """A PgBouncer with these lines in its configuration."""

    def prepare(room: Path, server: dict[str, str]) -> list[str]:
        keep = {"host": "host", "port": "port", "dbname": "dbname", "user": "user"}
        target = " ".join(f"{key}={server[ours]}" for ours, key in keep.items() if ours in server)
        if "password" in server:
            target += f" password={server['password']}"
        (room / "pgbouncer.ini").write_text(
            f"[databases]\nbounced = {target} pool_size={size}\n"
            f"[pgbouncer]\npool_mode = {kind.mode}\nunix_socket_dir = {room}\n"
            f"listen_port = {PORT}\nauth_type = any\nlogfile = {room}/log\nmax_client_conn = 200\n"
            + settings
        )
        return [*program, "-q", str(room / "pgbouncer.ini")]

    with running(kind, database, prepare, "bounced") as pooler:
        yield pooler
