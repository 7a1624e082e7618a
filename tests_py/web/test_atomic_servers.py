"""Atomic requests over real servers: a handler that raises after two inserts leaves none of them.

With HYPERN_RELIABILITY=full every server is tried with a thousand such requests.
"""

from __future__ import annotations

import http.client
import os
from pathlib import Path

import pytest
from support import in_threads
from web.ledger import committed
from web.serving import serving

FULL = os.environ.get("HYPERN_RELIABILITY") == "full"
THREADS, REQUESTS = 4, 250 if FULL else 8  # that raise

_APP = "web.served.atomic_apps"
_GUNICORN = "-m gunicorn -b 127.0.0.1:{port} -w2"
_UVICORN = _GUNICORN + " -k uvicorn_worker.UvicornWorker"
# The command by its name, and whether it is tried in a sample, too.
COMMANDS = {
    "FastAPI, uvicorn": (f"-m uvicorn --port {{port}} {_APP}:fastapi", True),
    "FastAPI, hypercorn": (f"-m hypercorn -b 127.0.0.1:{{port}} {_APP}:fastapi", False),
    "FastAPI, gunicorn uvicorn": (f"{_UVICORN} {_APP}:fastapi", False),
    "Starlette, uvicorn": (f"-m uvicorn --port {{port}} {_APP}:starlette", False),
    "Starlette, hypercorn": (f"-m hypercorn -b 127.0.0.1:{{port}} {_APP}:starlette", True),
    "Hypern, app.start()": (f"-m {_APP} start", True),
    "Hypern, hypercorn": (f"-m hypercorn -b 127.0.0.1:{{port}} {_APP}:hypern", False),
    "Flask, its own": (f"-m flask --app {_APP}:flask run -p {{port}}", False),
    "Flask, gunicorn sync": (f"{_GUNICORN} {_APP}:flask", False),
    "Flask, gunicorn gthread": (f"{_GUNICORN} -k gthread --threads 4 {_APP}:flask", True),
    "WSGI, gunicorn gthread": (f"{_GUNICORN} -k gthread --threads 4 {_APP}:wsgi", False),
    "Django, runserver": (f"-m {_APP} runserver --noreload 127.0.0.1:{{port}}", False),
    "Django, gunicorn sync": (f"{_GUNICORN} {_APP}:django", False),
    "Django, gunicorn gthread": (f"{_GUNICORN} -k gthread --threads 4 {_APP}:django", True),
    "Django, uvicorn": (f"-m uvicorn --port {{port}} {_APP}:django_awaited", True),
}


def _get(port: int, path: str) -> int:
    """The status of a request on a connection of its own: a server may close it after an error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_handler_that_raises_after_two_inserts_leaves_none(
    name: str, ledger: str, tmp_path: Path
) -> None:
    command, in_sample = COMMANDS[name]
    if not (FULL or in_sample):
        pytest.skip("make test/servers tries it")
    ways = ("run",) if "Flask" in name or "WSGI" in name else ("run", "await")
    succeeded = range(1, len(ways) * THREADS + 1)
    with serving(command, ledger, tmp_path / "log") as server:

        def work(thread: int) -> None:
            for n in range(REQUESTS):
                assert _get(server.port, f"/{ways[n % len(ways)]}/{10_000 + n}/fail") == 500
            for i, way in enumerate(ways):
                number = succeeded[thread * len(ways) + i]
                assert _get(server.port, f"/{way}/{number}/succeed") == 200

        in_threads(THREADS, work)
        assert committed() == sorted([*succeeded, *(-n for n in succeeded)])
    text = (tmp_path / "log").read_text()
    for word in ("SessionClosed", "InterfaceError", "never finalized"):
        assert word not in text
