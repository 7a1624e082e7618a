"""Blocking calls that would stop what they wait for: on an event loop's thread, under gevent, under
eventlet."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import uvloop
from support import RunPython, wait_until

from hypern import errors
from hypern.database import Database, adb, afinalize_db, db, finalize_db, scope

_LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(autouse=True)
def narrow(database: str) -> Iterator[None]:
    """The alias "narrow", with one connection, and half a minute to wait for it."""
    Database.configure(database, alias="narrow", max_size=1, acquire_timeout_secs=30)
    yield
    for name in ("holder", "caller"):
        finalize_db(name)
    wait_until(lambda: Database.status("narrow").in_use == 0)
    Database.close("narrow")


def _refused_at_once(call: Callable[[], object]) -> None:
    began = time.monotonic()
    with pytest.raises(errors.InterfaceError, match=r"adb\(\)"):
        call()
    assert time.monotonic() - began < 1
    assert Database.status("narrow").waiting == 0


def _ask() -> int:
    answer: int = db("caller", "narrow").query_value("SELECT 7")
    return answer


@pytest.mark.parametrize("new_loop", _LOOPS)
@pytest.mark.parametrize("holds", ["awaited", "blocking"])
def test_a_wait_for_a_connection_that_the_loops_tasks_hold_is_refused(
    new_loop: Callable[[], asyncio.AbstractEventLoop], holds: str
) -> None:
    async def hold(held: asyncio.Event, go: asyncio.Event) -> None:
        if holds == "awaited":
            await adb("holder", "narrow").query_value("SELECT 1")
        else:
            db("holder", "narrow").query_value("SELECT 1")
        held.set()
        await go.wait()
        await afinalize_db("holder")

    async def main() -> None:
        held, go = asyncio.Event(), asyncio.Event()
        task = asyncio.ensure_future(hold(held, go))
        await held.wait()
        _refused_at_once(_ask)
        _refused_at_once(lambda: db("caller", "narrow").begin())
        _refused_at_once(lambda: db("caller", "narrow").execute_many("SELECT $1::int", [[1]]))
        go.set()
        await task
        assert _ask() == 7  # one is free: a blocking call works, as in a notebook
        await afinalize_db("caller")

    loop = new_loop()
    loop.run_until_complete(main())
    loop.close()


def test_a_blocking_call_that_drives_an_awaited_statement_in_the_queue_is_refused() -> None:
    async def main() -> None:
        await adb("holder", "narrow").query_value("SELECT 1")
        waiting = asyncio.ensure_future(adb("caller", "narrow").query_value("SELECT 5"))
        await asyncio.sleep(0.05)
        assert Database.status("narrow").waiting == 1
        began = time.monotonic()
        with pytest.raises(errors.InterfaceError, match=r"adb\(\)"):
            _ask()
        assert time.monotonic() - began < 1
        await afinalize_db("holder")
        assert await waiting == 5  # it is the loop's again

    asyncio.run(main())


def test_a_request_whose_scope_the_loop_opened_is_the_loops() -> None:
    """As a `def` handler's in a thread: its middleware gives the connection back, on the loop."""

    async def main() -> None:
        async with scope():
            await asyncio.to_thread(lambda: db(alias="narrow").query_value("SELECT 1"))
            _refused_at_once(_ask)
        assert _ask() == 7
        await afinalize_db("caller")

    asyncio.run(main())


def test_a_connection_that_another_thread_holds_is_waited_for() -> None:
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with scope():
            db(alias="narrow").query_value("SELECT 1")
            held.set()
            go.wait(10)

    async def main() -> None:
        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(10)
        threading.Timer(0.3, go.set).start()
        began = time.monotonic()
        assert _ask() == 7
        assert time.monotonic() - began > 0.25
        thread.join()
        await afinalize_db("caller")

    asyncio.run(main())


def test_a_connect_is_waited_for_and_a_thread_without_a_loop_waits() -> None:
    async def main() -> None:
        assert _ask() == 7  # the pool's first connection
        await afinalize_db("caller")
        await adb("holder", "narrow").query_value("SELECT 1")
        waiting = asyncio.ensure_future(asyncio.to_thread(_ask))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await afinalize_db("holder")
        assert await waiting == 7

    asyncio.run(main())


_HOLDER = """
import sys, time
{patch}
from hypern import errors
from hypern.database import Database, adb, db, scope
Database.configure(sys.argv[1], acquire_timeout_secs=20)

def refused():
    began = time.monotonic()
    with scope():
        try:
            db().query_value("SELECT 1")
        except errors.InterfaceError as error:
            assert "{library}" in str(error) and "asyncio" in str(error), error
            assert "threads" in str(error), error
        else:
            raise AssertionError("it went on")
    assert time.monotonic() - began < 2
    return True

def works():
    with scope():
        return db().query_value("SELECT 7")

async def awaited():
    async with scope():
        return await adb().query_value("SELECT 8")

assert refused()
assert all({greenlets})
assert {thread} == 7
assert Database.status().in_use == 0
import asyncio
assert asyncio.run(awaited()) == 8
print("done")
"""

# eventlet's own resolver imports dnspython with patched sockets, and that imports what it can of
# httpx2 and trio, which needs real ones.
_WITHOUT_GREENDNS = "import os; os.environ['EVENTLET_NO_GREENDNS'] = 'yes'; "

_HUBS = {
    "gevent": {
        "patch": "from gevent import monkey; monkey.patch_all(); import gevent",
        "greenlets": "g.get() for g in [gevent.spawn(refused) for _ in range(3)]",
        "thread": "gevent.get_hub().threadpool.apply(works)",
    },
    "eventlet": {
        "patch": _WITHOUT_GREENDNS
        + "import warnings; warnings.simplefilter('ignore'); import eventlet; "
        "eventlet.monkey_patch(); from eventlet import tpool",
        "greenlets": "g.wait() for g in [eventlet.spawn(refused) for _ in range(3)]",
        "thread": "tpool.execute(works)",
    },
}


@pytest.mark.parametrize("library", _HUBS)
def test_under_a_hub_a_blocking_call_is_refused_with_what_works(
    database: str, run_python: RunPython, library: str
) -> None:
    script = _HOLDER.format(library=library, **_HUBS[library])
    assert run_python(script, database).stdout.endswith("done\n")


_UNPATCHED = f"""
{_WITHOUT_GREENDNS}
import sys
import gevent, eventlet.patcher
from hypern.database import Database, db, scope
Database.configure(sys.argv[1])
with scope():
    assert db().query_value("SELECT 7") == 7
print("done")
"""


def test_the_libraries_alone_are_no_reason(database: str, run_python: RunPython) -> None:
    options = ("-W", "ignore")
    assert run_python(_UNPATCHED, database, options=options).stdout.endswith("done\n")
