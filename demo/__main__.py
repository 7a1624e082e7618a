"""Run the demo on an embedded PostgreSQL: `python -m demo`. It exits with 0 if all checks pass."""

from __future__ import annotations

import sys
import time

from demo import databases, load, summary
from demo.server import Server
from hypern import embedded
from hypern.database import Database

WORKERS = 4
GONE_SECONDS = 5.0  # a server process ends shortly after its client


def main() -> int:
    """Serve, load and check; returns 0 if every check passed."""
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
    """Start the workers, send them the load, stop them, and read the results."""
    server = Server(WORKERS)
    try:
        print(f"{WORKERS} workers serve {load.CONNECTIONS} client connections on {server.port}")
        began = time.monotonic()
        exchanges = load.run(server.port)
        seconds = time.monotonic() - began
    finally:
        exit_code, reports, log = server.stop()
    left = _left_connections()
    return summary.Run(exchanges, databases.read_books(), reports, exit_code, log, left, seconds)


def _left_connections() -> int:
    deadline = time.monotonic() + GONE_SECONDS
    while (left := databases.others_connections()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


if __name__ == "__main__":
    sys.exit(main())
