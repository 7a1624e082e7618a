"""The command line: measure hypern against its peers and libpq, and say which goals are missed.

By default everything is measured, in several minutes: the main table with client and server
pinned to one core and once more unpinned, then the types, memory and growth, pinned; and how
long coroutines wait, with the client on that core and the server on the others.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import (
    batches,
    copies,
    django_orm,
    growth,
    latency,
    memory,
    orm,
    report,
    rounds,
    shapes,
    web,
)
from bench.scenarios import ALL_DRIVERS, ASYNC, BINARY_PEERS, MAIN, PEERS, TYPES, Scenario
from bench.venvs import HOME, ROOT, UnavailableError, interpreter
from bench.workers import DriverError, Server, Worker, environment, python_command

SECTIONS = (
    "main",
    "async",
    "types",
    "shapes",
    "batches",
    "copies",
    "orm",
    "memory",
    "growth",
    "latency",
    "web",
    "django",
)
BOTH_MODES = ("main", "async")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: does it all work?")
    parser.add_argument("--rounds", type=int, help="rounds per table (default 9)")
    parser.add_argument("--seconds", type=float, help="length of a sample (default 0.15)")
    pinning = parser.add_mutually_exclusive_group()
    pinning.add_argument("--pinned", action="store_true", help="only with all on one core")
    pinning.add_argument("--unpinned", action="store_true", help="only with all cores")
    parser.add_argument("--core", type=int, help="the core to pin to (default: the last)")
    parser.add_argument("--tcp", action="store_true", help="TCP for all, in place of unix sockets")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="WHAT",
        choices=[*SECTIONS, *(scenario.key for scenario in (*MAIN, *ASYNC, *TYPES))],
        help=f"sections ({', '.join(SECTIONS)}) or keys of scenarios",
    )
    parser.add_argument("--without", nargs="+", default=[], choices=ALL_DRIVERS, metavar="DRIVER")
    parser.add_argument("--json", type=Path, help="where to write every figure")
    parser.add_argument("--plot", type=Path, help="where to draw the main table")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")
    chosen = parser.parse_args()
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 9)
    chosen.seconds = chosen.seconds or (0.02 if chosen.quick else 0.15)
    if not chosen.quick and not chosen.only:
        chosen.json = chosen.json or ROOT / "docs" / "bench.json"
        chosen.plot = chosen.plot or ROOT / "docs" / "bench.png"
    return chosen


def progress(text: str) -> None:
    """A line that the next one replaces, for whoever watches; nothing in a log."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def say(text: str = "") -> None:
    progress("")
    print(text, flush=True)


@contextlib.contextmanager
def running(drivers: Sequence[str], tcp: bool) -> Iterator[tuple[Server, dict[str, Worker]]]:
    """A fresh server and a worker for each driver, on the cores this process is bound to."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="hypern-bench-"))
        server = Server(Path(directory))
        stack.callback(server.stop)
        workers = {}
        for driver in drivers:
            progress(f"starting {driver}")
            workers[driver] = Worker(driver, server.url(driver, tcp))
            stack.callback(workers[driver].stop)
        yield server, workers


class Run:
    """One mode (pinned or unpinned) of everything that was asked for."""

    def __init__(self, chosen: argparse.Namespace, mode: str, other_cores: set[int]) -> None:
        self.chosen = chosen
        self.mode = mode
        self.other_cores = other_cores
        rows = [
            *self.wanted("main", MAIN),
            *self.wanted("async", ASYNC),
            *self.wanted("types", TYPES),
        ]
        needed = {d for d in ALL_DRIVERS if any(rounds.takes_part(s, d) for s in rows)}
        if self.wants("growth") or self.wants("memory"):
            needed |= {*PEERS, "hypern", "floor"}
        if self.wants("batches"):
            needed |= set(batches.DRIVERS)
        if self.wants("copies"):
            needed |= set(copies.DRIVERS)
        if self.wants("shapes"):
            needed |= {*BINARY_PEERS, "hypern"}
        self.drivers = [d for d in ALL_DRIVERS if d in needed and d not in chosen.without]
        self.result: dict[str, Any] = {}
        self.missed: list[str] = []

    def wants(self, section: str) -> bool:
        if section not in BOTH_MODES and self.mode == "unpinned" and not self.chosen.unpinned:
            return False
        return not self.chosen.only or section in self.chosen.only

    def wanted(self, section: str, scenarios: Sequence[Scenario]) -> list[Scenario]:
        if self.wants(section):
            return list(scenarios)
        return [s for s in scenarios if self.chosen.only and s.key in self.chosen.only]

    def everything(self) -> None:
        with running(self.drivers, self.chosen.tcp) as (server, workers):
            self.table("main", MAIN, workers)
            self.table("async", ASYNC, workers)
            self.table("types", TYPES, workers)
            if self.wants("shapes"):
                self.shapes(workers)
            if self.wants("batches"):
                self.batches(workers)
            if self.wants("copies"):
                self.copies(workers)
            if self.wants("growth"):
                self.growth(workers)
        if self.wants("orm") and "hypern" not in self.chosen.without:
            with running([], self.chosen.tcp) as (server, _):
                self.orm(server)
        if self.wants("memory"):
            with running([], self.chosen.tcp) as (server, _):
                self.memory(server)
        if self.wants("latency") and "hypern" not in self.chosen.without:
            self.latency()
        if self.wants("web"):
            with running([], self.chosen.tcp) as (server, _):
                self.web(server)
        if self.wants("django"):
            with running([], self.chosen.tcp) as (server, _):
                self.django(server)

    def table(self, section: str, all_rows: Sequence[Scenario], workers: dict[str, Worker]) -> None:
        scenarios = self.wanted(section, all_rows)
        if not scenarios:
            return
        workers = {
            d: w for d, w in workers.items() if any(rounds.takes_part(s, d) for s in scenarios)
        }
        figures = rounds.measure(
            workers, scenarios, self.chosen.rounds, self.chosen.seconds, progress
        )
        say(f"\n## {section}, {self.mode}\n")
        say(report.goals_table(figures, scenarios))
        table = "kinds" if section == "types" else "items"
        for note in report.differences(self.samples(workers, table)):
            say(f"Not the same values in {table}.{note}")
        self.missed += report.missed(figures, scenarios)
        self.result[section] = rounds.records(figures, scenarios)
        if section == "types" and len(scenarios) == len(TYPES):
            overall = report.over_all_types(figures, scenarios)
            if overall:
                ratio, goal = overall
                say(f"Over all types, ours / the best peer of each: {report.verdict(*overall)}")
                self.missed += [f"over all types: {ratio:.2f} > {goal:.2f}"] if ratio > goal else []

    def samples(self, workers: dict[str, Worker], table: str) -> dict[str, dict[str, str]]:
        query = f"SELECT * FROM {table} LIMIT 1"
        return {d: json.loads(w.ask("rows", query)) for d, w in workers.items() if d != "floor"}

    def batches(self, workers: dict[str, Worker]) -> None:
        figures = batches.run(workers, self.chosen.rounds, self.chosen.seconds, progress)
        say(f"\n## batches, {self.mode}\n")
        say(batches.text(figures))
        self.missed += batches.missed(figures)
        self.result["batches"] = rounds.records(figures, [batches.APART, batches.TOGETHER])

    def copies(self, workers: dict[str, Worker]) -> None:
        quick = self.chosen.quick
        figures = copies.run(workers, quick, self.chosen.rounds, self.chosen.seconds, progress)
        say(f"\n## COPY, {self.mode}\n")
        say(copies.text(figures, quick))
        self.missed += copies.missed(figures, quick)
        self.result["copies"] = rounds.records(figures, copies.scenarios(quick))

    def shapes(self, workers: dict[str, Worker]) -> None:
        quick = self.chosen.quick
        figures = shapes.run(workers, quick, self.chosen.rounds, self.chosen.seconds, progress)
        say(f"\n## rows of classes, {self.mode}\n")
        say(shapes.text(figures, quick))
        self.missed += shapes.missed(figures, quick)
        self.result["shapes"] = rounds.records(figures, shapes.scenarios(quick))

    def orm(self, server: Server) -> None:
        figures = orm.run(server, self.chosen.rounds, self.chosen.seconds, progress)
        say(f"\n## orm, {self.mode}\n")
        say(orm.text(figures))
        self.missed += orm.missed(figures)
        self.result["orm"] = rounds.records(figures, orm.SCENARIOS)

    def growth(self, workers: dict[str, Worker]) -> None:
        few = min(self.chosen.rounds, 3)
        figures = growth.run(workers, self.chosen.quick, few, self.chosen.seconds / 2, progress)
        say(f"\n## growth, {self.mode} (us)\n")
        say(growth.text(figures, self.drivers, self.chosen.quick))
        self.result["growth"] = rounds.records(figures, growth.scenarios(self.chosen.quick))

    def memory(self, server: Server) -> None:
        progress("measuring memory")
        self.result["memory"] = memory.measure(server, self.drivers, self.chosen.tcp)
        say(f"\n## memory and first use, {self.mode}\n")
        say(memory.text(self.result["memory"]))
        self.missed += memory.missed(self.result["memory"])

    def latency(self) -> None:
        """Here the server has cores of its own: whoever shares one waits for the scheduler."""
        cores = os.sched_getaffinity(0)
        pin(self.other_cores or cores)
        with running([], self.chosen.tcp) as (server, _):
            pin(cores)
            progress("measuring latency")
            self.result["latency"] = latency.measure(server, self.chosen.rounds, self.chosen.tcp)
        say(f"\n## latency, {self.mode}\n")
        say(latency.text(self.result["latency"]))
        self.missed += latency.missed(self.result["latency"])

    def web(self, server: Server) -> None:
        if reason := web.unavailable():
            say(f"\n{reason}")
            return
        few, seconds = (1, 1) if self.chosen.quick else (5, 4)
        middleware = web.middleware_us()
        rates = web.measure(server.unix, few, seconds, progress)
        say(f"\n## web, {self.mode}\n")
        say(web.text(rates, middleware))
        self.result["web"] = {"requests_per_second": rates, "middleware_us": middleware}
        self.missed += web.missed(rates, middleware)

    def django(self, server: Server) -> None:
        figures = django_orm.measure(server.unix, self.chosen.rounds, self.chosen.seconds, progress)
        say(f"\n## django, {self.mode}\n")
        say(django_orm.text(figures))
        self.result["django"] = figures
        self.missed += django_orm.missed(figures)


def pin(cores: set[int]) -> None:
    """Bind this process and all it starts from now on, the server among them (as taskset does)."""
    os.sched_setaffinity(0, cores)


def compare(chosen: argparse.Namespace) -> int:
    all_cores = os.sched_getaffinity(0)
    core = max(all_cores) if chosen.core is None else chosen.core
    modes = ["pinned", "unpinned"]
    if chosen.pinned or chosen.unpinned or chosen.quick:
        modes = ["unpinned" if chosen.unpinned else "pinned"]
    say(f"Python: {interpreter()}; us unless said otherwise; medians of {chosen.rounds} rounds")
    if not chosen.tcp and "original" not in chosen.without:
        say("All on a unix socket but the original, which can only do TCP")
    result: dict[str, Any] = {}
    missed: list[str] = []
    for mode in modes:
        cores = {core} if mode == "pinned" else all_cores
        pin(cores)
        run = Run(chosen, mode, all_cores - cores)
        run.everything()
        result[mode] = run.result
        missed += [f"{mode}: {row}" for row in run.missed]
    pin(all_cores)
    if "hypern" not in chosen.without:
        say("\nNo goal missed" if not missed else "\nMISSED: " + "\nMISSED: ".join(missed))
    data = chosen.json or HOME / "last.json"
    data.write_text(json.dumps(result, indent=1) + "\n")
    if chosen.plot:
        command = python_command("harness", "bench.plot", str(data), str(chosen.plot))
        subprocess.run(command, cwd=ROOT, env=environment("harness"), check=True)
    return 1 if missed and chosen.check else 0


def main() -> int:
    try:
        return compare(options())
    except (UnavailableError, DriverError) as failure:
        sys.exit(f"bench: {failure}")
