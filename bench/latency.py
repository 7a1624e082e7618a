"""How long coroutines wait for what awaited sessions do: for the first row of a stream, and for the
event loop while long results are fetched. Each loop is measured in a process of its own.

**First row**: the server puts its clock into each row when it makes it, and the client reads the
same clock when it has the first one. That is more than what is promised, the time since the server
*sent* it: the server sends once 8 KiB of rows are made.

**Loop**: a ticker sleeps for a millisecond again and again while tasks fetch long results; it is
late by what `asyncio.sleep(0.001)` takes beyond that. Beside it is said how much processor time the
thread had between two ticks, and how long Python's garbage collector took at most: on a busy
machine only these tell what the library does. Garbage is collected once before, so that Python
counts as it does in a process that has run for a while; and results are kept until the ticker has
stopped: to let go of a list of 100,000 dicts takes milliseconds, which are the caller's.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Mapping
from time import perf_counter, thread_time
from typing import Any

from bench import report
from bench.scenarios import ALL_ROWS, SIX
from bench.workers import Server, in_process

LOOPS = ("asyncio", "uvloop")
TASKS = 8
TICK = 0.001
FIRST_ROW_GOAL = 0.002
LATE_GOAL = 0.005
MADE = f"SELECT clock_timestamp() AS made, {SIX} FROM items"


async def first_row() -> float:
    """Seconds from the server making the first of 100,000 rows until it is here."""
    from hypern.database import adb

    async with adb().stream(MADE) as rows:
        async for row in rows:
            return time.time() - float(row["made"].timestamp())
    raise LookupError("a stream without rows")


class Ticker:
    """How late each tick was, and the thread's processor time since the one before."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.computed: list[float] = []
        self.stopped = False

    async def run(self) -> None:
        while not self.stopped:
            began, used = perf_counter(), thread_time()
            await asyncio.sleep(TICK)
            self.late.append(max(perf_counter() - began - TICK, 0.0))
            self.computed.append(thread_time() - used)


class Collections:
    """How long Python's garbage collector takes, as gc.callbacks has it."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.began = 0.0

    def __call__(self, phase: str, _: Mapping[str, int]) -> None:
        if phase == "start":
            self.began = perf_counter()
        else:
            self.longest = max(self.longest, perf_counter() - self.began)


async def crowd(ticker: Ticker, collections: Collections) -> None:
    """Tasks that fetch long results at the same time, while the ticker runs."""
    from hypern.database import adb, scope

    async def fetch() -> list[dict[str, Any]]:
        async with scope():
            rows: list[dict[str, Any]] = await adb().query(ALL_ROWS)
            return rows

    gc.collect()
    gc.callbacks.append(collections)
    ticking = asyncio.ensure_future(ticker.run())
    kept = await asyncio.gather(*(fetch() for _ in range(TASKS)))
    ticker.stopped = True
    await ticking
    gc.callbacks.remove(collections)
    if any(len(rows) != 100_000 for rows in kept):
        raise LookupError("a result with rows missing")


async def connect() -> None:
    """Eight connections that know their statements."""
    from hypern.database import adb, scope

    async def one() -> None:
        async with scope():
            await adb().query(f"{ALL_ROWS} LIMIT 1")
            await adb().query_value("SELECT 1 FROM pg_sleep(0.05)")  # until each has its own

    await asyncio.gather(*(one() for _ in range(TASKS)))


async def one_loop(rounds: int) -> dict[str, Any]:
    from hypern.database import scope

    await connect()
    async with scope():
        await first_row()
        first = [await first_row() for _ in range(10 * rounds)]
    collections = Collections()
    late: list[float] = []
    computed: list[float] = []
    for _ in range(rounds):
        ticker = Ticker()
        await crowd(ticker, collections)
        late += ticker.late
        computed += ticker.computed
    first.sort()
    late.sort()
    return {
        "first row": {"median": quantile(first, 0.5), "worst": first[-1], "samples": len(first)},
        "late": {"99.9 %": quantile(late, 0.999), "worst": late[-1], "samples": len(late)},
        "computed": max(computed),
        "collected": collections.longest,
    }


def quantile(ordered: list[float], part: float) -> float:
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def measure(server: Server, rounds: int, tcp: bool) -> dict[str, Any]:
    url = server.url("hypern", tcp)
    return {loop: in_process("hypern", "bench.latency", loop, url, str(rounds)) for loop in LOOPS}


def figures(measured: dict[str, Any]) -> list[tuple[str, float, float | None]]:
    """The lines of a loop: what, seconds, and the goal where there is one."""
    first, late = measured["first row"], measured["late"]
    return [
        ("first row of a stream, median", first["median"], FIRST_ROW_GOAL),
        ("... the slowest", first["worst"], None),
        (f"ticker beside {TASKS} long results: late at most", late["worst"], LATE_GOAL),
        ("... 99.9 % of ticks", late["99.9 %"], None),
        ("... computed between two ticks, at most", measured["computed"], None),
        ("... collection of Python's garbage, at most", measured["collected"], None),
    ]


def text(result: dict[str, Any]) -> str:
    rows = []
    for lines in zip(*(figures(result[loop]) for loop in LOOPS), strict=True):
        what, _, goal = lines[0]
        cells = [f"{seconds * 1e3:.2f}" + missing(seconds, goal) for _, seconds, _ in lines]
        rows.append([what, *cells, "" if goal is None else f"{goal * 1e3:.0f}"])
    return report.table(["ms", *LOOPS, "goal"], rows)


def missing(seconds: float, goal: float | None) -> str:
    return " MISSED" if goal is not None and seconds > goal else ""


def missed(result: dict[str, Any]) -> list[str]:
    return [
        f"{what}, {loop}: {seconds * 1e3:.2f} ms > {goal * 1e3:.0f}"
        for loop in LOOPS
        for what, seconds, goal in figures(result[loop])
        if goal is not None and seconds > goal
    ]


def main() -> None:
    from hypern.database import Database

    kind, url, rounds = sys.argv[1:]
    Database.configure(url, max_size=TASKS)
    if kind == "uvloop":
        import uvloop

        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    print(json.dumps(loop.run_until_complete(one_loop(int(rounds)))))


if __name__ == "__main__":
    main()
