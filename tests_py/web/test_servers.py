"""The example applications as they are served, under load, while what serves them is killed.

Each transfer carries a number of its client's, which its handler notes in the same transaction. So
it can be told what became of each: answered with success, it is there; raised, it is not; and all
that is there adds up. `make test/servers` (HYPERN_RELIABILITY=full) tries every server for longer
and keeps the table in docs/web-servers.md; without it a server of each kind is tried.
"""

from __future__ import annotations

import os
import time
from decimal import Decimal
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from support import wait_until
from web.load import ACCOUNTS, START, Load
from web.servers_page import Row, keep
from web.serving import Server, serving

from examples import bank
from hypern.database import db, scope

FULL = os.environ.get("HYPERN_RELIABILITY") == "full"
CLIENTS = 6
KILLS, SECONDS_BETWEEN = (6, 2.0) if FULL else (1, 0.5)


class Way(NamedTuple):
    """A way to serve.

    command: what follows `python`. when_killed: what is killed, and who starts it again.
    in_sample: bool, it is tried without HYPERN_RELIABILITY=full too.
    """

    command: str
    when_killed: Literal["worker, restarted", "worker, server ends", "server"]
    in_sample: bool = False


def _gunicorn(app: str, options: str) -> str:
    return f"-m gunicorn -w2 {options} -b 127.0.0.1:{{port}} web.served.{app}"


def _ways() -> dict[str, Way]:
    ways = {
        "Hypern, `app.start()`": Way("-m web.served.hypern_app", "server"),
        "Hypern, `app.start(workers=2)`": Way(
            "-m web.served.hypern_app", "worker, restarted", in_sample=True
        ),
        "Flask's own": Way(
            "-m flask --app web.served.flask_app run -p {port}", "server", in_sample=True
        ),
        "Django's runserver": Way(
            "-m web.served.django_app runserver --noreload 127.0.0.1:{port}", "server", True
        ),
        "FastAPI, uvicorn": Way("-m uvicorn --port {port} web.served.fastapi_app:app", "server"),
        "FastAPI, uvicorn --workers 2": Way(
            "-m uvicorn --workers 2 --port {port} web.served.fastapi_app:app",
            "worker, restarted",
            in_sample=True,
        ),
        "Django, uvicorn --workers 2": Way(
            "-m uvicorn --workers 2 --port {port} web.served.django_app:asgi_application",
            "worker, restarted",
        ),
        "FastAPI, hypercorn": Way(
            "-m hypercorn -b 127.0.0.1:{port} web.served.fastapi_app:app", "server"
        ),
        "Hypern, hypercorn --workers 2": Way(
            "-m hypercorn --workers 2 -b 127.0.0.1:{port} web.served.hypern_app:app",
            "worker, server ends",
        ),
        "Starlette, hypercorn --workers 2": Way(
            "-m hypercorn --workers 2 -b 127.0.0.1:{port} web.served.starlette_app:app",
            "worker, server ends",
            in_sample=True,
        ),
    }
    sync, gthread, uvicorn = "-k sync", "-k gthread --threads 4", "-k uvicorn_worker.UvicornWorker"
    for app, options in (
        ("flask_app:app", sync),
        ("flask_app:app", gthread),
        ("django_app:application", sync),
        ("django_app:application", gthread),
        ("django_app:asgi_application", uvicorn),
        ("fastapi_app:app", uvicorn),
        ("starlette_app:app", uvicorn),
    ):
        framework = {"f": "Flask", "d": "Django", "s": "Starlette"}[app[0]]
        framework = "FastAPI" if app.startswith("fastapi") else framework
        kind = options.split()[1].split("_")[0]
        for preload in ("", " --preload"):
            ways[f"{framework}, gunicorn {kind}{preload}"] = Way(
                _gunicorn(app, options + preload),
                "worker, restarted",
                in_sample=bool(preload) and (framework, kind) in _SAMPLE,
            )
    return ways


_SAMPLE = (("Flask", "sync"), ("Django", "gthread"), ("FastAPI", "uvicorn"))
WAYS = _ways()


@pytest.fixture
def bank_url(configured: str) -> str:
    """The URL of a database with the examples' table, and one for the numbers of moves; empty."""
    bank.create_tables()
    with scope():
        db().execute("TRUNCATE accounts RESTART IDENTITY")
        db().execute("DROP TABLE IF EXISTS moves")
        db().execute(
            "CREATE TABLE moves (number text PRIMARY KEY, source int, target int, amount numeric)"
        )
        db().execute_many(
            "INSERT INTO accounts (name, balance) VALUES ($1, $2)", [["Ann", START]] * ACCOUNTS
        )
    return configured


def connections(state: str = "%") -> int:
    """How many connections the server has of the examples, in a state."""
    with scope():
        number: int = db().query_value(
            """
            SELECT count(*) FROM pg_stat_activity WHERE application_name = 'example'
            AND datname = current_database() AND coalesce(state, '') LIKE $1
            """,
            [state],
        )
    return number


def kill(server: Server, way: Way) -> None:
    """Kill a worker, or the server where it has none, and have it serve again."""
    if way.when_killed == "worker, restarted":
        server.kill_a_worker()
        wait_until(lambda: len(server.workers()) >= 2, 20)
    elif way.when_killed == "worker, server ends":
        server.kill_a_worker()
        server.process.wait(30)  # by itself; its status may even be 0
        server.start()
    else:
        server.kill()
        server.start()


def check(load: Load, log: str) -> Decimal:
    """Everybody was told the truth, and the money is all there. How much is missing."""
    assert load.wrong == [], log[-5000:]
    with scope():
        noted = {row["number"] for row in db().query("SELECT number FROM moves")}
        wrong_accounts = db().query(
            """
            SELECT id, balance FROM accounts a WHERE balance <> $1
                + (SELECT coalesce(sum(amount), 0) FROM moves WHERE target = a.id)
                - (SELECT coalesce(sum(amount), 0) FROM moves WHERE source = a.id)
            """,
            [START],
        )
        total: Decimal = db().query_value("SELECT sum(balance) FROM accounts")
    assert load.committed - noted == set(), "told of success, and not there"
    assert load.undone & noted == set(), "the handler raised, and it is there"
    assert noted - load.committed - load.unknown == set(), "there, and nobody asked for it"
    assert wrong_accounts == []
    missing = ACCOUNTS * START - total
    assert missing == 0
    # Each exception in the log is one that was asked for, in as many tracebacks as it has, or says
    # what it has cost a request whose handler had swallowed a failed statement.
    expected = (
        "AskedForError: undone",
        "hypern.errors.CheckViolation",
        "hypern.errors.TransactionAborted: nothing that request",
    )
    for report in log.split("Traceback (most recent call last)")[1:]:
        assert any(text in report for text in expected), log[-5000:]
    assert min(len(load.committed), load.rolled_back) > 0
    return missing


@pytest.mark.parametrize("name", WAYS)
def test_everybody_is_told_the_truth_whatever_is_killed(
    name: str, bank_url: str, tmp_path: Path
) -> None:
    way = WAYS[name]
    if not (FULL or way.in_sample):
        pytest.skip("make test/servers tries it")
    variables = {"WORKERS": "2" if "worker" in way.when_killed else "1"}
    log = tmp_path / "log"
    with serving(way.command, bank_url, log, **variables) as server:
        with Load(server.port, CLIENTS, can_await="flask" not in way.command) as load:
            for _ in range(KILLS):
                time.sleep(SECONDS_BETWEEN)
                with load.trouble():
                    kill(server, way)
            time.sleep(SECONDS_BETWEEN)
        # The requests are over, the server is not: nothing is held.
        wait_until(lambda: connections("idle in transaction%") == connections("active") == 0)
    wait_until(lambda: connections() == 0)
    missing = check(load, log.read_text())
    if FULL:
        killed = f"{KILLS} x {way.when_killed}"
        row = (load.answered, len(load.committed), load.rolled_back, load.cut_off, killed)
        keep(Row(name, *row, connections(), missing), list(WAYS))
