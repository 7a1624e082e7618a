"""The server: a forked process that runs `app.start`."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from typing import IO, NoReturn

from demo.app import JSON, app, report_at_shutdown

START_SECONDS = 10.0


class Server:
    """The parent's handle of the server: its process, port and log.

    This process has already used its pools, so the server is a fork after use, and each worker is a
    fork of the server. Each of them starts with its own core and connections.
    """

    def __init__(self, workers: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - kept until stop()
        self._reports, reports_end = os.pipe()
        # Both processes would write what is still in the buffer.
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reports)
            _serve(self.port, workers, self._log, reports_end)
        os.close(reports_end)
        self._wait_until_it_listens()

    def stop(self) -> tuple[int, list[JSON], str]:
        """Stop the workers; returns the exit code, each worker's report, and the log."""
        os.kill(self.pid, signal.SIGTERM)
        with open(self._reports) as lines:  # until the last worker has closed its end
            reports: list[JSON] = [json.loads(line) for line in lines]
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), reports, self._read_log()

    def _read_log(self) -> str:
        with self._log as log:
            log.seek(0)
            return log.read().decode(errors="replace")

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if os.waitpid(self.pid, os.WNOHANG)[0] or time.monotonic() > deadline:
                    sys.exit(f"The server did not start:\n{self._read_log()}")
                time.sleep(0.02)


def _serve(port: int, workers: int, log: IO[bytes], reports: int) -> NoReturn:
    """Run the child, which ends here and never returns into the parent's code."""
    code = 1
    try:
        os.setsid()  # a Ctrl-C is for the parent, which stops the server
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        report_at_shutdown(reports)
        app.start(port=port, workers=workers)
    except SystemExit as end:  # raised by gunicorn's arbiter
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        # Not sys.exit(), which would run the exit handlers that the parent has registered.
        os._exit(code)
