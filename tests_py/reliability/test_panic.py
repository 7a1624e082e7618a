"""A panic in the Go core, through the installed library: an error, never a dead interpreter."""

from __future__ import annotations

from reliability.tally import Tally
from support import RunPython

PANIC = """
import asyncio, gc, os, sys, threading, time
from hypern import _native, errors
from hypern.database import Database, adb, db, finalize_db, scope
Database.configure(sys.argv[1], max_size=3)

def refused(call):
    try:
        call()
    except errors.CoreUnavailable as error:
        assert "restart the process" in str(error), error
        return True
    return False

kept = db("kept").begin()
kept.query("SELECT 1")
outcome = []
def blocked():
    outcome.append(refused(lambda: db("thread").query("SELECT pg_sleep(1)")))
thread = threading.Thread(target=blocked)
thread.start()

async def awaited():
    async def statement():
        await adb("task").query("SELECT pg_sleep(1)")
    task = asyncio.create_task(statement())
    await asyncio.sleep(0.3)
    assert refused(_native._panic)
    try:
        await asyncio.wait_for(task, 10)
    except errors.CoreUnavailable:
        outcome.append(True)
asyncio.run(awaited())
thread.join(10)
assert outcome == [True, True], outcome

# From now on every call says so, and none of them kills or hangs the process.
for call in (
    lambda: kept.query("SELECT 1"),
    lambda: db("another"),
    lambda: Database.status(),
    lambda: kept.commit(),
    lambda: finalize_db("kept"),
):
    assert refused(call), call
del kept
gc.collect()

# A fork gets a core of its own, which has seen no panic.
pid = os.fork()
if pid == 0:
    try:
        with scope():
            assert db().query_value("SELECT 2") == 2
        Database.close()
        os._exit(0)
    finally:
        os._exit(1)
assert os.waitpid(pid, 0)[1] == 0
print("alive")
"""


def test_a_panic_is_an_error_for_every_call_and_the_interpreter_lives_on(
    database: str, run_python: RunPython, tally: Tally
) -> None:
    # From CPython 3.12 on os.fork() warns when other threads run.
    done = run_python(PANIC, database, options=("-W", "ignore::DeprecationWarning"))
    assert done.stdout == "alive\n"
    assert done.stderr == ""
    tally.add("panic in the core, with statements running and awaited", 1, "CoreUnavailable")
