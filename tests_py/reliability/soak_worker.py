"""One process of the soak: threads that serve requests of every kind, and what it costs them."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.queues import Queue
from pathlib import Path

from hypern import _native, errors
from hypern.database import Database, db, scope

ALIAS = "soak"
ACCOUNTS = 100
OPENING = 10_000
_THREADS = 8
_MAX_SIZE = 5


@dataclass
class Report:
    """A worker's figures at one moment, counted from its start."""

    worker: int
    sample: int = 0
    requests: int = 0
    errors: int = 0
    committed: int = 0  # transfers reported done
    unknown: int = 0  # transfers whose COMMIT had no answer
    rss: int = 0  # kB
    descriptors: int = 0
    goroutines: int = 0
    threads: int = 0
    unexpected: list[str] = field(default_factory=list)


class _Worker:
    def __init__(self, number: int) -> None:
        self.report = Report(number)
        self.lock = threading.Lock()
        self.stop = threading.Event()

    def serve(self, thread: int) -> None:
        """Serve requests until the end."""
        chance = random.Random(self.report.worker * 1000 + thread)
        kinds: list[Callable[[random.Random, str], None]] = [
            *[self._transfer] * 6,
            *[_read] * 6,
            _rows,
            _violate,
            _abort,
            _many,
            _time_out,
            _forget,
        ]
        n = 0
        while not self.stop.is_set():
            n += 1
            failed = self._request(chance.choice(kinds), chance, f"{os.getpid()}-{thread}-{n}")
            with self.lock:
                self.report.requests += 1
                self.report.errors += failed

    def _request(
        self, kind: Callable[[random.Random, str], None], chance: random.Random, name: str
    ) -> bool:
        try:
            with scope(name):
                kind(chance, name)
        except (errors.ConnectionLost, errors.TransactionAborted):
            return True
        except Exception as error:
            with self.lock:
                self.report.unexpected.append(f"{kind.__name__}: {error!r}")
            return True
        return False

    def _transfer(self, chance: random.Random, name: str) -> None:
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
            with self.lock:
                self.report.unknown += 1
            raise
        with self.lock:
            self.report.committed += 1

    def sample(self) -> Report:
        """The figures now."""
        status = dict(
            line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines()
        )
        with self.lock:
            self.report.rss = int(status["VmRSS"].split()[0])
            self.report.threads = int(status["Threads"])
            self.report.descriptors = len(os.listdir("/proc/self/fd"))
            self.report.goroutines = json.loads(_native.debug())["goroutines"]
            taken = replace(self.report, unexpected=self.report.unexpected[:10])
            self.report.sample += 1
        return taken


def _read(chance: random.Random, name: str) -> None:
    money = db(alias=ALIAS).query_value("SELECT sum(balance)::bigint FROM accounts")
    assert money == ACCOUNTS * OPENING, money


def _rows(chance: random.Random, name: str) -> None:
    rows = db(alias=ALIAS).query("SELECT n, $1 AS text FROM generate_series(1, 500) n", [name])
    assert rows == [{"n": n, "text": name} for n in range(1, 501)]


def _violate(chance: random.Random, name: str) -> None:
    try:
        db(alias=ALIAS).execute("INSERT INTO accounts VALUES (1, 1)")
    except errors.UniqueViolation:
        return
    raise AssertionError("the same account twice")


def _abort(chance: random.Random, name: str) -> None:
    session = db(alias=ALIAS).begin()
    session.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 1")
    session.set_error()


def _many(chance: random.Random, name: str) -> None:
    rows = [[f"{name}-{n}", 0] for n in range(20)] + [[f"{name}-0", 0]]
    try:
        db(alias=ALIAS).execute_many("INSERT INTO transfers VALUES ($1, $2)", rows)
    except errors.UniqueViolation as error:
        if error.row == 20:
            return
        raise
    raise AssertionError("the same transfer twice")


def _time_out(chance: random.Random, name: str) -> None:
    try:
        db(alias=ALIAS).query("SELECT pg_sleep(30)", timeout=0.05)
    except (errors.QueryCanceled, errors.PoolTimeout):
        return
    raise AssertionError("it slept for half a minute in no time")


def _forget(chance: random.Random, name: str) -> None:
    """A request that leaves its litter to finalize."""
    session = db(alias=ALIAS)
    session.execute("SET work_mem = '1MB'")
    session.execute("CREATE TEMP TABLE litter AS SELECT 1 AS n")
    session.execute("PREPARE litter AS SELECT 1")


def work(url: str, number: int, seconds: float, samples: int, answers: Queue[Report]) -> None:
    """Work for some seconds, and report so many times."""
    Database.configure(
        url, alias=ALIAS, max_size=_MAX_SIZE, application_name=ALIAS, idle_timeout_secs=5
    )
    worker = _Worker(number)
    threads = [threading.Thread(target=worker.serve, args=(n,)) for n in range(_THREADS)]
    for thread in threads:
        thread.start()
    for _ in range(samples - 1):
        time.sleep(seconds / samples)
        answers.put(worker.sample())
    time.sleep(seconds / samples)
    worker.stop.set()
    for thread in threads:
        thread.join()
    answers.put(worker.sample())
    Database.close()
