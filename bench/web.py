"""The web table: one FastAPI handler under wrk, on each way to reach the database, interleaved.

One uvicorn process at a time serves 16 connections of wrk; client, server and database are on the
cores that this process is bound to. wrk is a program of its own; where it is missing this says so.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench import report
from bench.venvs import ROOT
from bench.workers import DriverError, environment, python_command

CONNECTIONS = 16
VARIANTS = {
    "bare_def": "def, no database",
    "floor_def": "def, bytes made beforehand on a socket, answers unread",
    "sqlalchemy_def": "def, SQLAlchemy Core + psycopg 3",
    "psycopg_def": "def, psycopg_pool",
    "hypern_def": "def, hypern",
    "bare_async": "async def, no database",
    "asyncpg_async": "async def, asyncpg pool",
    "hypern_async": "async def, hypern",
}
WITHOUT_LOG = ("bare_def", "floor_def", "bare_async")
GOALS = (
    ("hypern_def", "sqlalchemy_def", 2.3),
    ("hypern_def", "psycopg_def", 1.7),
    ("hypern_async", "asyncpg_async", 1.15),
)
# The specification's handler reads a user, and writes a line to a log.
HANDLERS = {"query": "its query alone", "whole": "with its line in the log of a second database"}
MIDDLEWARE_GOAL_US = 15.0
START_SECONDS = 30.0

Rates = dict[str, dict[str, list[float]]]
"""Requests per second by handler and variant, a figure per round."""


def measure(url: str, rounds: int, seconds: int, progress: Callable[[str], None]) -> Rates:
    """Serve each variant in turn, a second to warm up. Every response must be a success."""
    rates: Rates = {handler: {} for handler in HANDLERS}
    for number in range(rounds):
        for handler, title in HANDLERS.items():
            for name in VARIANTS:
                if handler != "query" and name in WITHOUT_LOG:
                    continue
                progress(f"web, round {number + 1} of {rounds}: {name}, {title}")
                with _serving(name, handler, url) as port:
                    _load(port, 1)  # connects, prepares, warms up
                    rates[handler].setdefault(name, []).append(_load(port, seconds))
    return rates


def middleware_us() -> float:
    """What the middleware costs a request that opens no session."""
    command = python_command("web", "bench.web_app")
    output = subprocess.check_output(command, cwd=ROOT, env=environment("hypern"), text=True)
    return float(output)


def text(rates: Rates, middleware: float) -> str:
    """The tables, and the goals."""
    lines: list[str] = []
    for handler, title in HANDLERS.items():
        medians = {name: statistics.median(found) for name, found in rates[handler].items()}
        rows = [
            [VARIANTS[name], *(f"{rate:,.0f}" for rate in (medians[name], min(found), max(found)))]
            for name, found in rates[handler].items()
        ]
        head = [f"requests a second, {title}", "median", "least", "most"]
        lines += [report.table(head, rows), ""]
        for ours, peer, goal in GOALS:
            ratio = medians[ours] / medians[peer]
            word = "" if ratio >= goal else " MISSED"
            pair = f"{VARIANTS[ours]} / {VARIANTS[peer]}, {title}"
            lines.append(f"{pair}: {ratio:.2f} (goal {goal}){word}")
        lines.append("")
    word = "" if middleware < MIDDLEWARE_GOAL_US else " MISSED"
    goal_us = f"{MIDDLEWARE_GOAL_US:.0f}"
    lines.append(f"the middleware without a session: {middleware:.1f} us (goal {goal_us}){word}")
    return "\n".join(lines)


def missed(rates: Rates, middleware: float) -> list[str]:
    """The goals that were missed."""
    return [line for line in text(rates, middleware).splitlines() if line.endswith("MISSED")]


def unavailable() -> str:
    """Why this cannot be measured here; "" where it can."""
    return "" if shutil.which("wrk") else "web is left out: wrk is not installed (apt install wrk)"


@contextmanager
def _serving(name: str, handler: str, url: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    options = ["--factory", f"bench.web_app:{name}", "--port", str(port), "--no-access-log"]
    process = subprocess.Popen(
        python_command("web", "uvicorn", *options, "--log-level", "warning"),
        cwd=ROOT,
        env=environment("hypern") | {"BENCH_URL": url, "BENCH_HANDLER": handler},
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise DriverError(f"web, {name}: its server did not start") from None
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def _load(port: int, seconds: int) -> float:
    url = f"http://127.0.0.1:{port}/users/7"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url]
    output = subprocess.check_output(command, text=True, env=dict(os.environ))
    if "Non-2xx" in output or "Socket errors" in output:
        raise DriverError(f"web: not every response was a success:\n{output}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if found is None:
        raise DriverError(f"web: wrk said nothing of requests:\n{output}")
    return float(found.group(1))
