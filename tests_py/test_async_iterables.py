"""`execute_many` with an async iterable: what its code may do, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from support import numbers_seen_by_others, wait_until

from hypern import errors
from hypern.database import Database, adb, afinalize_db, db, scope

pytestmark = pytest.mark.usefixtures("numbers", "configured")

INSERT = "INSERT INTO numbers VALUES ($1)"


def count() -> Awaitable[int]:
    return adb("r").query_value("SELECT count(*) FROM numbers")


def run(loop: asyncio.AbstractEventLoop, main: Callable[[], Any]) -> None:
    async def whole() -> None:
        try:
            await main()
        finally:
            await afinalize_db("r")

    loop.run_until_complete(asyncio.wait_for(whole(), 30))
    loop.run_until_complete(loop.shutdown_asyncgens())
    wait_until(lambda: Database.status().in_use <= 1)  # the fixture's


class Row(list[object]):
    """A row to which there may be weak references."""


def test_a_chunk_of_rows_is_held_at_a_time(loop: asyncio.AbstractEventLoop) -> None:
    most = 0

    async def rows() -> AsyncIterator[list[object]]:
        nonlocal most
        alive: weakref.WeakSet[Row] = weakref.WeakSet()
        Row.__hash__ = object.__hash__  # type: ignore[assignment]
        for n in range(10_000):
            if n % 500 == 0:
                await asyncio.sleep(0)
                most = max(most, len(alive))
            row = Row([n])
            alive.add(row)
            yield row

    async def main() -> None:
        assert await adb("r").execute_many(INSERT, rows()) == 10_000

    run(loop, main)
    assert 0 < most < 2_500


def test_its_code_may_use_other_sessions(loop: asyncio.AbstractEventLoop) -> None:
    async def rows() -> AsyncIterator[list[int]]:
        for n in range(1, 4):
            async with scope():
                yield [await adb().query_value("SELECT $1::int", [n])]
        yield [db("other").query_value("SELECT 4")]
        await afinalize_db("other")

    async def main() -> None:
        assert await adb("r").execute_many(INSERT, rows()) == 4

    run(loop, main)
    assert numbers_seen_by_others() == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", [adb, db])
@pytest.mark.parametrize("sleeps", [False, True])
def test_its_code_cannot_use_the_session_that_it_makes_rows_for(
    loop: asyncio.AbstractEventLoop, kind: Callable[[str], Any], sleeps: bool
) -> None:
    refused: list[errors.InterfaceError] = []

    async def rows() -> AsyncIterator[list[int]]:
        yield [1]
        if sleeps:
            await asyncio.sleep(0.01)
        try:
            found = kind("r").query_value("SELECT 2")
            yield [await found if kind is adb else found]
        except errors.InterfaceError as error:
            refused.append(error)
        yield [3]

    async def main() -> None:
        assert await adb("r").execute_many(INSERT, rows()) == 2

    run(loop, main)
    assert numbers_seen_by_others() == [1, 3]
    assert "in the middle of" in str(refused[0])


def test_another_task_waits_for_its_turn_on_the_session(loop: asyncio.AbstractEventLoop) -> None:
    async def rows() -> AsyncIterator[list[int]]:
        for n in range(1200):
            if n % 400 == 0:
                started.set()
                await asyncio.sleep(0.02)
            yield [n]

    async def main() -> None:
        many = asyncio.ensure_future(adb("r").execute_many(INSERT, rows()))
        await started.wait()
        assert await count() == 1200
        assert await many == 1200

    started = asyncio.Event()
    run(loop, main)


class UnlikeError(Exception):
    """An error that nothing else raises."""


@pytest.mark.parametrize("after", [0, 1, 999, 1000, 1001, 2500])
def test_its_exception_is_the_outcome_and_nothing_is_committed(
    loop: asyncio.AbstractEventLoop, after: int
) -> None:
    error = UnlikeError()

    async def rows() -> AsyncIterator[list[int]]:
        for n in range(after):
            yield [n]
        raise error

    async def main() -> None:
        with pytest.raises(UnlikeError) as caught:
            await adb("r").execute_many(INSERT, rows())
        assert caught.value is error
        assert await count() == 0

    run(loop, main)


@pytest.mark.parametrize("bad", [0, 1, 999, 1000, 1700])
def test_a_row_that_cannot_be_encoded_is_named(loop: asyncio.AbstractEventLoop, bad: int) -> None:
    ended: list[bool] = []

    async def rows() -> AsyncIterator[list[object]]:
        try:
            for n in range(3000):
                yield ["no number" if n == bad else n]
        finally:
            ended.append(True)

    async def main() -> None:
        with pytest.raises(errors.DataError) as caught:
            await adb("r").execute_many(INSERT, rows())
        assert caught.value.row == bad
        assert await count() == 0

    run(loop, main)
    gc.collect()
    loop.run_until_complete(asyncio.sleep(0))
    assert ended == [True]


@pytest.mark.parametrize("bad", [0, 999, 1000, 1700])
def test_a_row_that_the_server_refuses_is_named(loop: asyncio.AbstractEventLoop, bad: int) -> None:
    ended: list[bool] = []

    async def rows() -> AsyncIterator[list[int]]:
        try:
            for n in range(3000):
                if n > bad:
                    await asyncio.sleep(0.001)  # the response may have come
                yield [7 if n == bad else n + 10]
        finally:
            ended.append(True)

    async def main() -> None:
        await adb("r").execute(INSERT, [7])
        with pytest.raises(errors.UniqueViolation) as caught:
            await adb("r").execute_many(INSERT, rows())
        assert caught.value.row == bad
        assert await count() == 1

    run(loop, main)
    gc.collect()
    loop.run_until_complete(asyncio.sleep(0))
    assert ended == [True]


class Closed:
    """An async iterator of which nobody has promised to close it."""

    def __init__(self, pause: float = 30) -> None:
        self.closes = 0
        self.given = 0
        self.pause = pause

    def __aiter__(self) -> Closed:
        return self

    async def __anext__(self) -> list[int]:
        self.given += 1
        if self.given == 3:
            await asyncio.sleep(self.pause)
        if self.given == 5:
            raise StopAsyncIteration
        return [self.given]

    async def aclose(self) -> None:
        self.closes += 1


def test_an_iterator_is_used_as_by_async_for(loop: asyncio.AbstractEventLoop) -> None:
    """Which closes nothing: whoever has made it may go on with it."""
    short, long = Closed(0), Closed()

    async def main() -> None:
        assert await adb("r").execute_many(INSERT, short) == 4
        many = asyncio.ensure_future(adb("r").execute_many(INSERT, long))
        while long.given < 3:
            await asyncio.sleep(0.01)
        many.cancel()
        with pytest.raises(asyncio.CancelledError):
            await many
        assert await count() == 4

    run(loop, main)
    assert (short.closes, long.closes) == (0, 0)


def cancels_left() -> int:
    """How many requests to cancel this task has not dealt with."""
    task: Any = asyncio.current_task()
    return task.cancelling() if sys.version_info >= (3, 11) else 0


@pytest.mark.parametrize("last", [1, 2000])
def test_an_iterator_may_swallow_the_end_of_its_time(
    loop: asyncio.AbstractEventLoop, last: int
) -> None:
    async def rows() -> AsyncIterator[list[int]]:
        yield [0]
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
        for n in range(last):
            yield [n + 1]

    async def main() -> None:
        await adb("r").query("SELECT 1")  # the time is not spent on connecting
        for timeout in (0.05, 0.0001):
            with pytest.raises(errors.QueryCanceled):
                await adb("r").execute_many(INSERT, rows(), timeout=timeout)
            assert cancels_left() == 0
        await asyncio.sleep(0)  # no request is left that would arrive here
        assert await count() == 0

    run(loop, main)


def test_its_time_passes_though_it_never_waits_for_long(loop: asyncio.AbstractEventLoop) -> None:
    ended: list[bool] = []

    async def rows() -> AsyncIterator[list[int]]:
        try:
            n = 0
            while True:
                await asyncio.sleep(0)
                yield [n]
                n += 1
        finally:
            ended.append(True)

    async def main() -> None:
        await adb("r").query("SELECT 1")
        with pytest.raises(errors.QueryCanceled):
            await adb("r").execute_many(INSERT, rows(), timeout=0.1)
        assert cancels_left() == 0
        assert await count() == 0

    run(loop, main)
    gc.collect()
    loop.run_until_complete(asyncio.sleep(0))
    assert ended == [True]


def test_an_iterator_may_swallow_a_cancellation(loop: asyncio.AbstractEventLoop) -> None:
    async def rows() -> AsyncIterator[list[int]]:
        yield [1]
        waits.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            yield [2]
        yield [3]

    async def main() -> None:
        many = asyncio.ensure_future(adb("r").execute_many(INSERT, rows()))
        await waits.wait()
        many.cancel()
        assert await many == 3

    waits = asyncio.Event()
    run(loop, main)
    assert numbers_seen_by_others() == [1, 2, 3]


def test_the_task_of_an_iterator_that_waits_is_dropped(loop: asyncio.AbstractEventLoop) -> None:
    class Waiting(Closed):
        async def __anext__(self) -> list[int]:
            self.given += 1
            if self.given == 3:
                await waits
            return [self.given]

    async def main() -> None:
        many: Any = adb("r").execute_many(INSERT, Waiting())
        while (step := many.send(None)) is not waits:
            answered: asyncio.Future[object] = loop.create_future()
            step.add_done_callback(answered.set_result)
            await answered
        many.close()
        assert await count() == 0

    waits: Any = loop.create_future()
    run(loop, main)


class Unready:
    """An async iterable that has no iterator."""

    def __aiter__(self) -> AsyncIterator[list[int]]:
        raise UnlikeError


def test_an_iterable_that_gives_no_iterator_takes_no_connection(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def main() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UnlikeError):
                await adb("r").execute_many(INSERT, Unready())
        assert adb("r").state == "idle"

    run(loop, main)


def test_one_that_is_never_awaited_is_named_once(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            adb("r").execute_many(INSERT, Closed())  # type: ignore[unused-coroutine]
            gc.collect()
        (warning,) = caught
        assert "never awaited" in str(warning.message)
        assert "execute_many" in str(warning.message)

    run(loop, main)


def test_its_arguments_are_checked_at_the_call(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        execute_many: Any = adb("r").execute_many
        for arguments in ((7, Closed()), (INSERT, Closed(), 3)):
            with pytest.raises(TypeError):
                execute_many(*arguments)
        with pytest.raises(TypeError):
            execute_many(INSERT, Closed(), timeout="soon")
        many = execute_many(INSERT, Closed(0))
        await many
        with pytest.raises(RuntimeError, match="await"):
            await many

    run(loop, main)
