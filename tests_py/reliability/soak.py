"""A soak: reads, transactions, errors, timeouts and killed backends; 4 processes of 8 threads, one
of which runs an event loop with requests that are awaited.

`python -m reliability.soak SECONDS`, in tests_py, prints the figures and ends with status 1 if
money was lost, a commit that was reported is missing, an error came that nothing explains, some
kind of request never succeeded, or memory, descriptors, goroutines or server connections have
grown. Ten minutes and more are noted in docs/reliability.md.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.queues import Queue

from reliability.grid import Grid
from reliability.own_server import OwnServer
from reliability.soak_report import ACCOUNTS, ALIAS, OPENING, Report
from reliability.soak_worker import MAX_SIZE, work

from hypern.database import Database, db, scope

PROCESSES = 4
KILL_EVERY = 0.5
SAMPLES = 20  # reports of each worker
KINDS = 13  # of requests, eight blocking and five awaited
NOTED = 600.0  # seconds from which on a run is noted in docs/reliability.md
FIGURES = Grid("soak", "")
SLACK = {"rss": 4096, "descriptors": 8, "goroutines": 20, "threads": 6}

_SCHEMA = f"""
CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL);
INSERT INTO accounts SELECT n, {OPENING} FROM generate_series(1, {ACCOUNTS}) n;
CREATE TABLE transfers (id text PRIMARY KEY, amount int NOT NULL)
"""

_KILL_ONE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1
ORDER BY random() LIMIT 1
"""

_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"


@dataclass
class Server:
    """What was seen of the server."""

    killed: int = 0
    most_connections: int = 0


def watch(seconds: float) -> Server:
    """Kill a backend now and then, and count connections."""
    seen = Server()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(KILL_EVERY * random.uniform(0.5, 1.5))
        with scope():
            count = db().query_value(_CONNECTIONS, [ALIAS])
            seen.most_connections = max(seen.most_connections, count)
            seen.killed += db().execute(_KILL_ONE, [ALIAS])
    return seen


def soak(url: str, seconds: float) -> tuple[list[Report], Server]:
    """Let the workers work; their reports in order of time."""
    context = multiprocessing.get_context("spawn")
    answers: Queue[Report] = context.Queue()
    arguments = [(url, n, seconds, SAMPLES, answers) for n in range(PROCESSES)]
    workers = [context.Process(target=work, args=a) for a in arguments]
    for worker in workers:
        worker.start()
    server = watch(seconds)
    reports = [answers.get(timeout=60) for _ in range(PROCESSES * SAMPLES)]
    for worker in workers:
        worker.join(60)
    if any(worker.exitcode != 0 for worker in workers):
        sys.exit(f"soak: the workers ended with {[worker.exitcode for worker in workers]}")
    return reports, server


def grown(name: str, reports: list[Report], slack: float) -> str | None:
    """A sentence if a figure of some worker has grown since the first quarter of the time."""
    for worker in range(PROCESSES):
        figures = [getattr(r, name) for r in reports if r.worker == worker]
        early, late = figures[SAMPLES // 4 : SAMPLES // 2], figures[-SAMPLES // 4 :]
        if min(late) > max(early) + slack:
            return f"{name} of worker {worker} has grown: {figures}"
    return None


def books(reports: list[Report], server: Server) -> tuple[list[str], int]:
    """What does not agree between the workers' reports and the ledger, and its transfers."""
    with scope():
        money = db().query_value("SELECT sum(balance)::bigint FROM accounts")
        kept = db().query_value("SELECT count(*) FROM transfers")
        left = db().query_value(_CONNECTIONS, [ALIAS])
    last = [r for r in reports if r.sample == SAMPLES - 1]
    told = sum(r.committed for r in last)
    unknown = sum(r.unknown for r in last)
    wrong = []
    if money != ACCOUNTS * OPENING:
        wrong.append(f"money: {ACCOUNTS * OPENING} before, {money} after")
    if not told <= kept <= told + unknown:
        wrong.append(f"{told} commits reported, {unknown} unknown, {kept} in the ledger")
    if left:
        wrong.append(f"{left} server connections are left")
    # For a moment a killed backend is still there beside the one that replaces it.
    if server.most_connections > PROCESSES * (MAX_SIZE + 1):
        wrong.append(f"{server.most_connections} server connections at once")
    if not server.killed or not sum(r.errors for r in last):
        wrong.append("no backend was killed, or nobody noticed: nothing has been tried")
    kinds = sum((r.kinds for r in last), Counter[str]())
    if len(kinds) != KINDS:
        wrong.append(f"of {KINDS} kinds of requests only these have succeeded: {kinds}")
    wrong += [text for r in last for text in r.unexpected]
    print(", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items())))
    print(f"{told:,} transfers reported done, {unknown} lost in COMMIT, {kept:,} in the ledger")
    print(f"money: {ACCOUNTS * OPENING:,} before, {money:,} after")
    return wrong, kept


def show(reports: list[Report], server: Server) -> None:
    """Print the figures of each worker: at first, in the middle, at the end."""
    print("worker  sample  requests   errors  RSS kB  descriptors  goroutines  threads")
    for worker in range(PROCESSES):
        mine = [r for r in reports if r.worker == worker]
        for r in (mine[0], mine[SAMPLES // 2], mine[-1]):
            print(
                f"{r.worker:6}  {r.sample + 1:6}  {r.requests:8,}  {r.errors:7,}  {r.rss:6,}"
                f"  {r.descriptors:11}  {r.goroutines:10}  {r.threads:7}"
            )
    print(f"{server.killed} backends killed; at most {server.most_connections} connections")


def note(reports: list[Report], server: Server, kept: int) -> None:
    """Put the figures into docs/reliability.md."""
    last = [r for r in reports if r.sample == SAMPLES - 1]
    first = [r for r in reports if r.sample == SAMPLES // 4]
    growth = max(b.rss - a.rss for a, b in zip(first, last, strict=True))

    def span(name: str, unit: float = 1) -> str:
        figures = sorted(getattr(r, name) / unit for r in last)
        low, high = (f"{x:.1f}" if unit != 1 else f"{x:.0f}" for x in (figures[0], figures[-1]))
        return low if low == high else f"{low} to {high}"

    figures = {
        "requests": f"{sum(r.requests for r in last):,}",
        "transfers reported done; those in the ledger": (
            f"{sum(r.committed for r in last):,}; {kept:,}"
        ),
        "COMMITs without an answer": f"{sum(r.unknown for r in last):,}",
        "backends killed": f"{server.killed:,}",
        f"server connections at most, with four pools of {MAX_SIZE}": str(server.most_connections),
        "memory of a process, its growth after the first quarter": (
            f"{span('rss', 1000)} MB, {growth / 1000:+.1f} MB at most"
        ),
        "descriptors, goroutines, threads of a process": (
            f"{span('descriptors')}, {span('goroutines')}, {span('threads')}"
        ),
    }
    for name, figure in figures.items():
        FIGURES.keep(name, "in ten minutes", figure)


def main() -> int:
    seconds = float(sys.argv[1])
    server = OwnServer()
    try:
        Database.configure(server.admin, max_size=2, application_name="soak watch")
        with scope():
            for statement in _SCHEMA.split(";"):
                db().execute(statement)
        reports, seen = soak(server.admin, seconds)
        reports.sort(key=lambda r: (r.worker, r.sample))
        show(reports, seen)
        wrong, kept = books(reports, seen)
        wrong += [why for name in SLACK if (why := grown(name, reports, SLACK[name])) is not None]
        Database.close()
        if seconds >= NOTED and not wrong:
            note(reports, seen, kept)
    finally:
        server.remove()
    print("\n".join(wrong) or "nothing lost, nothing grown")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
