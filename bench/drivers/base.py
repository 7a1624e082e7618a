"""What a driver must offer to be measured: each shape of work, as a function that runs it n times.

Every result is a dict (or a list of them), statements use $1 placeholders, and keys go round
1..KEYS so that no driver can profit from asking for the same row twice.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

KEYS = 1000

_T = TypeVar("_T")

Row = dict[str, Any]
Timed = Callable[[int], float]
"""Runs an operation n times and answers the seconds that took."""


def key(i: int) -> int:
    return i % KEYS + 1


def arrivals(count: int) -> list[tuple[int, str, float]]:
    """The rows that execute_many inserts."""
    return [(i, f"row number {i}", i * 1.25) for i in range(count)]


class Driver(ABC):
    """One library, connected to one server."""

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def rows(self, sql: str) -> list[Row]:
        """All rows of a query, for comparing values and memory."""

    @abstractmethod
    def one(self, statements: Sequence[str], keyed: bool) -> Timed:
        """One row by each of the statements in turn; keyed: with a key as $1."""

    @abstractmethod
    def all(self, sql: str) -> Timed:
        """All rows of a query."""

    def into(self, sql: str, word: str) -> Timed:
        """All rows of a query as objects of a class of bench.row_classes; only some drivers can."""
        raise NotImplementedError

    def batch(self, sql: str, together: bool, count: int) -> Timed:
        """`count` keyed queries, in one write or one by one; only some drivers can."""
        raise NotImplementedError

    def copy(self, way: str, count: int) -> Timed:
        """COPY of `count` rows, in one of the ways of bench.copies; only some drivers can."""
        raise NotImplementedError

    def orm(self, what: str) -> Timed:
        """A piece of work of SQLAlchemy's; only `bench.drivers.orm_driver` can."""
        raise NotImplementedError

    @abstractmethod
    def request(self, select: str, update: str, count: int, connections: int) -> Timed:
        """Acquire from the pool, begin, select a row, update it, commit, release; by `count` tasks
        at once where the driver is asynchronous.
        """

    @abstractmethod
    def many(self, insert: str, clear: str, count: int) -> Timed:
        """One statement for `count` rows; `clear` undoes it, outside the measured time."""

    @abstractmethod
    def crowd(self, sql: str, count: int, connections: int) -> Timed:
        """Keyed queries, each on a connection of the pool, by `count` threads or tasks at once."""


def repeat(body: Callable[[int], object]) -> Timed:
    """Time a plain function; it is given the number of its call."""

    def run(loops: int) -> float:
        start = perf_counter()
        for i in range(loops):
            body(i)
        return perf_counter() - start

    return run


def repeat_threads(body: Callable[[int], object], count: int) -> Timed:
    """Time a plain function called by many threads; starting them is not measured."""

    def run(loops: int) -> float:
        ready = threading.Barrier(count + 1)
        done = threading.Barrier(count + 1)
        failures: list[BaseException] = []

        def work(first: int) -> None:
            ready.wait()
            try:
                for i in range(first, loops, count):
                    body(i)
            except BaseException as failure:  # handed to the caller, who re-raises it
                failures.append(failure)
            done.wait()

        threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
        for thread in threads:
            thread.start()
        ready.wait()
        start = perf_counter()
        done.wait()
        seconds = perf_counter() - start
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return seconds

    return run


Body = Callable[[int], Awaitable[object]]


async def time_tasks(body: Body, loops: int, count: int = 1) -> float:
    """Time a coroutine function called by `count` tasks."""
    import asyncio

    async def work(first: int) -> None:
        for i in range(first, loops, count):
            await body(i)

    start = perf_counter()
    if count == 1:
        await work(0)
    else:
        await asyncio.gather(*(work(n) for n in range(count)))
    return perf_counter() - start


class AsyncDriver(Driver):
    """A driver's asynchronous side, where the main table measures its blocking one."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(url)
        self.loop = loop

    def wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self.loop.run_until_complete(work)

    def timed(self, body: Body, count: int = 1) -> Timed:
        return lambda loops: self.wait(time_tasks(body, loops, count))

    def many(self, insert: str, clear: str, count: int) -> Timed:
        """Not part of the table for coroutines."""
        raise NotImplementedError
