"""A worker: a forked process that serves HTTP until it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from http.client import HTTPConnection
from types import FrameType
from typing import NoReturn

from demo.app import JSON
from demo.server import Server
from hypern.database import Database


class Worker:
    """The parent's end of a worker: its process and its port."""

    def __init__(self) -> None:
        server = Server()
        self.port: int = server.server_address[1]
        # What is still in a buffer would be written by both processes.
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _serve(server)
        server.server_close()

    def status(self) -> JSON:
        """The worker's own word on its pools."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/")
            status: JSON = json.load(connection.getresponse())
        finally:
            connection.close()
        return status

    def stop(self) -> int:
        """End the process and return its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def _serve(server: Server) -> NoReturn:
    """The whole life of the child: it ends here, never in the parent's code."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the parent sees to the end
        signal.signal(signal.SIGTERM, _end)
        try:
            server.serve_forever(poll_interval=0.1)
        except _StopRequested:
            Database.close()
            code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Not sys.exit(): what the parent has registered to run at its end is the parent's.
        os._exit(code)


class _StopRequested(Exception):  # noqa: N818 - a request, no error
    """SIGTERM has come."""


def _end(signum: int, frame: FrameType | None) -> None:
    raise _StopRequested
