"""Web servers: workers that a used master has forked, a reloading runserver, views that await."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import wait_until
from web.serving import ROOT, Client, Server

from hypern import dbapi

SITE = Path(__file__).with_name("served_site.py")
GUNICORN = "-m gunicorn -w2 --preload -b 127.0.0.1:{port}"


@contextmanager
def serving(command: str, url: str, directory: Path, **variables: str) -> Iterator[Client]:
    """A client of the site, whose module is a copy in the directory."""
    shutil.copy(SITE, directory / "served_site.py")
    path = os.pathsep.join([str(directory), str(ROOT), *sys.path])
    variables = {"PYTHONPATH": path, "DATABASE_URL": url, **variables}
    subprocess.run(
        [sys.executable, "-m", "served_site", "migrate", "-v0"],
        env={**os.environ, **variables, "USED_BEFORE_THE_FORK": ""},
        check=True,
        timeout=60,
    )
    log = directory / "log"
    server = Server(command, url, log, variables)
    try:
        server.start()
        with Client(server.port) as client:
            yield client
    finally:
        server.kill()
    text = log.read_text()
    meant = text.count("raise ValueError(then)")
    assert text.count("Traceback") == meant, text[-3000:]


def get(client: Client, path: str) -> Any:
    """What the site answers, as JSON; its status where that is none of success."""
    status, text = client.request("GET", path)
    client.close()  # the next one may go to another worker
    return json.loads(text) if status == 200 else status


def serve_both(client: Client, workers: int) -> None:
    """Requests to every worker: each in one transaction, over the ORM and SQL."""
    seen: set[int] = set()
    rows = 0
    limit = time.monotonic() + 90
    while len(seen) < workers or rows < 20:
        assert time.monotonic() < limit, seen
        answer = get(client, "/both/commit")
        assert answer["rows"] == rows + 2, answer
        rows = answer["rows"]
        seen.add(answer["worker"])
        assert get(client, "/both/fail") == 500


@pytest.fixture
def empty(database: str) -> str:
    """The module's database without the site's rows."""
    with dbapi.connect(database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return database


@pytest.mark.parametrize("max_age", ["0", "600"])
@pytest.mark.parametrize("kind", ["-k sync", "-k gthread --threads 4"])
def test_gunicorn_preloads_a_site_that_has_used_the_database(
    empty: str, tmp_path: Path, kind: str, max_age: str
) -> None:
    command = f"{GUNICORN} {kind} served_site:application"
    with serving(
        command, empty, tmp_path, USED_BEFORE_THE_FORK="1", CONN_MAX_AGE=max_age
    ) as client:
        serve_both(client, 2)


def test_an_asgi_server_preloads_it_and_awaits(empty: str, tmp_path: Path) -> None:
    command = f"{GUNICORN} -k uvicorn_worker.UvicornWorker served_site:asgi_application"
    with serving(command, empty, tmp_path, USED_BEFORE_THE_FORK="1") as client:
        for _ in range(10):
            assert get(client, "/awaited")["found"] == 1
        assert get(client, "/both/commit")["rows"] == 3


def test_runserver_reloads(empty: str, tmp_path: Path) -> None:
    command = "-m served_site runserver 127.0.0.1:{port}"
    with serving(command, empty, tmp_path) as client:
        assert get(client, "/both/commit")["rows"] == 2
        first = get(client, "/loaded")["worker"]
        (tmp_path / "served_site.py").write_text(SITE.read_text() + "\n# changed\n")

        def is_reloaded() -> bool:
            try:
                return bool(get(client, "/loaded")["worker"] != first)
            except OSError:
                return False

        wait_until(is_reloaded, 60)
        assert get(client, "/both/commit")["rows"] == 4
