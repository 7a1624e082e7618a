"""The server: a forked process that runs the application's workers, as `app.start` would alone."""

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
    """The parent's end: a process with workers of its own, its port and its log.

    This process has used its pools by now, so the server is a fork after use, and each worker a
    fork of that: all of them start with a core and connections of their own.
    """

    def __init__(self, workers: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - kept until stop()
        self._reports, reports_end = os.pipe()
        # What is still in a buffer would be written by both processes.
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reports)
            _serve(self.port, workers, self._log, reports_end)
        os.close(reports_end)
        self._wait_until_it_listens()

    def stop(self) -> tuple[int, list[JSON], str]:
        """End the workers: the exit code, each one's word on its pools, and the log."""
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
    """The whole life of the child: it ends here, never in the parent's code."""
    code = 1
    try:
        os.setsid()  # Ctrl-C: the parent sees to the end
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        report_at_shutdown(reports)
        app.start(port=port, workers=workers)
    except SystemExit as end:  # the arbiter's way to end
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        # Not sys.exit(): what the parent has registered to run at its end is the parent's.
        os._exit(code)
