"""The benchmark itself: one short round, so that it cannot rot. Its figures are not judged here,
but for memory, which does not depend on how busy the machine is.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import latency, memory, orm, scenarios

ROOT = Path(__file__).parent.parent
FEW = ("select_1", "request", "rows_8", "many", "crowd", "async_queries")


@pytest.mark.timeout(300)
def test_one_short_round_measures_every_driver(tmp_path: Path) -> None:
    without = ["original"]  # it would need an environment of its own
    if shutil.which("pg_config") is None:
        without.append("floor")  # a C program against libpq
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "bench", "--quick", "--only", *FEW]
    command += ["growth", "memory", "latency", "shapes", "copies", "orm"]
    done = subprocess.run(
        [*command, "--json", str(figures), "--without", *without],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if "cannot be installed" in done.stderr:
        pytest.skip(f"the drivers to compare with come from PyPI: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    measured = json.loads(figures.read_text())["pinned"]
    sections = (measured["main"], measured["async"], measured["growth"])
    rows = {row["key"]: row for section in sections for row in section}
    for key in FEW:
        scenario = next(s for s in (*scenarios.MAIN, *scenarios.ASYNC) if s.key == key)
        drivers = {*scenario.peers, scenario.ours, *(["floor"] if scenario.floor else [])}
        assert set(rows[key]["medians"]) == drivers - set(without), key
        assert all(seconds > 0 for seconds in rows[key]["medians"].values()), key
        assert f"| {scenario.title} " in done.stdout
    for row in measured["orm"]:
        drivers = set(orm.AWAITED if row["key"].endswith("async") else orm.BLOCKING)
        assert set(row["medians"]) == drivers, row["key"]
    shaped = {row["key"]: set(row["medians"]) for row in measured["shapes"]}
    assert shaped["shape dataclass 1000"] == {*scenarios.BINARY_PEERS, "hypern"}
    assert "| 1,000 rows, tuple / our dicts " in done.stdout
    copied = {row["title"]: set(row["medians"]) for row in measured["copies"]}
    assert copied["1,000 rows in"] == {"psycopg3", "asyncpg", "hypern"}
    assert copied["1,000 data out into a file"] == {"psql", "hypern"}
    assert "| copy_out one by one / query " in done.stdout
    for curve in ("rows", "columns", "threads", "connections", "length", "statements"):
        assert any(key.startswith(f"{curve} ") for key in rows), curve
    assert set(measured["memory"]["first use"]["seconds"]) >= {"import", "load the core"}
    assert set(measured["memory"]["streams"]) == {"blocking", "awaited"}
    assert memory.missed(measured["memory"]) == []
    for loop in ("asyncio", "uvloop"):
        for what, seconds, _ in latency.figures(measured["latency"][loop]):
            assert seconds >= 0, what
            assert f"| {what} " in done.stdout
