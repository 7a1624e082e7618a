"""A process without room for the core gets an error that says what to raise; Go would abort it."""

from __future__ import annotations

import pytest
from support import RunPython

LIMITED = """
import asyncio, os, resource, sys
from hypern import errors
from hypern.database import Database, adb, db, scope

url, kind, what, most = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
Database.configure(url, max_size=1)

async def awaited():
    async with scope():
        return await adb().query_value("SELECT 1")

def ask():
    if kind == "awaited":
        return asyncio.run(awaited())
    with scope():
        return db().query_value("SELECT 1")

asyncio.run(asyncio.sleep(0))
held = []
number = getattr(resource, what)
before = resource.getrlimit(number)
if what == "RLIMIT_AS":
    used = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(number, (used + most, before[1]))
elif what == "RLIMIT_NOFILE":
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(number, (highest + most, before[1]))
    if kind == "awaited":
        asyncio.run(asyncio.sleep(0))
else:
    if os.getuid() == 0:  # whom no limit holds
        os.setuid(65534)
    resource.setrlimit(number, (most, before[1]))
for _ in range(2):
    try:
        ask()
    except errors.CoreUnavailable as error:
        assert what in str(error), error
    else:
        raise AssertionError
resource.setrlimit(number, before)
if os.getuid() != 65534:  # it may not open its own files
    assert ask() == 1
"""


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
@pytest.mark.parametrize(
    ("what", "most"),
    [
        ("RLIMIT_AS", 300 << 20),
        ("RLIMIT_AS", 850 << 20),
        ("RLIMIT_AS", 1200 << 20),
        ("RLIMIT_NPROC", 1),
        ("RLIMIT_NOFILE", 4),
        ("RLIMIT_NOFILE", 12),
    ],
)
def test_a_process_without_room_for_the_core_is_told(
    database: str, run_python: RunPython, kind: str, what: str, most: int
) -> None:
    run_python(LIMITED, database, kind, what, str(most))


WITH_JUST_ENOUGH = """
import os, resource, sys
from hypern.database import Database, db, scope

used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (1400 << 20),) * 2)
resource.setrlimit(resource.RLIMIT_NOFILE, (24 + len(os.listdir("/proc/self/fd")),) * 2)
Database.configure(sys.argv[1], max_size=2)
for n in range(200):
    with scope(), db().transaction() as session:
        assert session.query_value("SELECT $1::int", [n]) == n
assert len(db("r").query("SELECT generate_series(1, 10000)")) == 10_000
Database.close()
"""


def test_where_there_is_room_it_works(database: str, run_python: RunPython) -> None:
    run_python(WITH_JUST_ENOUGH, database)
