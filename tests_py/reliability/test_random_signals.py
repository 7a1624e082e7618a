"""A signal handler raises at a random microsecond of a request: a job queue's soft time limit, an
alarm, Ctrl-C, or a lack of memory.

Whatever it strikes, the connection is given back, no work of a block that an exception has left is
committed, and what the handler raised is seen.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from reliability.own_server import OwnServer
from reliability.tally import Tally
from support import wait_until

from hypern import errors
from hypern.database import Database, DbSession, adb, afinalize_db, db, finalize_db, scope

_TRIES = 50_000  # of the full run, both kinds together
_SAMPLE = 800

# After that a try is taken for stuck. asyncio catches what is raised in its own code around a
# callback, and loses the callback if that has not been called yet; then its task waits for ever.
_STUCK_SECS = 1.0

_ONE = "INSERT INTO halves VALUES ($1)"


class _SoftLimit(Exception):  # noqa: N818 - named as job queues name theirs
    """What a soft time limit raises: an Exception, which an `except Exception` would swallow."""


class _Bomb:
    """Has a handler raise in the main thread at a random moment of what is run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.longest = 0.002  # seconds: a little more than a try takes
        self.raised: BaseException | None = None
        self.stuck = False

    def __enter__(self) -> _Bomb:
        self._handler = signal.signal(signal.SIGALRM, self._go_off)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler)

    def _go_off(self, number: int, frame: object) -> None:
        if self.raised is not None:
            self.stuck = True
            raise KeyboardInterrupt
        signal.setitimer(signal.ITIMER_REAL, _STUCK_SECS)
        self.raised = self.random.choice((_SoftLimit, KeyboardInterrupt, MemoryError))()
        raise self.raised

    def during(self, work: Callable[[], None]) -> BaseException | None:
        """Run it; what it ended with."""
        self.raised, self.stuck = None, False
        outcome: BaseException | None = None
        began = time.perf_counter()
        try:
            signal.setitimer(signal.ITIMER_REAL, self.random.uniform(1e-6, self.longest))
            try:
                work()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except BaseException as error:
            outcome = error
        if self.raised is None:
            self.longest += (1.2 * (time.perf_counter() - began) - self.longest) / 50
        return outcome


class _Mine(Exception):  # noqa: N818 - it is no error
    """What leaves a block."""


@pytest.fixture
def halves(own_server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[DbSession]:
    """The table `halves`, and a pool "signals" of two connections; a session that looks."""
    # The logging module swallows what a handler raises while a line is being written.
    monkeypatch.setattr(logging.getLogger("hypern"), "disabled", True)
    Database.configure(own_server.admin, alias="signals", max_size=2)
    look = db("look", alias="admin")
    look.execute("CREATE TABLE halves (n int)")
    yield look
    look.execute("DROP TABLE halves")
    finalize_db("look")
    Database.close("signals")


# What a request does. Each leaves its block by an exception, or does its work in two halves.


def _scoped(n: int) -> None:
    with scope():
        session = db(alias="signals")
        with session.transaction():
            session.execute(_ONE, [n])
            session.execute(_ONE, [n])
            if n < 0:
                raise _Mine


def _nested(n: int) -> None:
    with scope():
        session = db(alias="signals")
        with session.transaction():
            session.execute(_ONE, [n])
            with suppress(_Mine), session.transaction():
                session.execute(_ONE, [-1])
                raise _Mine
            session.execute(_ONE, [n])
            if n < 0:
                raise _Mine


def _finalized(n: int) -> None:
    """Auto-commit is on, and the block's exception is swallowed, as a careless job would."""
    try:
        with db("job", alias="signals").transaction():
            db("job", alias="signals").execute(_ONE, [n])
            db("job", alias="signals").execute(_ONE, [n])
            if n < 0:
                raise _Mine
    finally:
        finalize_db("job")


async def _ascoped(n: int) -> None:
    async with scope():
        session = adb(alias="signals")
        async with session.transaction():
            await session.execute(_ONE, [n])
            await session.execute(_ONE, [n])
            if n < 0:
                raise _Mine


async def _anested(n: int) -> None:
    async with scope():
        session = adb(alias="signals")
        async with session.transaction():
            await session.execute(_ONE, [n])
            with suppress(_Mine):
                async with session.transaction():
                    await session.execute(_ONE, [-1])
                    raise _Mine
            await session.execute(_ONE, [n])
            if n < 0:
                raise _Mine


async def _afinalized(n: int) -> None:
    try:
        async with adb("job", alias="signals").transaction():
            await adb("job", alias="signals").execute(_ONE, [n])
            await adb("job", alias="signals").execute(_ONE, [n])
            if n < 0:
                raise _Mine
    finally:
        await afinalize_db("job")


class _Loop:
    """An event loop that is replaced after an exception in it, which may have lost a callback."""

    def __init__(self) -> None:
        self.told: dict[object, dict[str, Any]] = {}
        self._make()

    def _make(self) -> None:
        self._loop = asyncio.new_event_loop()
        # What is raised in the loop's own code, around a callback, it hands over instead.
        self._loop.set_exception_handler(self.told.__setitem__)

    def run(self, work: Callable[[int], object], n: int) -> None:
        """Run a coroutine function."""
        self._loop.run_until_complete(work(n))  # type: ignore[arg-type]

    def renew(self) -> None:
        """Drop the loop, with the tasks that still wait in it."""
        self.close()
        self._make()

    def close(self) -> None:
        """The last one. One that was struck as it began to run is taken to run until it is told."""
        asyncio._set_running_loop(None)
        with suppress(RuntimeError):
            self._loop.close()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, and what it was raised while handling.

    From CPython 3.14 on a handler may strike between a block's __enter__ and the `with` that would
    call its __exit__. The end of the session then finds the block open, and reports that as well.
    """
    while error is not None:
        yield error
        error = error.__context__


def _all_given_back() -> bool:
    return Database.status("signals").in_use == 0


# A coroutine may be struck between its making and its first step, and a finalizer anywhere.
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["blocking", "awaited"])
def test_a_signal_handler_that_raises_at_any_moment_leaks_and_commits_nothing(
    own_server: OwnServer, halves: DbSession, full: bool, tally: Tally, kind: str
) -> None:
    tries = (_TRIES if full else _SAMPLE) // 2
    unraisable: list[Any] = []  # as in a weak reference's callback
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    loop = _Loop()
    went_off = leaked = stuck = 0
    unseen: list[str] = []
    try:
        with _Bomb(seed=tries) as bomb:
            for i in range(1, tries + 1):
                n = -i if i % 2 else i
                if kind == "blocking":
                    work = (_scoped, _nested, _finalized)[i % 3]
                    outcome = bomb.during(lambda work=work, n=n: work(n))  # type: ignore[misc]
                else:
                    awork = (_ascoped, _anested, _afinalized)[i % 3]
                    outcome = bomb.during(lambda work=awork, n=n: loop.run(work, n))  # type: ignore[misc]
                    if bomb.raised is not None:
                        loop.renew()
                if bomb.raised is not None:
                    went_off += 1
                    seen = [told.exc_value for told in unraisable]
                    seen += [told.get("exception") for told in loop.told.values()]
                    if bomb.raised not in (*_chain(outcome), *seen):
                        unseen += traceback.format_exception(bomb.raised)
                        unseen += traceback.format_exception(outcome) if outcome else ["nothing"]
                    stuck += bomb.stuck and bomb.raised not in seen
                    del seen
                unraisable.clear()
                loop.told.clear()
                del outcome
                bomb.raised = None
                if i % 3 == 2:  # it may have struck before finalize_db() had begun
                    with suppress(errors.Error):
                        finalize_db("job")
                if not _all_given_back():
                    gc.collect()
                    try:
                        wait_until(_all_given_back, 2)
                    except AssertionError:
                        leaked += 1
                        break
    finally:
        loop.close()
        gc.collect()  # coroutines of loops that were dropped
        sys.unraisablehook = hook
    assert leaked == 0, f"after {went_off} signals, of {tries} tries"
    committed = halves.query(
        "SELECT n, count(*) FROM halves GROUP BY n HAVING n < 0 OR count(*) <> 2"
    )
    assert committed == []
    assert went_off > tries / 4
    assert not unseen, "".join(unseen)
    assert stuck == 0
    tally.add(
        f"a signal handler that raises at a random moment of a request, {kind}",
        tries,
        "0 leaked, 0 committed, and what it raised is seen",
    )
