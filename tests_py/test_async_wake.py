"""How a task is woken whose statement is answered: straight from the loop's callback, in its own
context, one after the other, whatever one of them does; and what it waits for meanwhile."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import sys
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import uvloop
from support import in_threads, wait_until

from hypern import _native
from hypern.database import AsyncDbSession, Database, adb, afinalize_db, finalize_db, scope

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


@pytest.fixture(autouse=True)
def released(configured: str) -> Iterator[None]:
    """Afterwards no connection is held."""
    yield
    finalize_db("r")
    wait_until(lambda: Database.status().in_use == 0)


async def connect(count: int) -> list[AsyncDbSession]:
    """Sessions of requests "0", "1", ... that know the statement already."""
    sessions = [adb(str(n)) for n in range(count)]
    for session in sessions:
        await session.query_value("SELECT $1::int", [0])
    return sessions


async def end(count: int) -> None:
    for n in range(count):
        await afinalize_db(str(n))


async def send_all(tasks: list[asyncio.Task[Any]]) -> None:
    """Return when the tasks have sent their statements and the answers are there, all at once."""
    await asyncio.sleep(0)
    time.sleep(0.05)
    assert not any(task.done() for task in tasks)


def test_tasks_are_woken_in_the_order_of_their_answers(loop: asyncio.AbstractEventLoop) -> None:
    order: list[int] = []

    async def ask(session: AsyncDbSession, n: int) -> None:
        assert await session.query_value("SELECT $1::int", [n]) == n
        assert asyncio.current_task() is tasks[n]
        assert asyncio.get_running_loop() is loop
        order.append(n)

    async def main() -> None:
        sessions = await connect(4)
        tasks.extend(asyncio.ensure_future(ask(s, n)) for n, s in enumerate(sessions))
        await send_all(tasks)
        await asyncio.gather(*tasks)
        await end(4)

    tasks: list[asyncio.Task[None]] = []
    loop.run_until_complete(main())
    assert sorted(order) == [0, 1, 2, 3]


def test_a_woken_task_is_in_its_own_context(loop: asyncio.AbstractEventLoop) -> None:
    async def ask(session: AsyncDbSession, name: str) -> None:
        tenant.set(name)
        for n in range(10):
            assert await session.query_value("SELECT $1::int", [n]) == n
            assert tenant.get() == name
            tenant.set(name := f"{name}{n}")

    async def main() -> None:
        sessions = await connect(4)
        await asyncio.gather(*(ask(s, f"tenant {n}") for n, s in enumerate(sessions)))
        assert tenant.get() == "nobody"
        await end(4)

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="create_task(context=) came with 3.11")
def test_tasks_that_share_a_context(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []

    async def ask(session: AsyncDbSession, n: int) -> None:
        await session.query_value("SELECT $1::int", [n])
        seen.append(tenant.get())
        tenant.set(f"after {n}")

    async def main() -> None:
        sessions = await connect(3)
        context = contextvars.copy_context()
        create: Any = loop.create_task
        tasks = [create(ask(s, n), context=context) for n, s in enumerate(sessions)]
        await send_all(tasks)
        await asyncio.gather(*tasks)
        await end(3)

    loop.run_until_complete(main())
    assert seen[0] == "nobody"
    assert all(name.startswith("after") for name in seen[1:])


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_a_task_that_ends_the_loop_does_not_lose_the_others(
    loop: asyncio.AbstractEventLoop, ending: type[BaseException]
) -> None:
    async def ask(session: AsyncDbSession, n: int) -> int:
        value: int = await session.query_value("SELECT $1::int", [n])
        if not endings:
            endings.append(n)
            raise ending
        return value

    async def main() -> None:
        sessions = await connect(4)
        tasks.extend(asyncio.ensure_future(ask(s, n)) for n, s in enumerate(sessions))
        await send_all(tasks)
        await asyncio.sleep(30)

    async def rest() -> list[Any]:
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)

    tasks: list[asyncio.Task[int]] = []
    endings: list[int] = []
    stopped = loop.create_task(main())
    with pytest.raises(ending):
        loop.run_until_complete(stopped)
    answers = loop.run_until_complete(rest())
    assert isinstance(answers[endings[0]], ending)
    assert [a for a in answers if isinstance(a, int)] == [n for n in range(4) if n != endings[0]]
    stopped.cancel()
    loop.run_until_complete(asyncio.wait([stopped]))
    loop.run_until_complete(end(4))


def test_a_task_may_cancel_one_that_is_about_to_be_woken(loop: asyncio.AbstractEventLoop) -> None:
    async def ask(session: AsyncDbSession, n: int) -> int:
        value: int = await session.query_value("SELECT $1::int", [n])
        if not first:
            first.append(n)
            for other in (*tasks[:n], *tasks[n + 1 :]):
                other.cancel("too late")
        return value

    async def main() -> None:
        sessions = await connect(3)
        tasks.extend(asyncio.ensure_future(ask(s, n)) for n, s in enumerate(sessions))
        await send_all(tasks)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        for n, answer in enumerate(answers):
            if n == first[0]:
                assert answer == n
            else:
                assert isinstance(answer, asyncio.CancelledError)
        for n, session in enumerate(sessions):
            assert await session.query_value("SELECT $1::int", [n]) == n
        await end(3)

    tasks: list[asyncio.Task[int]] = []
    first: list[int] = []
    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 loses the message on the way")
def test_the_message_of_a_cancellation_arrives(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(adb("r").query("SELECT pg_sleep(10)"))
        await asyncio.sleep(0.05)
        assert task.cancel("tired")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == ("tired",)
        await afinalize_db("r")

    loop.run_until_complete(main())


def test_debug_mode_names_the_task_whose_step_is_slow(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def slow_between_statements() -> None:
        await adb("r").query("SELECT 1")
        time.sleep(0.15)
        await adb("r").query("SELECT 2")
        await afinalize_db("r")

    loop.set_debug(True)
    with caplog.at_level(logging.WARNING, logger="asyncio"):
        loop.run_until_complete(slow_between_statements())
    (report,) = [r.getMessage() for r in caplog.records if "took" in r.getMessage()]
    assert "slow_between_statements" in report


def test_what_a_task_waits_for(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        operation: Any = adb("r").query_value("SELECT 7 FROM pg_sleep(0.1)")
        assert not asyncio.isfuture(operation)
        waits: Any = operation.send(None)
        assert asyncio.isfuture(waits)
        assert waits.get_loop() is loop
        assert not waits.done()
        assert "pending" in repr(waits)
        with pytest.raises(RuntimeError, match="not ready"):
            waits.result()
        told = loop.create_future()
        waits.add_done_callback(told.set_result)
        with pytest.raises(RuntimeError, match="another task waits"):
            waits.add_done_callback(print)
        assert await told is waits
        assert waits.done()
        assert waits.result() is None
        assert "finished" in repr(waits)
        assert waits.cancel() is False
        with pytest.raises(StopIteration) as ended:
            operation.send(None)
        assert ended.value.value == 7
        later = loop.create_future()  # as of any future: whoever comes late is told all the same
        waits.add_done_callback(later.set_result, context=contextvars.copy_context())
        assert not later.done()
        assert await later is waits
        await afinalize_db("r")

    loop.run_until_complete(main())


def test_a_wait_that_is_cancelled(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        operation = adb("r").query("SELECT pg_sleep(10)")
        waits: Any = operation.send(None)
        told = loop.create_future()
        waits.add_done_callback(told.set_result)
        assert waits.cancel(msg="enough") is True
        assert waits.cancel() is False
        assert not told.done()
        assert await told is waits
        with pytest.raises(asyncio.CancelledError, match="enough"):
            waits.result()
        assert "cancelled" in repr(waits)
        with pytest.raises(asyncio.CancelledError):
            operation.throw(asyncio.CancelledError())
        await afinalize_db("r")

    loop.run_until_complete(main())


def test_its_arguments_are_checked(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        operation = adb("r").query("SELECT pg_sleep(0.1)")
        waits: Any = operation.send(None)
        for call in (
            lambda: waits.add_done_callback(),
            lambda: waits.add_done_callback(print, contexts=None),
            lambda: waits.cancel("a", "b"),
            lambda: waits.cancel(message="a"),
            type(waits),
        ):
            with pytest.raises(TypeError):
                call()
        operation.close()
        await afinalize_db("r")

    loop.run_until_complete(main())


def test_a_context_that_is_entered_already_is_reported_as_by_the_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        operation = adb("r").query("SELECT 1")
        waits: Any = operation.send(None)
        waits.add_done_callback(print, context=around)
        for _ in range(100):
            if caplog.records:
                break
            await asyncio.sleep(0.01)
        operation.close()
        await afinalize_db("r")

    around = contextvars.copy_context()
    around.run(asyncio.run, main())
    (report,) = caplog.records
    assert report.name == "asyncio"
    assert "already entered" in str(report.exc_info)


class Interrupted(asyncio.SelectorEventLoop):
    """A signal comes when it is asked for its mode, as it would anywhere in Python code."""

    signals = 0

    def get_debug(self) -> bool:
        if self.signals:
            self.signals -= 1
            raise KeyboardInterrupt
        return super().get_debug()


def test_ctrl_c_just_before_the_tasks_are_woken_ends_the_loop() -> None:
    async def ask(session: AsyncDbSession, n: int) -> int:
        value: int = await session.query_value("SELECT $1::int", [n])
        return value

    async def main() -> None:
        sessions = await connect(3)
        tasks.extend(asyncio.ensure_future(ask(s, n)) for n, s in enumerate(sessions))
        await send_all(tasks)
        answers = asyncio.gather(*tasks)
        loop.signals = 1
        await answers

    loop = Interrupted()
    tasks: list[asyncio.Task[int]] = []
    task = loop.create_task(main())
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(task)
    loop.run_until_complete(asyncio.wait_for(task, 10))
    assert [t.result() for t in tasks] == [0, 1, 2]
    loop.run_until_complete(end(3))
    loop.close()


class Nested(asyncio.SelectorEventLoop):
    """What nest_asyncio makes of a loop: it can be run within a step."""

    _nest_patched = True

    def run_within(self, task: asyncio.Task[Any]) -> Any:
        loop: Any = self
        outer: Any = asyncio.current_task()
        asyncio.tasks._leave_task(self, outer)
        for _ in range(1000):
            if task.done():
                break
            self.call_soon(int)  # some for the run around this one, which has counted what it had
            self.call_soon(int)
            loop._run_once()
            time.sleep(0.001)
        asyncio.tasks._enter_task(self, outer)
        return task.result()


def test_a_loop_that_is_run_within_a_step() -> None:
    async def ask(session: AsyncDbSession, n: int) -> int:
        value: int = await session.query_value("SELECT $1::int", [n])
        if not first:
            first.append(n)
            for other in (*tasks[:n], *tasks[n + 1 :]):
                loop.run_within(other)
            again: asyncio.Task[Any] = loop.create_task(session.query_value("SELECT 7"))
            assert loop.run_within(again) == 7
        return value

    async def main() -> None:
        sessions = await connect(3)
        tasks.extend(asyncio.ensure_future(ask(s, n)) for n, s in enumerate(sessions))
        await send_all(tasks)
        assert await asyncio.gather(*tasks) == [0, 1, 2]
        await end(3)

    loop = Nested()
    tasks: list[asyncio.Task[int]] = []
    first: list[int] = []
    loop.run_until_complete(asyncio.wait_for(main(), 20))
    loop.close()


def test_a_task_that_nobody_refers_to_goes_on(loop: asyncio.AbstractEventLoop) -> None:
    async def work() -> None:
        done.append(await adb("r").query_value("SELECT 7 FROM pg_sleep(0.1)"))
        await afinalize_db("r")

    async def main() -> None:
        asyncio.ensure_future(work())  # noqa: RUF006 - as a program does that fires and forgets
        await asyncio.sleep(0.02)
        gc.collect()
        await asyncio.sleep(0.2)

    done: list[int] = []
    loop.run_until_complete(main())
    assert done == [7]


def test_an_operation_whose_task_leaves_when_its_turn_comes_is_kept_no_longer(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def leave(session: AsyncDbSession, soon: bool) -> None:
        first = asyncio.ensure_future(session.query_value("SELECT 1"))
        second = asyncio.ensure_future(session.query_value("SELECT 2"))
        await send_all([first, second])
        if soon:  # whichever of the two the loop sees to before the answer
            loop.call_soon(second.cancel)
        else:
            second.cancel()
        await asyncio.wait([first, second])
        assert second.cancelled()

    async def main() -> None:
        session = adb("r")
        await session.query_value("SELECT 1")
        for soon in (False, True):
            await leave(session, soon)
        assert await session.query_value("SELECT 3") == 3
        gc.collect()
        assert not any(type(o) is _native.Operation for o in gc.get_objects())
        await afinalize_db("r")

    loop.run_until_complete(main())


def test_a_task_that_nobody_can_wake_any_more_is_garbage() -> None:
    async def ask() -> None:
        await adb("r").query("SELECT pg_sleep(10)")

    loop = asyncio.new_event_loop()
    task = loop.create_task(ask())
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()
    loop.set_exception_handler(lambda *_: None)  # of a pending task that goes
    gone = weakref.ref(task)
    del task, loop
    gc.collect()
    assert gone() is None
    finalize_db("r")


def test_each_thread_knows_its_own_loop() -> None:
    """In the middle of a woken task's step another thread begins one of its own."""

    def run(n: int) -> None:
        async def main() -> None:
            async with scope():
                for i in range(50):
                    await asyncio.sleep(0)
                    assert await adb().query_value("SELECT $1::int", [i]) == i
                    time.sleep(0.001)

        loop = uvloop.new_event_loop() if n % 2 else asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()

    in_threads(4, run)
    wait_until(lambda: Database.status().in_use == 0)
