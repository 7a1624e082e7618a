"""A process that holds one driver and measures what it is told to.

Started as `python -m bench.worker MODULE URL`, with MODULE one of bench.drivers. The protocol is
lines of fields separated by tabs, one answer line ("ok ..." or "error ...") for each:

    define  key shape count connections sql...   prepare a scenario
    run     key loops                            answer seconds per operation
    rows    sql                                  answer the first row's column types, as JSON
    memory  sql                                  answer what fetching it costs in bytes, as JSON
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from bench.drivers.base import Driver, Timed


def resident(field: str) -> int:
    """Bytes of memory by /proc/self/status: VmRSS (now) or VmHWM (the peak)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def memory_of(build: Callable[[], object]) -> dict[str, int]:
    """What a list costs while it is built (peak) and while it is held."""
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    held = build()
    peak = resident("VmHWM") - before
    kept = resident("VmRSS") - before
    del held
    return {"peak": peak, "held": kept}


def timed(driver: Driver, shape: str, count: int, connections: int, sql: list[str]) -> Timed:
    match shape:
        case "one":
            return driver.one(sql, keyed=count > 0)
        case "all":
            return driver.all(sql[0])
        case "into":
            return driver.into(sql[0], sql[1])
        case "batch":
            return driver.batch(sql[0], sql[1] == "together", count)
        case "copy":
            return driver.copy(sql[0], count)
        case "orm":
            return driver.orm(sql[0])
        case "request":
            return driver.request(sql[0], sql[1], count, connections)
        case "many":
            return driver.many(sql[0], sql[1], count)
        case "crowd":
            return driver.crowd(sql[0], count, connections)
    raise ValueError(f"no such shape of work: {shape}")


class Worker:
    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.scenarios: dict[str, Timed] = {}

    def answer(self, fields: list[str]) -> str:
        match fields:
            case ["define", key, shape, count, connections, *sql]:
                self.scenarios[key] = timed(self.driver, shape, int(count), int(connections), sql)
                return ""
            case ["run", key, loops]:
                run = self.scenarios[key]
                run(int(loops) // 10)  # what other processes pushed out of the caches comes back
                return f"{run(int(loops)) / int(loops):.12f}"
            case ["rows", sql]:
                row = self.driver.rows(sql)[0]
                return json.dumps({name: type(value).__name__ for name, value in row.items()})
            case ["memory", sql]:
                self.driver.rows(sql + " LIMIT 10")  # connect and describe outside the figure
                return json.dumps(memory_of(lambda: self.driver.rows(sql)))
        raise ValueError(f"not a command: {fields}")


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not pass for an answer
    module = importlib.import_module(f"bench.drivers.{sys.argv[1]}")
    driver: Driver = module.driver(sys.argv[2])
    worker = Worker(driver)
    print("ok", file=answers)
    for line in sys.stdin:
        try:
            print("ok", worker.answer(line.rstrip("\n").split("\t")), file=answers)
        except Exception as failure:
            print("error", f"{type(failure).__name__}: {failure}".replace("\n", " "), file=answers)
    # Drivers with background threads may hang in an orderly exit, and nothing is left to save.
    os._exit(0)


if __name__ == "__main__":
    main()
