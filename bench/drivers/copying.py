"""What the drivers copy, and how their copies are timed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.drivers.base import Row, Timed
from bench.scenarios import SIX

CLEAR = "TRUNCATE copied"
COLUMNS = tuple(SIX.split(", "))
TYPES = ("int4", "text", "text", "bool", "float8", "timestamp")


def some_items(count: int) -> str:
    return f"SELECT {SIX} FROM items ORDER BY id LIMIT {count}"


def tuples(rows: list[Row]) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in rows]


def repeat_cleared(body: Callable[[], object], clear: Callable[[], object]) -> Timed:
    """Time a plain function that fills a table; clear empties it, outside of the measured time."""

    def run(loops: int) -> float:
        seconds = 0.0
        for _ in range(loops):
            clear()
            start = perf_counter()
            body()
            seconds += perf_counter() - start
        return seconds

    return run


def data_file() -> Path:
    """Where data is copied from or to; it goes with the process's temporary directory."""
    return Path(_directory.name) / "data"


_directory = tempfile.TemporaryDirectory(prefix="hypern-bench-")
