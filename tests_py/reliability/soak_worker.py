"""One process of the soak: threads that serve requests of every kind, one with an event loop."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable
from multiprocessing.queues import Queue

from reliability.soak_awaited import serve_awaited
from reliability.soak_report import ACCOUNTS, ALIAS, OPENING, Ledger, Report

from hypern import errors
from hypern.database import Database, db, scope

MAX_SIZE = 5
_THREADS = 7  # and the event loop's

Kind = Callable[[Ledger, random.Random, str], None]


def serve(ledger: Ledger, thread: int) -> None:
    """Serve requests until the end."""
    chance = random.Random(thread)
    kinds: list[Kind] = [
        *[_transfer] * 6,
        *[_read] * 6,
        _rows,
        _violate,
        _abort,
        _many,
        _time_out,
        _forget,
    ]
    n = 0
    while not ledger.stop.is_set():
        n += 1
        kind, name = chance.choice(kinds), f"{os.getpid()}-{thread}-{n}"
        failure: Exception | None = None
        try:
            with scope(name):
                kind(ledger, chance, name)
        except Exception as error:
            failure = error
        ledger.served(kind.__name__.strip("_"), failure)


def _transfer(ledger: Ledger, chance: random.Random, name: str) -> None:
    source, target = chance.sample(range(1, ACCOUNTS + 1), 2)
    amount = chance.randint(1, 100)
    session = db(alias=ALIAS).begin()
    session.execute("INSERT INTO transfers VALUES ($1, $2)", [name, amount])
    # In one order, so that there is no deadlock.
    for account, change in sorted([(source, -amount), (target, amount)]):
        moved = session.execute(
            "UPDATE accounts SET balance = balance + $2 WHERE id = $1", [account, change]
        )
        assert moved == 1
    try:
        session.commit()
    except errors.ConnectionLost:
        ledger.lost_in_commit()
        raise
    ledger.committed()


def _read(ledger: Ledger, chance: random.Random, name: str) -> None:
    money = db(alias=ALIAS).query_value("SELECT sum(balance)::bigint FROM accounts")
    assert money == ACCOUNTS * OPENING, money


def _rows(ledger: Ledger, chance: random.Random, name: str) -> None:
    rows = db(alias=ALIAS).query("SELECT n, $1 AS text FROM generate_series(1, 500) n", [name])
    assert rows == [{"n": n, "text": name} for n in range(1, 501)]


def _violate(ledger: Ledger, chance: random.Random, name: str) -> None:
    try:
        db(alias=ALIAS).execute("INSERT INTO accounts VALUES (1, 1)")
    except errors.UniqueViolation:
        return
    raise AssertionError("the same account twice")


def _abort(ledger: Ledger, chance: random.Random, name: str) -> None:
    session = db(alias=ALIAS).begin()
    session.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 1")
    session.set_error()


def _many(ledger: Ledger, chance: random.Random, name: str) -> None:
    rows = [[f"{name}-{n}", 0] for n in range(20)] + [[f"{name}-0", 0]]
    try:
        db(alias=ALIAS).execute_many("INSERT INTO transfers VALUES ($1, $2)", rows)
    except errors.UniqueViolation as error:
        if error.row == 20:
            return
        raise
    raise AssertionError("the same transfer twice")


def _time_out(ledger: Ledger, chance: random.Random, name: str) -> None:
    try:
        db(alias=ALIAS).query("SELECT pg_sleep(30)", timeout=0.05)
    except (errors.QueryCanceled, errors.PoolTimeout):
        return
    raise AssertionError("it slept for half a minute in no time")


def _forget(ledger: Ledger, chance: random.Random, name: str) -> None:
    """A request that leaves its litter to finalize."""
    session = db(alias=ALIAS)
    session.execute("SET work_mem = '1MB'")
    session.execute("CREATE TEMP TABLE litter AS SELECT 1 AS n")
    session.execute("PREPARE litter AS SELECT 1")


def work(url: str, number: int, seconds: float, samples: int, answers: Queue[Report]) -> None:
    """Work for some seconds, and report so many times."""
    Database.configure(
        url, alias=ALIAS, max_size=MAX_SIZE, application_name=ALIAS, idle_timeout_secs=5
    )
    ledger = Ledger(number)
    threads = [threading.Thread(target=serve, args=(ledger, n)) for n in range(_THREADS)]
    threads.append(threading.Thread(target=lambda: asyncio.run(serve_awaited(ledger))))
    for thread in threads:
        thread.start()
    for _ in range(samples - 1):
        time.sleep(seconds / samples)
        answers.put(ledger.sample())
    time.sleep(seconds / samples)
    ledger.stop.set()
    for thread in threads:
        thread.join()
    answers.put(ledger.sample())
    Database.close()
