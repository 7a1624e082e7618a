"""gunicorn and Celery, which fork before and after the parent has used the database."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from proc import children
from reliability.database_sockets import holders, shared
from reliability.own_server import PASSWORD, OwnServer
from reliability.tally import Tally
from support import wait_until

from hypern.database import db, scope

USE = """
if os.environ["USED"] == "used":  # in the parent, before it forks
    kept = db("the parent's").begin()
    assert kept.query_value("SELECT 1") == 1
"""

APPLICATION = f"""
import os
from hypern.database import Database, db
from hypern.middleware.wsgi import DatabaseMiddleware

Database.configure(os.environ["DATABASE_URL"], max_size=2, application_name="managed")
{USE}
@DatabaseMiddleware
def app(environ, start_response):
    number = int(environ["PATH_INFO"].strip("/"))
    with db().transaction() as session:
        doubled = session.query_value("SELECT $1::int * 2", [number])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{{os.getpid()}} {{doubled}}".encode()]
"""

TASKS = f"""
import os
from celery import Celery
from hypern.database import Database, db, scope

room = os.environ["ROOM"]
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {{
    "data_folder_in": room, "data_folder_out": room, "control_folder": room + "/control",
}}
app.conf.worker_max_tasks_per_child = 8  # so that the parent goes on forking
Database.configure(os.environ["DATABASE_URL"], max_size=2, application_name="managed")
if os.environ.get("WORKER"):
{textwrap.indent(USE, "    ")}

@app.task
def double(number):
    with scope(), db().transaction() as session:
        session.execute("INSERT INTO done VALUES ($1, $2, $3)", [number, 2 * number, os.getpid()])
        if number % 5 == 0:
            raise ValueError("undone")
    with scope():
        db().execute("INSERT INTO ended VALUES ($1)", [number])

if __name__ == "__main__":
    for number in range(1, 41):
        double.delay(number)
"""


@contextmanager
def running(
    command: list[str], directory: Path, url: str, variables: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs until the block ends, and then ends by itself at SIGTERM."""
    path = os.pathsep.join([str(directory), *sys.path])
    environment = {**os.environ, "DATABASE_URL": url, "PYTHONPATH": path, **variables}
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()
        text = log.read_text()
        assert text.count("Traceback") == text.count("ValueError: undone"), text
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def connections() -> int:
    """How many connections the server has of the managed processes."""
    with scope():
        number: int = db(alias="admin").query_value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'managed'"
        )
    return number


def with_password(server: OwnServer) -> str:
    """The server's URL by TCP, complete."""
    return server.url().replace("alice@", f"alice:{PASSWORD.replace(' ', '%20')}@")


def held_by(pid: int, port: int) -> list[str]:
    """The connections to the port that a process holds itself."""
    return [inode for inode, pids in holders(pid, port).items() if pid in pids]


class Watch:
    """Looks, while the block runs, for connections that two processes hold."""

    def __init__(self, root: int, port: int) -> None:
        self._root, self._port, self._stop = root, port, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.looks = self.most = 0
        self.shared: list[dict[str, set[int]]] = []

    def _look(self) -> None:
        while not self._stop.is_set():
            if found := shared(self._root, self._port):
                self.shared.append(found)
            self.looks += 1
            self.most = max(self.most, len(holders(self._root, self._port)))
            time.sleep(0.01)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def ask(port: int, number: int) -> int:
    """One request; the answering process."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", f"/{number}")
        response = connection.getresponse()
        assert response.status == 200, response.read()
        process, doubled = map(int, response.read().split())
    finally:
        connection.close()
    assert doubled == 2 * number
    return process


def ask_until_it_answers(port: int) -> None:
    """Wait for the first answer."""

    def answers() -> bool:
        try:
            return ask(port, 1) > 0
        except OSError:
            return False

    wait_until(answers, 30)


def load(port: int, requests: int, answered: Counter[int]) -> None:
    """Four clients at once. A client's failure, unhandled in its thread, fails the test."""

    def client(first: int) -> None:
        for number in range(first, requests, 4):
            process = ask(port, number)
            with lock:
                answered[process] += 1

    lock = threading.Lock()
    threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


GUNICORN = [
    ("sync", "", "unused"),
    ("sync", "--preload", "unused"),
    ("sync", "--preload", "used"),
    ("gthread --threads 4", "", "unused"),
    ("gthread --threads 4", "--preload", "used"),
]


@pytest.mark.parametrize(("worker", "preload", "used"), GUNICORN)
def test_gunicorn(
    own_server: OwnServer,
    tmp_path: Path,
    tally: Tally,
    full: bool,
    worker: str,
    preload: str,
    used: str,
) -> None:
    if not full and (preload, used) != ("--preload", "used"):
        pytest.skip("make test/reliability tries it")
    (tmp_path / "application.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-w", "2"]
    command += ["-k", *worker.split(), *preload.split(), "application:app"]
    answered: Counter[int] = Counter()
    requests = 400 if full else 100
    with (
        running(command, tmp_path, with_password(own_server), {"USED": used}) as process,
        Watch(process.pid, own_server.port) as watch,
    ):
        ask_until_it_answers(port)
        load(port, requests, answered)
        first = set(answered)
        kept = held_by(process.pid, own_server.port)
        assert len(kept) == (used == "used")
        for worker_pid in first:
            os.kill(worker_pid, signal.SIGKILL)
        wait_until(lambda: not first & set(children(process.pid)), 20)
        ask_until_it_answers(port)
        load(port, requests, answered)
        assert len(first) == 2, "one worker has answered everything"
        assert len(set(answered) - first) == 2
        # Two generations of children later the parent has its own connection, as before.
        assert held_by(process.pid, own_server.port) == kept
        wait_until(lambda: watch.looks > 3, 30)
    assert watch.shared == []
    assert watch.most >= 2
    wait_until(lambda: connections() == 0)
    what = f"gunicorn, {worker.split()[0]}, {preload[2:] or 'no preload'}, {used} before the fork"
    tally.add(f"{what}: requests", sum(answered.values()), "all right; no socket shared")


@pytest.mark.parametrize("used", ["unused", "used"])
def test_celery(own_server: OwnServer, tmp_path: Path, tally: Tally, full: bool, used: str) -> None:
    if not full and used == "unused":
        pytest.skip("make test/reliability tries it")
    with scope():
        db(alias="admin").execute("DROP TABLE IF EXISTS done, ended")
        db(alias="admin").execute("CREATE TABLE done (number int, doubled int, process int)")
        db(alias="admin").execute("CREATE TABLE ended (number int)")
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "room").mkdir()
    variables = {"ROOM": str(tmp_path / "room"), "USED": used}
    url = with_password(own_server)
    environment = {**os.environ, "DATABASE_URL": url, **variables}
    subprocess.run([sys.executable, "tasks.py"], cwd=tmp_path, env=environment, check=True)

    def count() -> int:
        with scope():
            number: int = db(alias="admin").query_value("SELECT count(*) FROM ended")
        return number

    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-P", "prefork", "-c", "2"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING"]
    with (
        running(command, tmp_path, url, {**variables, "WORKER": "1"}) as process,
        Watch(process.pid, own_server.port) as watch,
    ):
        wait_until(lambda: count() == 32, 60)
        wait_until(lambda: watch.looks > 3 and watch.most > 0, 30)
    assert watch.shared == []
    with scope():
        rows = db(alias="admin").query("SELECT * FROM done ORDER BY number")
    # Each once, and what the failing ones did is undone.
    assert [row["number"] for row in rows] == [n for n in range(1, 41) if n % 5]
    assert all(row["doubled"] == 2 * row["number"] for row in rows)
    assert len({row["process"] for row in rows}) > 2  # children are replaced after 8 tasks
    wait_until(lambda: connections() == 0)
    tally.add(f"Celery prefork, {used} before the fork: tasks", 40, "all right; no socket shared")
