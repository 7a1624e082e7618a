"""Rows of classes: each against our own dicts, and against the fastest way that a peer has to the
same class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench import report
from bench.rounds import Figures, measure
from bench.scenarios import ALL_ROWS, BINARY_PEERS, Scenario
from bench.workers import Worker

ROWS = (1_000, 100_000)
# What ours may take, as a ratio to our dicts and to the best peer.
GOALS: dict[str, tuple[float | None, float | None]] = {
    "tuple": (0.9, None),
    "namedtuple": (1.25, 0.6),
    "dataclass": (1.25, 0.6),
    "struct": (1.25, 0.6),
}
MODEL_GOAL = 1.05  # of `[Model.model_validate(row) for row in rows]`


def scenario(word: str, rows: int) -> Scenario:
    """dict: as the main table has it. validated: dicts that the caller makes models of."""
    sql = ALL_ROWS if rows == ROWS[-1] else f"{ALL_ROWS} LIMIT {rows}"
    key, title = f"shape {word} {rows}", f"{rows:,} rows x 6, {word}"
    if word == "dict":
        return Scenario(key, title, "all", (sql,), 1.0, peers=(), floor=False)
    peers = () if word == "validated" else BINARY_PEERS
    return Scenario(key, title, "into", (sql, word), 1.0, peers=peers, floor=False)


def scenarios(quick: bool) -> list[Scenario]:
    words = ("dict", *GOALS, "pydantic", "validated")
    return [scenario(word, rows) for rows in (ROWS[:1] if quick else ROWS) for word in words]


def run(
    workers: Mapping[str, Worker],
    quick: bool,
    rounds: int,
    seconds: float,
    progress: Callable[[str], None],
) -> Figures:
    taking_part = {d: w for d, w in workers.items() if d in (*BINARY_PEERS, "hypern")}
    return measure(taking_part, scenarios(quick), rounds, seconds, progress)


def ratios(figures: Figures, quick: bool) -> list[tuple[str, float, float]]:
    """What is compared, the ratio, and its goal."""
    found = []
    for rows in ROWS[:1] if quick else ROWS:

        def ours(word: str, rows: int = rows) -> float | None:
            return figures.median(scenario(word, rows), "hypern")

        for word, (of_dicts, of_peer) in GOALS.items():
            mine, dicts = ours(word), ours("dict")
            best = figures.best_peer(scenario(word, rows))
            if mine and dicts and of_dicts:
                found.append((f"{rows:,} rows, {word} / our dicts", mine / dicts, of_dicts))
            if mine and best and of_peer:
                found.append((f"{rows:,} rows, {word} / {best[0]}", mine / best[1], of_peer))
        mine, validated = ours("pydantic"), ours("validated")
        if mine and validated:
            what = f"{rows:,} rows, pydantic / model_validate of each dict"
            found.append((what, mine / validated, MODEL_GOAL))
    return found


def text(figures: Figures, quick: bool) -> str:
    shown = (*BINARY_PEERS, "hypern")
    rows = [
        [s.title, *(report.duration(figures.median(s, driver)) for driver in shown)]
        for s in scenarios(quick)
    ]
    compared = [[what, report.verdict(ratio, goal)] for what, ratio, goal in ratios(figures, quick)]
    return "\n\n".join(
        [report.table(["us, or as said", *shown], rows), report.table(["rows", "ratio"], compared)]
    )


def missed(figures: Figures, quick: bool) -> list[str]:
    return [
        f"{what}: {ratio:.2f} > {goal:.2f}"
        for what, ratio, goal in ratios(figures, quick)
        if ratio > goal
    ]
