"""Ten point queries in a batch: against the same ten one by one, and against psycopg's pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench import report
from bench.rounds import Figures, measure
from bench.scenarios import BY_KEY, Scenario
from bench.workers import Worker

QUERIES = 10
DRIVERS = ("psycopg3", "hypern")
GOAL_ALONE, GOAL_PEER = 0.35, 0.7


def scenario(how: str) -> Scenario:
    peers = ("psycopg3",)
    title = f"{QUERIES} primary-key queries, {how}"
    return Scenario(
        f"batch {how}", title, "batch", (BY_KEY, how), 1.0, QUERIES, peers=peers, floor=False
    )


TOGETHER, APART = scenario("together"), scenario("one by one")


def run(
    workers: Mapping[str, Worker], rounds: int, seconds: float, progress: Callable[[str], None]
) -> Figures:
    taking_part = {d: w for d, w in workers.items() if d in DRIVERS}
    return measure(taking_part, [APART, TOGETHER], rounds, seconds, progress)


def ratios(figures: Figures) -> list[tuple[str, float, float]]:
    """What is compared, the ratio, and its goal."""
    found = []
    ours, alone = figures.median(TOGETHER, "hypern"), figures.median(APART, "hypern")
    best = figures.best_peer(TOGETHER)
    if ours and alone:
        found.append(("a batch / one by one", ours / alone, GOAL_ALONE))
    if ours and best:
        found.append((f"a batch / {best[0]}'s pipeline", ours / best[1], GOAL_PEER))
    return found


def text(figures: Figures) -> str:
    rows = [
        [s.title, *(report.duration(figures.median(s, driver)) for driver in DRIVERS)]
        for s in (APART, TOGETHER)
    ]
    compared = [[what, report.verdict(ratio, goal)] for what, ratio, goal in ratios(figures)]
    return "\n\n".join(
        [report.table(["us", *DRIVERS], rows), report.table(["batches", "ratio"], compared)]
    )


def missed(figures: Figures) -> list[str]:
    return [
        f"{what}: {ratio:.2f} > {goal:.2f}" for what, ratio, goal in ratios(figures) if ratio > goal
    ]
