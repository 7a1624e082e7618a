"""SQLAlchemy on hypern against SQLAlchemy on its usual drivers, blocking and asynchronous."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from bench import report
from bench.rounds import Figures, measure
from bench.scenarios import Scenario
from bench.workers import Server, Worker

GOAL = 0.85
BLOCKING = ("psycopg2", "psycopg", "hypern")
AWAITED = ("asyncpg", "psycopg_async", "hypern_async")
WORK = (
    ("statement", "Core: select by key"),
    ("core", "Core: check out, select by key, close"),
    ("load", "ORM: load 100 objects"),
    ("unit", "ORM: 50 inserts, 50 updates, commit"),
)
SCENARIOS = tuple(
    Scenario(
        f"orm {word}{suffix}",
        f"{title}{suffix}",
        "orm",
        (word,),
        GOAL,
        peers=drivers[:-1],
        floor=False,
        ours=drivers[-1],
    )
    for suffix, drivers in (("", BLOCKING), (", async", AWAITED))
    for word, title in WORK
)


@contextlib.contextmanager
def running(server: Server) -> Iterator[dict[str, Worker]]:
    """A worker for each driver, in one environment."""
    with contextlib.ExitStack() as stack:
        workers = {}
        for driver in (*BLOCKING, *AWAITED):
            url = _url(server, driver)
            workers[driver] = Worker("orm", url)
            stack.callback(workers[driver].stop)
        yield workers


def _url(server: Server, driver: str) -> str:
    return server.url(driver, tcp=False).replace("postgresql://", f"postgresql+{driver}://", 1)


def run(server: Server, rounds: int, seconds: float, progress: Callable[[str], None]) -> Figures:
    with running(server) as workers:
        return measure(workers, SCENARIOS, rounds, seconds, progress)


def text(figures: Figures) -> str:
    """A table for blocking engines, one for asynchronous ones."""
    tables = []
    for drivers in (BLOCKING, AWAITED):
        rows = []
        for scenario in (s for s in SCENARIOS if s.ours == drivers[-1]):
            ours, best = figures.median(scenario, scenario.ours), figures.best_peer(scenario)
            assert ours is not None
            assert best is not None
            rows.append(
                [
                    scenario.title,
                    *(report.duration(figures.median(scenario, driver)) for driver in drivers),
                    best[0],
                    report.verdict(ours / best[1], GOAL),
                ]
            )
        tables.append(report.table(["us", *drivers, "best peer", "ours / best"], rows))
    return "\n\n".join(tables)


def missed(figures: Figures) -> list[str]:
    return report.missed(figures, SCENARIOS)
