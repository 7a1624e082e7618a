"""COPY takes as much memory for ten million rows as for ten thousand."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import either
import pytest
from reliability.tally import Tally

from hypern import database

pytestmark = pytest.mark.usefixtures("kind", "configured")

FEW = 10_000
MOST_GROWTH = 2 << 20  # bytes; a row takes 30, so that a million kept would take more
LINE = b"%d\tsome text\n"


def _kib(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise LookupError(field)


def _peak(work: Callable[[], object]) -> int:
    """The bytes that the process had at most while it worked, beyond what it had before."""
    gc.collect()
    before = _kib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    work()
    return (_kib("VmHWM") - before) << 10


def _rows_in(rows: int) -> int:
    return either.db().copy_in("copied", ((n, "some text") for n in range(rows)))


def _data_in(rows: int) -> int:
    def chunks() -> Iterator[bytes]:
        for first in range(0, rows, 1000):
            yield b"".join([LINE % n for n in range(first, first + 1000)])

    return either.db().copy_in_raw("COPY copied FROM STDIN", chunks())


def _count(open_copy: Callable[[Any], Any], size: Callable[[Any], int], kind: str) -> int:
    """Reads a COPY to its end. either.db() would run the loop for each row."""
    if kind == "blocking":
        return sum(map(size, open_copy(database.db())))

    async def awaited() -> int:
        count = 0
        async for one in open_copy(database.adb()):
            count += size(one)
        return count

    return either.run(awaited())


def _series(rows: int) -> str:
    return f"SELECT n, 'some text' AS t FROM generate_series(1, {rows}) n"


def _rows_out(rows: int, kind: str) -> int:
    return _count(lambda session: session.copy_out(_series(rows)), lambda _: 1, kind)


def _data_out(rows: int, kind: str) -> int:
    sql = f"COPY ({_series(rows)}) TO STDOUT"
    return _count(lambda session: session.copy_out_raw(sql), lambda data: data.count(b"\n"), kind)


@pytest.mark.parametrize("way", ["rows in", "data in", "rows out", "data out"])
@pytest.mark.timeout(600)
def test_memory_is_flat(way: str, kind: str, full: bool, tally: Tally) -> None:
    def copy(rows: int) -> None:
        ways: dict[str, Callable[[], int]] = {
            "rows in": lambda: _rows_in(rows),
            "data in": lambda: _data_in(rows),
            "rows out": lambda: _rows_out(rows, kind),
            "data out": lambda: _data_out(rows, kind),
        }
        assert ways[way]() == rows

    many = 10_000_000 if full else 1_000_000
    with either.scope():
        if way.endswith("in"):
            either.db().execute("CREATE TEMP TABLE copied (n int, t text)")
        copy(FEW)  # the connection, its buffers and the allocator's arenas are there now
        few = _peak(lambda: copy(FEW))
        growth = _peak(lambda: copy(many)) - few
        if way.endswith("in"):
            either.db().execute("DROP TABLE copied")
    assert growth < MOST_GROWTH, f"{growth} bytes more for {many} rows than for {FEW}"
    result = f"at most {max(growth, 0) >> 10} KiB more than for {FEW:,}"
    tally.add(f"memory of a COPY of {many:,}: {way}, {kind}", 1, result)
