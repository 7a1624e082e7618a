"""What memory, files and the first use cost, each measured in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

from bench import report
from bench.scenarios import ALL_ROWS
from bench.venvs import ROOT
from bench.worker import memory_of, resident
from bench.workers import Server, Worker, in_process

PEAK_GOAL = 1.1
FEW_ROWS, MANY_ROWS = 10_000, 1_000_000
STREAM_GOAL = 2**20
"""Bytes that a stream of many rows may take beyond what one of few takes."""
POOLS = 20


def same_list() -> list[dict[str, Any]]:
    """The rows of ALL_ROWS as plain Python would build them."""
    start = datetime(2026, 1, 1, 0, 0, 0, 123456)
    return [
        {
            "id": i,
            "name": f"item number {i}",
            "email": f"user{i}@example.com",
            "active": i % 2 == 0,
            "score": i * 1.25,
            "created_at": start + timedelta(minutes=i),
        }
        for i in range(1, 100_001)
    ]


def first_use(url: str) -> dict[str, Any]:
    """Seconds from nothing to a first row with our package, step by step, and a pool's memory."""
    start = perf_counter()
    from hypern.database import Database, db, finalize_db

    imported = perf_counter()
    Database.configure(url, max_size=2)
    configured = perf_counter()
    session = db("first")
    loaded = perf_counter()
    session.query_one("SELECT 1 AS one")
    answered = perf_counter()
    session.query_one("SELECT 1 AS one")
    again = perf_counter()
    finalize_db("first")

    before = resident("VmRSS")
    for i in range(POOLS):
        Database.configure(url, alias=f"pool {i}", max_size=2)
        db("idle", f"pool {i}").query_one("SELECT 1 AS one")
    finalize_db("idle")
    per_pool = (resident("VmRSS") - before) / POOLS
    Database.close()
    seconds = {
        "import": imported - start,
        "configure": configured - imported,
        "load the core": loaded - configured,
        "connect, first row": answered - loaded,
        "second row": again - answered,
    }
    return {"seconds": seconds, "idle pool": per_pool}


def streamed(url: str) -> dict[str, dict[str, int]]:
    """Peak memory of a stream by its kind and number of rows, once a connection, its buffers and
    the allocator's arenas are there.
    """
    from hypern.database import Database, adb, db, scope

    Database.configure(url, max_size=1)
    sql = f"{ALL_ROWS}, generate_series(1, 10) LIMIT $1"

    def blocking(rows: int) -> int:
        with scope():
            return sum(1 for _ in db().stream(sql, [rows]))

    async def awaited(rows: int) -> int:
        count = 0
        async with scope():
            async for _ in adb().stream(sql, [rows]):
                count += 1
        return count

    loop = asyncio.new_event_loop()

    def peak(kind: str, rows: int) -> int:
        def read() -> None:
            seen = blocking(rows) if kind == "blocking" else loop.run_until_complete(awaited(rows))
            if seen != rows:
                raise ValueError(f"a stream of {rows} rows, {kind}: {seen} came")

        return memory_of(read)["peak"]

    peaks = {}
    for kind in ("blocking", "awaited"):
        peak(kind, FEW_ROWS)
        peaks[kind] = {str(rows): peak(kind, rows) for rows in (FEW_ROWS, MANY_ROWS)}
    Database.close()
    loop.close()
    return peaks


def libraries() -> dict[str, int]:
    """Sizes of what gets loaded."""
    return {
        path.name: path.stat().st_size for path in sorted((ROOT / "python/hypern").glob("*.so"))
    }


def measure(server: Server, drivers: Sequence[str], tcp: bool) -> dict[str, Any]:
    plain = in_process("harness", "bench.memory", "list")
    peaks: dict[str, Any] = {"the same list in Python": plain}
    for driver in drivers:
        if driver not in ("floor", "psql"):  # they make no Python objects
            worker = Worker(driver, server.url(driver, tcp))
            peaks[driver] = json.loads(worker.ask("memory", ALL_ROWS))
            worker.stop()
    result: dict[str, Any] = {"rows": peaks}
    if "hypern" in drivers:
        url = server.url("hypern", tcp)
        result["first use"] = in_process("hypern", "bench.memory", "first", url)
        result["streams"] = in_process("hypern", "bench.memory", "streams", url)
        result["libraries"] = libraries()
    return result


def text(result: dict[str, Any]) -> str:
    plain = result["rows"]["the same list in Python"]["peak"]
    rows = []
    for name, memory in result["rows"].items():
        ratio = memory["peak"] / plain
        goal = PEAK_GOAL if name == "hypern" else float("inf")
        peak, held = report.size(memory["peak"]), report.size(memory["held"])
        rows.append([name, peak, held, report.verdict(ratio, goal)])
    heads = ["100,000 rows x 6", "peak", "held", "peak / the list"]
    parts = [report.table(heads, rows)]
    if "streams" in result:
        rows = []
        for kind, peaks in result["streams"].items():
            growth = grown(peaks)
            sizes = [report.size(peak) for peak in peaks.values()]
            said = report.size(growth) + (" MISSED" if growth > STREAM_GOAL else "")
            rows.append([kind, *sizes, said, report.size(STREAM_GOAL)])
        heads = ["peak of a stream", f"{FEW_ROWS:,} rows", f"{MANY_ROWS:,} rows", "growth", "goal"]
        parts.append(report.table(heads, rows))
    if "first use" in result:
        use = result["first use"]
        lines = [[step, f"{value * 1e3:.2f} ms"] for step, value in use["seconds"].items()]
        lines.append(["memory of an idle pool, one connection", report.size(use["idle pool"])])
        lines += [[name, report.size(octets)] for name, octets in result["libraries"].items()]
        parts.append(report.table(["first use, in a fresh process", ""], lines))
    return "\n\n".join(parts)


def grown(peaks: dict[str, int]) -> int:
    """What many rows take beyond few."""
    return peaks[str(MANY_ROWS)] - peaks[str(FEW_ROWS)]


def missed(result: dict[str, Any]) -> list[str]:
    over = []
    rows = result["rows"]
    if "hypern" in rows:
        ratio = rows["hypern"]["peak"] / rows["the same list in Python"]["peak"]
        if ratio > PEAK_GOAL:
            over.append(f"peak memory of 100,000 rows: {ratio:.2f} > {PEAK_GOAL}")
    for kind, peaks in result.get("streams", {}).items():
        if grown(peaks) > STREAM_GOAL:
            growth, goal = report.size(grown(peaks)), report.size(STREAM_GOAL)
            over.append(f"growth of a stream, {kind}: {growth} > {goal}")
    return over


def main() -> None:
    what, *url = sys.argv[1:]
    if what == "list":
        answer: Any = memory_of(same_list)
    else:
        answer = {"first": first_use, "streams": streamed}[what](*url)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
