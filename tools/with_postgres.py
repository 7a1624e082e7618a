"""Run a command with HYPERN_TEST_URL set: to the present value, or to an embedded PostgreSQL.

`python -m tools.with_postgres go test ./tests/...`
"""

from __future__ import annotations

import os
import subprocess
import sys

from hypern import embedded

VARIABLE = "HYPERN_TEST_URL"


def main(command: list[str]) -> int:
    """Run the command and return its exit status."""
    if os.environ.get(VARIABLE):
        return _run(command, {})
    server = embedded.start()
    try:
        return _run(command, {VARIABLE: server.url})
    finally:
        server.stop()


def _run(command: list[str], variables: dict[str, str]) -> int:
    with subprocess.Popen(command, env={**os.environ, **variables}) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # The terminal has sent it to the command, too, which is about to end.
                continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
