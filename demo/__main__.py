"""Run the demo on an embedded PostgreSQL: `python -m demo`. The exit code says whether it held."""

from __future__ import annotations

import sys
import time

from demo import databases, load, summary
from demo.worker import Worker
from hypern import embedded
from hypern.database import Database

WORKERS = 4
GONE_SECONDS = 5.0  # a server process takes a moment to end after its client has


def main() -> int:
    """Serve, load, count; 0 if everything that must be true is."""
    print("Starting PostgreSQL")
    server = embedded.start()
    try:
        version = databases.create(server.url)
        print(f"PostgreSQL {version}: filling {' and '.join(databases.ALIASES)}")
        databases.fill()
        run = _serve()
    finally:
        Database.close()
        server.stop()
    verdicts = summary.checks(run)
    summary.show(run, verdicts)
    if all(check.holds for check in verdicts):
        print("\nEverything holds.")
        return 0
    print("\nNot everything holds.")
    return 1


def _serve() -> summary.Run:
    """Fork the workers, send them the load, end them, and read what is left.

    This process has used its pools by now, so each worker is a fork after use: it starts with a
    core and connections of its own, and this process keeps those it has.
    """
    workers: list[Worker] = []
    exit_codes: list[int] = []
    try:
        while len(workers) < WORKERS:
            workers.append(Worker())
        print(f"{WORKERS} workers serve {load.CONNECTIONS} client connections")
        began = time.monotonic()
        exchanges = load.run([worker.port for worker in workers])
        seconds = time.monotonic() - began
        statuses = {worker.port: worker.status() for worker in workers}
    finally:
        exit_codes.extend(worker.stop() for worker in workers)
    return summary.Run(
        exchanges, databases.read_books(), statuses, exit_codes, _left_connections(), seconds
    )


def _left_connections() -> int:
    deadline = time.monotonic() + GONE_SECONDS
    while (left := databases.others_connections()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


if __name__ == "__main__":
    sys.exit(main())
