"""The example applications over HTTP, on each server that they are used with."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from support import wait_until
from web.serving import RESTARTING, SERVERS, Client, serving

from examples import bank
from hypern.database import db, scope

ACCOUNTS = 10
START = Decimal(100)


@pytest.fixture
def bank_url(configured: str) -> str:
    """The URL of a database with the examples' table, empty."""
    bank.create_tables()
    with scope():
        db().execute("TRUNCATE accounts RESTART IDENTITY")
    return configured


def connections() -> int:
    """How many connections the examples have."""
    with scope():
        number: int = db().query_value(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'example' AND datname = current_database()
            """
        )
    return number


def balances() -> list[Decimal]:
    """What is in each account."""
    with scope():
        return [row["balance"] for row in db().query("SELECT balance FROM accounts ORDER BY id")]


@pytest.mark.parametrize("name", SERVERS)
def test_an_example_keeps_its_promises_over_http(name: str, bank_url: str, tmp_path: Path) -> None:
    with (
        serving(name, bank_url, tmp_path / "log") as server,
        Client(server.port) as client,
    ):
        ann, bob = client.open_account("100.50"), client.open_account("0")
        assert client.balance(ann) == "100.50"
        assert client.transfer(ann, bob, "30.25") == 200
        assert client.transfer(ann, bob, "1000") == 409
        assert client.transfer(ann, 999, "10") == 404
        assert client.request("GET", "/accounts/999")[0] == 404
        assert client.request("GET", "/lines") == (200, "1 70.25\n2 30.25\n")
        assert balances() == [Decimal("70.25"), Decimal("30.25")]
    wait_until(lambda: connections() == 0)


@pytest.mark.parametrize("name", SERVERS)
def test_money_is_conserved_under_load_whatever_happens(
    name: str, bank_url: str, tmp_path: Path
) -> None:
    counts: Counter[int | str] = Counter()
    wrong: list[object] = []
    stop = threading.Event()

    def load(port: int, seed: int) -> None:
        with Client(port) as client:
            go_on(client, random.Random(seed))

    def go_on(client: Client, chance: random.Random) -> None:
        while not stop.is_set():
            source, target = chance.sample(range(1, ACCOUNTS + 1), 2)
            kind = chance.choice(["move", "move", "too much", "nowhere", "read", "lines"])
            try:
                if kind == "read":
                    Decimal(client.balance(source))
                elif kind == "lines":
                    status, text = client.request("GET", "/lines")
                    assert (status, len(text.splitlines())) == (200, ACCOUNTS)
                else:
                    amount = "100000" if kind == "too much" else str(chance.randint(1, 30))
                    status = client.transfer(source, 999 if kind == "nowhere" else target, amount)
                    expected = {"move": (200, 409), "too much": (409,), "nowhere": (404, 409)}
                    assert status in expected[kind], (kind, status)
                    counts[status] += 1
            except OSError:
                counts["cut off"] += 1
            except Exception as error:
                wrong.append((kind, repr(error)))
                return

    with (
        serving(name, bank_url, tmp_path / "log") as server,
        Client(server.port) as client,
    ):
        for _ in range(ACCOUNTS):
            client.open_account(str(START))
        threads = [threading.Thread(target=load, args=(server.port, n)) for n in range(6)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        if name in RESTARTING:
            for worker in server.workers()[:2]:
                os.kill(worker, signal.SIGKILL)
                time.sleep(0.7)
        time.sleep(0.5)
        stop.set()
        for thread in threads:
            thread.join()
        if name in RESTARTING:
            wait_until(lambda: len(server.workers()) >= 2)
        else:
            assert counts["cut off"] == 0
        with Client(server.port) as anew:
            assert anew.request("GET", "/accounts/1")[0] == 200
    assert wrong == [], (tmp_path / "log").read_text()[-5000:]
    assert min(counts[200], counts[404], counts[409]) > 0, counts
    assert sum(balances()) == ACCOUNTS * START
    assert "Traceback" not in (tmp_path / "log").read_text()
    wait_until(lambda: connections() == 0)
