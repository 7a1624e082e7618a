"""`listen()`: who reads a listener, how long, and how it ends."""

from __future__ import annotations

import asyncio
import threading

import pytest
from listening.listeners import Events, notify, pids
from support import RunPython, wait_until

from hypern import errors
from hypern.database import Notification, adb, listen, scope
from hypern.listening import mailbox


def test_a_reader_that_stops_is_ended_and_told(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "QUEUE_MAX", 10)
    with Events("orders") as slow, Events("orders") as quick:
        for n in range(10):
            notify("orders", str(n))
            assert quick.get() is not None
        assert isinstance(slow.get(), Notification)  # there is room for one
        for n in range(10, 14):
            notify("orders", str(n))
            assert quick.get() is not None
        read = [slow.get() for _ in range(10)]
        assert [event.payload for event in read if isinstance(event, Notification)] == [
            str(n) for n in range(1, 11)
        ]
        for _ in range(2):
            with pytest.raises(errors.OperationalError, match="has not read 10 notifications"):
                slow.get()
        notify("orders", "goes on")
        assert quick.get() is not None


def test_a_listener_ends_with_its_block(kind: str) -> None:
    with Events("orders") as events:
        pass
    with pytest.raises(errors.InterfaceError, match="has ended with its block"):
        events.get()
    block = listen("orders")
    with block, pytest.raises(errors.InterfaceError, match="has a block already"):
        block.__enter__()


def test_many_listeners_and_many_notifications() -> None:
    async def read(n: int, ready: asyncio.Event, entered: list[int]) -> list[str]:
        async with listen("orders") as events:
            entered.append(n)
            if len(entered) == 200:
                ready.set()
            got = []
            async for event in events:
                assert isinstance(event, Notification)
                got.append(event.payload)
                if event.payload == "99":
                    return got
        raise AssertionError

    async def main() -> None:
        ready = asyncio.Event()
        entered: list[int] = []
        readers = [asyncio.create_task(read(n, ready, entered)) for n in range(200)]
        await asyncio.wait_for(ready.wait(), 30)
        async with scope(atomic=True):
            for n in range(100):
                await adb().notify("orders", str(n))
        for got in await asyncio.wait_for(asyncio.gather(*readers), 60):
            assert got == [str(n) for n in range(100)]

    asyncio.run(main())


def test_a_task_that_is_cancelled_leaves() -> None:
    async def main() -> None:
        entered = asyncio.Event()

        async def read() -> None:
            async with listen("orders") as events:
                entered.set()
                await events.get()

        task = asyncio.create_task(read())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    wait_until(lambda: pids() == [])


def test_a_thread_that_waits_is_woken_from_another() -> None:
    got: list[object] = []

    def read() -> None:
        with listen("orders") as events:
            entered.set()
            got.append(next(events))

    entered = threading.Event()
    thread = threading.Thread(target=read)
    thread.start()
    assert entered.wait(20)
    notify("orders", "x")
    thread.join(20)
    assert len(got) == 1


def test_ctrl_c_ends_the_wait(database: str, run_python: RunPython) -> None:
    run_python(
        """
        import os, signal, sys, threading
        from hypern.database import Database, listen

        Database.configure(sys.argv[1])
        try:
            with listen("orders") as events:
                threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
                events.get()
        except KeyboardInterrupt:
            sys.exit(0)
        sys.exit(1)
        """,
        database,
    )


def test_a_listener_whose_event_loop_was_closed_is_dropped() -> None:
    loop = asyncio.new_event_loop()
    block = listen("orders")

    async def enter() -> None:
        await block.__aenter__()

    loop.run_until_complete(enter())
    loop.close()
    with listen("orders") as events:
        notify("orders", "x")
        assert events.get(timeout=20) is not None
        assert len(pids()) == 1
    wait_until(lambda: pids() == [], 20)


def test_an_error_that_is_raised_often_keeps_its_traceback_short() -> None:
    with listen("orders") as events:
        pass
    depths = set()
    for _ in range(3):
        with pytest.raises(errors.InterfaceError) as raised:
            events.get()
        depths.add(len(raised.traceback))
    assert len(depths) == 1
