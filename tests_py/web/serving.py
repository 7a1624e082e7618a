"""A server as a subprocess, and a client of the example applications."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proc import children, command_line
from support import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent

# The servers that tell nobody of SIGTERM: Python's default ends them without their own clean-up.
_ENDED_BY_CTRL_C = ("flask", "runserver")


class Server:
    """A command that serves HTTP on a port, started and ended as often as a test likes."""

    def __init__(self, command: str, url: str, log: Path, variables: Mapping[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self._command = [sys.executable, *command.format(port=self.port).split()]
        self._log = log
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            "DATABASE_URL": url,
            "HYPERN_EXAMPLE": "example",
            "PORT": str(self.port),
            **variables,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last: of several workers their parent."""
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until_it_listens(self.port, self._process, self._log)

    def stop(self) -> None:
        """Tell it to end, which it must do by itself."""
        by_ctrl_c = any(word in self._command for word in _ENDED_BY_CTRL_C)
        self.process.send_signal(signal.SIGINT if by_ctrl_c else signal.SIGTERM)
        self.process.wait(20)

    def kill(self) -> None:
        """End it and its workers with SIGKILL."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def workers(self) -> list[int]:
        """The processes that it has started."""
        # Python's multiprocessing has one of its own beside them.
        return [
            child
            for child in children(self.process.pid)
            if b"resource_tracker" not in command_line(child)
        ]

    def kill_a_worker(self) -> int:
        """End a worker with SIGKILL, and wait until it has gone; its number."""
        worker = self.workers()[0]
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: worker not in self.workers() or self.process.poll() is not None, 20)
        return worker


@contextmanager
def serving(command: str, url: str, log: Path, **variables: str) -> Iterator[Server]:
    """Serve until the block ends; the server must then end by itself when it is told to.

    command: what follows `python`, with {port} in it. variables: of the environment.
    """
    server = Server(command, url, log, variables)
    try:
        server.start()
        yield server
        server.stop()
    finally:
        if server.process.poll() is None:
            server.kill()


def wait_until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers; its log, where it ends instead."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with Client(port) as client:
                client.request("GET", "/accounts/0")
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


class Client:
    """A client with a connection that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.has_length = True

    def suspect(self) -> None:
        """Say that the last answer looks cut short. A ConnectionError where it may have been.

        Bodies without a length, as Django and HTTP/1.0 servers send them, end with the connection:
        nothing else tells that a server was killed while it sent one.
        """
        if not self.has_length:
            raise ConnectionError("cut short")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect. The next request connects anew."""
        self._connection.close()

    def connect(self) -> None:
        """Connect, where that has not been done yet. An OSError here means: nothing was sent."""
        if self._connection.sock is None:
            self._connection.connect()

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """The status and the body of the answer. After an OSError the next one connects anew."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json", "X-Request-ID": "always the same"}
        try:
            self._connection.request(method, path, data, headers)
            response = self._connection.getresponse()
            self.has_length = response.length is not None or bool(response.chunked)
            text = response.read().decode()
            if text[-1:] not in ("}", "\n"):
                self.suspect()
            return response.status, text
        except http.client.HTTPException as error:
            self.close()
            raise ConnectionError(str(error)) from error
        except OSError:
            self.close()
            raise

    def open_account(self, balance: str) -> int:
        """A new account's number."""
        status, text = self.request("POST", "/accounts", {"name": "Ann", "balance": balance})
        assert status == 201, text
        return int(json.loads(text)["id"])

    def balance(self, number: int) -> str:
        """What is in an account."""
        status, text = self.request("GET", f"/accounts/{number}")
        assert status == 200, text
        return str(json.loads(text)["balance"])

    def transfer(self, source: int, target: int, amount: str) -> int:
        """The status that moving money got."""
        body = {"source": source, "target": target, "amount": amount}
        return self.request("POST", "/transfers", body)[0]
