"""What a process keeps of the statements that it has run is bounded, and given back by close."""

from __future__ import annotations

import os

import pytest
from support import RunPython

pytestmark = pytest.mark.usefixtures("configured")

# Reads and prints what the process holds, in MB, while and after `run(n)` has run n statements.
GROWTH = """
import asyncio, gc, sys
from hypern.database import Database, adb, db, scope

url, kind, count, text = sys.argv[1], sys.argv[2], int(sys.argv[3]), "x" * int(sys.argv[4])
Database.configure(url, max_size=2)

def resident():
    gc.collect()
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096 // 1_000_000

async def awaited(first, last):
    async with scope():
        for n in range(first, last):
            await adb().query(f"select {n} /* {text} */")

def run(first, last):
    if kind == "awaited":
        asyncio.run(awaited(first, last))
        return
    with scope():
        for n in range(first, last):
            db().query(f"select {n} /* {text} */")

run(0, 20)
before = resident()
run(20, count)
held = resident()
Database.close()
print(held - before, resident() - before)
"""


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
def test_the_texts_of_statements_are_kept_within_bounds(
    run_python: RunPython, configured: str, kind: str
) -> None:
    """2,500 texts of 40 KB are 100 MB, the core's; the extension kept 1,024 of them besides."""
    full = os.environ.get("HYPERN_RELIABILITY") == "full"
    size = ("12000", "100000") if full else ("2500", "40000")
    held, left = run_python(GROWTH, configured, kind, *size).stdout.split()
    assert int(held) < 40, f"{held} MB are held"
    assert int(left) < 40, f"{left} MB are left after close"
