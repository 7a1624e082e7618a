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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent

DJANGO_SERVER = "-m examples.django_app runserver --noreload 127.0.0.1:{port}"

# Every way of serving that is promised to work, by a name for the tests.
SERVERS = {
    "hypern": "-m examples.hypern_app",
    "hypern, 2 workers": "-m examples.hypern_app",
    "flask run": "-m flask --app examples.flask_app run -p {port}",
    "flask, gunicorn sync": "-m gunicorn -w2 -b 127.0.0.1:{port} examples.flask_app:app",
    "flask, gunicorn sync preloaded": (
        "-m gunicorn -w2 --preload -b 127.0.0.1:{port} examples.flask_app:app"
    ),
    "flask, gunicorn gthread": (
        "-m gunicorn -w2 -k gthread --threads 4 -b 127.0.0.1:{port} examples.flask_app:app"
    ),
    "flask, gunicorn gthread preloaded": (
        "-m gunicorn -w2 -k gthread --threads 4 --preload -b 127.0.0.1:{port}"
        " examples.flask_app:app"
    ),
    "django runserver": DJANGO_SERVER,
    "django, gunicorn gthread": (
        "-m gunicorn -w2 -k gthread --threads 4 -b 127.0.0.1:{port} examples.django_app:application"
    ),
    "django, uvicorn": "-m uvicorn --port {port} examples.django_app:asgi_application",
    "fastapi, uvicorn": "-m uvicorn --port {port} examples.fastapi_app:app",
    "fastapi, uvicorn 2 workers": "-m uvicorn --workers 2 --port {port} examples.fastapi_app:app",
    "fastapi, gunicorn uvicorn": (
        "-m gunicorn -w2 -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port}"
        " examples.fastapi_app:app"
    ),
    "fastapi, gunicorn uvicorn preloaded": (
        "-m gunicorn -w2 -k uvicorn_worker.UvicornWorker --preload -b 127.0.0.1:{port}"
        " examples.fastapi_app:app"
    ),
    "starlette, uvicorn": "-m uvicorn --port {port} examples.starlette_app:app",
    "starlette, hypercorn": "-m hypercorn -w2 -b 127.0.0.1:{port} examples.starlette_app:app",
}
RESTARTING = [name for name in SERVERS if "gunicorn" in name or "workers" in name]


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int

    def workers(self) -> list[int]:
        """The processes that it has started."""
        pid = self.process.pid
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # Python's multiprocessing has one of its own beside them.
        return [p for p in map(int, found) if b"resource_tracker" not in _command_line(p)]


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@contextmanager
def serving(name: str, url: str, log: Path) -> Iterator[Server]:
    """Run a server of SERVERS until the block ends; it must end by itself when it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "DATABASE_URL": url,
        "HYPERN_EXAMPLE": "example",
        "PORT": str(port),
        "WORKERS": "2" if "workers" in name else "1",
    }
    command = [sys.executable, *SERVERS[name].format(port=port).split()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_it_listens(port, process, log)
        yield Server(process, port)
        process.send_signal(
            signal.SIGINT if "flask run" in name or "runserver" in name else signal.SIGTERM
        )
        process.wait(20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


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

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """The status and the body of the answer. After an OSError the next one connects anew."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json", "X-Request-ID": "always the same"}
        try:
            self._connection.request(method, path, data, headers)
            response = self._connection.getresponse()
            return response.status, response.read().decode()
        except http.client.HTTPException as error:
            self._connection.close()
            raise ConnectionError(str(error)) from error
        except OSError:
            self._connection.close()
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
