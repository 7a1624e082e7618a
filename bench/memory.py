"""What memory, files and the first use cost, each measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

from bench import report
from bench.scenarios import ALL_ROWS
from bench.venvs import ROOT
from bench.worker import memory_of, resident
from bench.workers import Server, Worker, environment, python_command

PEAK_GOAL = 1.1
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


def in_process(driver: str, *arguments: str) -> Any:
    """Run this module's main in a process that has the driver's package."""
    command = python_command(driver, "bench.memory", *arguments)
    done = subprocess.run(
        command, cwd=ROOT, env=environment(driver), stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def libraries() -> dict[str, int]:
    """Sizes of what gets loaded."""
    return {
        path.name: path.stat().st_size for path in sorted((ROOT / "python/hypern").glob("*.so"))
    }


def measure(server: Server, drivers: Sequence[str], tcp: bool) -> dict[str, Any]:
    plain = in_process("harness", "list")
    peaks: dict[str, Any] = {"the same list in Python": plain}
    for driver in drivers:
        if driver != "floor":
            worker = Worker(driver, server.url(driver, tcp))
            peaks[driver] = json.loads(worker.ask("memory", ALL_ROWS))
            worker.stop()
    result: dict[str, Any] = {"rows": peaks}
    if "hypern" in drivers:
        result["first use"] = in_process("hypern", "first", server.url("hypern", tcp))
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
    if "first use" in result:
        use = result["first use"]
        lines = [[step, f"{value * 1e3:.2f} ms"] for step, value in use["seconds"].items()]
        lines.append(["memory of an idle pool, one connection", report.size(use["idle pool"])])
        lines += [[name, report.size(octets)] for name, octets in result["libraries"].items()]
        parts.append(report.table(["first use, in a fresh process", ""], lines))
    return "\n\n".join(parts)


def missed(result: dict[str, Any]) -> list[str]:
    rows = result["rows"]
    if "hypern" not in rows:
        return []
    ratio = rows["hypern"]["peak"] / rows["the same list in Python"]["peak"]
    over = ratio > PEAK_GOAL
    return [f"peak memory of 100,000 rows: {ratio:.2f} > {PEAK_GOAL}"] if over else []


def main() -> None:
    print(json.dumps(memory_of(same_list) if sys.argv[1] == "list" else first_use(sys.argv[2])))


if __name__ == "__main__":
    main()
