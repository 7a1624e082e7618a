"""COPY of 100,000 rows x 6: against the peers, our other methods, and psql."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench import report
from bench.rounds import Figures, measure
from bench.scenarios import Scenario
from bench.workers import Worker

ROWS, FEW_ROWS = 100_000, 1_000
DRIVERS = ("psycopg3", "asyncpg", "psql", "hypern")

IN, IN_TEXT, IN_MANY = "rows in", "rows in, text format", "rows in by execute_many"
OUT, OUT_EACH, OUT_QUERY = "rows out as a list", "rows out one by one", "rows out by query"
IN_MADE = "rows in, made beforehand"
DATA_IN, DATA_OUT = "data in from a file", "data out into a file"
_WAYS = {  # whose, and the peers that have the same
    IN: ("hypern", ("psycopg3", "asyncpg")),
    IN_TEXT: ("psycopg3", ()),
    IN_MANY: ("hypern", ()),
    IN_MADE: ("hypern", ()),
    OUT: ("hypern", ("psycopg3",)),
    OUT_EACH: ("hypern", ("psycopg3",)),
    OUT_QUERY: ("hypern", ()),
    DATA_IN: ("hypern", ("psql",)),
    DATA_OUT: ("hypern", ("psql",)),
}


def scenario(way: str, quick: bool) -> Scenario:
    ours, peers = _WAYS[way]
    rows = FEW_ROWS if quick else ROWS
    title = f"{rows:,} {way}"
    return Scenario(
        f"copy {way}", title, "copy", (way,), 1.0, rows, peers=peers, floor=False, ours=ours
    )


def scenarios(quick: bool) -> list[Scenario]:
    return [scenario(way, quick) for way in _WAYS]


def run(
    workers: Mapping[str, Worker],
    quick: bool,
    rounds: int,
    seconds: float,
    progress: Callable[[str], None],
) -> Figures:
    taking_part = {d: w for d, w in workers.items() if d in DRIVERS}
    return measure(taking_part, scenarios(quick), rounds, seconds, progress)


def floor(figures: Figures, quick: bool) -> float | None:
    """What the server alone takes of copy_in, fed with data made beforehand, as a ratio."""
    ours, alone = (figures.median(scenario(way, quick), "hypern") for way in (IN, IN_MADE))
    return alone / ours if ours and alone else None


def ratios(figures: Figures, quick: bool) -> list[tuple[str, float, float]]:
    """What is compared, the ratio, and its goal."""

    def of(way: str, driver: str = "hypern") -> float | None:
        return figures.median(scenario(way, quick), driver)

    peers = {
        "psycopg3's write_row, binary": of(IN, "psycopg3"),
        "psycopg3's write_row, text": of(IN_TEXT, "psycopg3"),
        "asyncpg's copy_records_to_table": of(IN, "asyncpg"),
    }
    found = {peer: seconds for peer, seconds in peers.items() if seconds}
    best = min(found, key=found.__getitem__, default="")
    compared = [
        (f"copy_in / {best}", of(IN), found.get(best), 0.6),
        ("copy_in / execute_many", of(IN), of(IN_MANY), 0.25),
        ("copy_out one by one / query", of(OUT_EACH), of(OUT_QUERY), 0.8),
        ("copy_out as a list / query", of(OUT), of(OUT_QUERY), 0.8),
        ("copy_in_raw / psql's \\copy", of(DATA_IN), of(DATA_IN, "psql"), 1.15),
        ("copy_out_raw / psql's \\copy", of(DATA_OUT), of(DATA_OUT, "psql"), 1.15),
    ]
    return [(what, a / b, goal) for what, a, b, goal in compared if a and b]


def text(figures: Figures, quick: bool) -> str:
    rows = [
        [s.title, *(report.duration(figures.median(s, driver)) for driver in DRIVERS)]
        for s in scenarios(quick)
    ]
    compared = [[what, report.verdict(ratio, goal)] for what, ratio, goal in ratios(figures, quick)]
    if alone := floor(figures, quick):
        compared.append(["the server alone / copy_in", f"{alone:.2f}"])
    return "\n\n".join(
        [
            report.table(["us, or as said", *DRIVERS], rows),
            report.table(["COPY", "ratio"], compared),
        ]
    )


def missed(figures: Figures, quick: bool) -> list[str]:
    return [
        f"{what}: {ratio:.2f} > {goal:.2f}"
        for what, ratio, goal in ratios(figures, quick)
        if ratio > goal
    ]
