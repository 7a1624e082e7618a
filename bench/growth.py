"""How cost grows: with rows, columns, threads, connections, the statement's length, and the
number of distinct statements. Goals are not set here; a bend in a curve is what to look for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench import report
from bench.rounds import Figures, measure
from bench.scenarios import BY_KEY, Scenario
from bench.workers import Worker

PEERS = ("psycopg3", "asyncpg")


def by_rows(rows: int) -> Scenario:
    # Text and numbers made by the server: the table of items ends at 100,000.
    sql = f"SELECT i AS id, 'item number ' || i AS name FROM generate_series(1, {rows}) AS i"
    return Scenario(f"rows {rows}", f"{rows:,} rows", "all", (sql,), 1.0, rows=rows)


def by_columns(columns: int) -> Scenario:
    names = ", ".join(f"i + {n} AS column_{n}" for n in range(columns))
    sql = f"SELECT {names} FROM generate_series(1, 100) AS i"
    return Scenario(f"columns {columns}", f"{columns} columns x 100 rows", "all", (sql,), 1.0)


def by_threads(threads: int) -> Scenario:
    title = f"{threads} threads or tasks on 8 connections"
    return Scenario(f"threads {threads}", title, "crowd", (BY_KEY,), 1.0, threads, 8, floor=False)


def by_connections(connections: int) -> Scenario:
    title = f"16 threads or tasks on {connections} connections"
    key = f"connections {connections}"
    return Scenario(key, title, "crowd", (BY_KEY,), 1.0, 16, connections, floor=False)


def by_length(length: int) -> Scenario:
    sql = f"SELECT 1 AS one /* {'x' * length} */"
    return Scenario(f"length {length}", f"a statement of {length:,} bytes", "one", (sql,), 1.0)


def by_statements(count: int) -> Scenario:
    sql = tuple(f"SELECT {n} AS n" for n in range(count))
    title = f"{count:,} distinct statements in turn"
    return Scenario(f"statements {count}", title, "one", sql, 1.0, floor=False)


CURVES: tuple[tuple[str, Callable[[int], Scenario], tuple[int, ...]], ...] = (
    ("rows (us per row)", by_rows, (100, 1_000, 10_000, 100_000, 1_000_000)),
    ("columns", by_columns, (1, 3, 10, 30, 100)),
    ("threads", by_threads, (1, 4, 16, 64)),
    ("connections", by_connections, (1, 2, 4, 8, 16, 32)),
    ("statement length", by_length, (10, 100, 1_000, 10_000, 100_000)),
    ("distinct statements", by_statements, (1, 10, 100, 300, 1_000, 3_000)),
)


def scenarios(quick: bool) -> list[Scenario]:
    """Quick: the curves' beginnings, enough to see that each works."""
    return [make(n) for _, make, points in CURVES for n in (points[:2] if quick else points)]


def run(
    workers: Mapping[str, Worker],
    quick: bool,
    rounds: int,
    seconds: float,
    progress: Callable[[str], None],
) -> Figures:
    taking_part = {d: w for d, w in workers.items() if d in (*PEERS, "hypern", "floor")}
    return measure(taking_part, scenarios(quick), rounds, seconds, progress)


def text(figures: Figures, drivers: Sequence[str], quick: bool) -> str:
    shown = [driver for driver in (*PEERS, "hypern", "floor") if driver in drivers]
    parts = []
    for title, make, points in CURVES:
        rows = []
        for point in points[:2] if quick else points:
            scenario = make(point)
            cells = [report.duration(figures.median(scenario, driver)) for driver in shown]
            rows.append([scenario.title, *cells])
        parts.append(report.table([f"by {title}", *shown], rows))
    return "\n\n".join(parts)
