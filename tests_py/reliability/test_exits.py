"""The end of a process: with statements running, without a farewell, in exit handlers; blocking
and awaited."""

from __future__ import annotations

import asyncio
import time

import pytest
from reliability.tally import Tally
from support import RunPython, url_with, wait_until

from hypern.database import Database, adb, db, scope

START = """
import asyncio, atexit, os, sys, threading, time
from hypern.database import Database, adb, db, scope
Database.configure(sys.argv[1], max_size=4)

async def rest(name):
    async with scope(name):
        await adb().query("SELECT pg_sleep(60)")

def in_a_daemon_thread(work):
    def quiet():
        try:
            work()
        except BaseException:
            pass  # whatever its end is, the process's is what is looked at
    threading.Thread(target=quiet, daemon=True).start()

def rest_in_a_thread():
    with scope("in a thread"):
        db().query("SELECT pg_sleep(60)")
"""

ENDS = {
    "exit while a daemon thread's statement runs": """
in_a_daemon_thread(rest_in_a_thread)
time.sleep(0.3)
""",
    "`os._exit` while a statement runs and a transaction is open": """
db("open").begin().query("SELECT 1")
in_a_daemon_thread(rest_in_a_thread)
time.sleep(0.3)
os._exit(0)
""",
    "exit with daemon threads at work": """
def work():
    while True:
        try:
            with scope(), db().transaction():
                db().query("SELECT generate_series(1, 1000) AS n")
        except Exception:
            pass  # the pool is closed under it
for _ in range(4):
    in_a_daemon_thread(work)
time.sleep(0.5)
""",
    "end of the loop while statements are awaited": """
async def main():
    tasks = [asyncio.create_task(rest(f"task {n}")) for n in range(6)]  # two wait for a connection
    await asyncio.sleep(0.3)
asyncio.run(main())
""",
    "`sys.exit` in a task while others are awaited": """
async def main():
    tasks = [asyncio.create_task(rest(f"task {n}")) for n in range(3)]
    await asyncio.sleep(0.3)
    sys.exit(0)
asyncio.run(main())
""",
    "exit while a daemon thread's loop awaits a statement": """
in_a_daemon_thread(lambda: asyncio.run(rest("in a loop")))
time.sleep(0.5)
""",
    "a loop that is abandoned, not closed": """
loop = asyncio.new_event_loop()
task = loop.create_task(rest("abandoned"))
loop.run_until_complete(asyncio.sleep(0.3))
""",
    "`os._exit` while a statement is awaited": """
async def main():
    task = asyncio.create_task(rest("task"))
    await asyncio.sleep(0.3)
    os._exit(0)
asyncio.run(main())
""",
}

# What asyncio itself says of a loop that nobody closed.
ASYNCIO_SAYS = ("Task was destroyed but it is pending", "task: <Task")

EXIT_HANDLER = """
import atexit, sys
from hypern.database import Database, db, scope
def farewell():
    with scope():
        print(db().query_value("SELECT 'goodbye'"))
if sys.argv[2] == "before":
    atexit.register(farewell)  # runs after the handler of the package, which is registered later
Database.configure(sys.argv[1])
with scope():
    db().query("SELECT 1")
if sys.argv[2] == "after":
    atexit.register(farewell)
"""


@pytest.mark.parametrize("what", ENDS)
def test_a_process_ends_at_once_and_leaves_the_server_nothing(
    database: str, configured: str, run_python: RunPython, tally: Tally, what: str
) -> None:
    name = f"ending {list(ENDS).index(what)}"
    url = url_with(database, application_name=name)
    began = time.monotonic()
    done = run_python(START + ENDS[what], url)
    assert time.monotonic() - began < 10  # the statements would run for a minute
    said = [line for line in done.stderr.splitlines() if "never finalized" not in line]
    assert not [line for line in said if not line.startswith(ASYNCIO_SAYS)], done.stderr

    # The server notices the death of a client when the statement that it runs for it has ended.
    ours = "FROM pg_stat_activity WHERE application_name = $1"
    if "os._exit" in what:
        ours += " AND NOT (state = 'active' AND query LIKE '%pg_sleep%')"

    def left() -> int:
        with scope():
            count: int = db().query_value(f"SELECT count(*) {ours}", [name])
        return count

    wait_until(lambda: left() == 0)
    tally.add(what, 1, "it ends at once, with status 0 and no traceback")


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_database_can_be_used_in_an_exit_handler(
    database: str, run_python: RunPython, tally: Tally, when: str
) -> None:
    assert run_python(EXIT_HANDLER, database, when).stdout == "goodbye\n"
    tally.add(f"use in an exit handler registered {when} ours", 1, "works")


def test_a_coroutine_that_is_closed_instead_of_awaited_gives_its_connection_back(
    configured: str,
) -> None:
    async def work() -> None:
        async with scope("closed"):
            await adb().query("SELECT pg_sleep(60)")

    async def main() -> None:
        coroutine = work()
        coroutine.send(None)
        await asyncio.sleep(0.1)
        assert Database.status().in_use == 1
        coroutine.close()
        assert Database.status().in_use == 0

    asyncio.run(main())
    with scope():
        assert db().query_value("SELECT 1") == 1
