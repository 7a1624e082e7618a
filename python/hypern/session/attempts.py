"""`run()` of both sessions: a transaction repeated where the server gave it up for others."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from typing import TYPE_CHECKING, TypeVar

from hypern.errors import DeadlockDetected, Error, InterfaceError, SerializationFailure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hypern._async_session import AsyncDbSession
    from hypern._session import DbSession

_T = TypeVar("_T")
_S = TypeVar("_S", bound="DbSession")
_A = TypeVar("_A", bound="AsyncDbSession")

_FIRST_PAUSE = 0.01  # seconds: a few short transactions of the others
_LONGEST_PAUSE = 1.0


def run(session: _S, fn: Callable[[_S], _T], retries: int) -> _T:
    """What `DbSession.run` says."""
    check_start(session, retries)
    for attempt in itertools.count():
        outcome = Outcome()
        try:
            with session.transaction():
                session.on_commit(outcome.commits)
                return fn(session)
        except Error as error:
            if attempt >= retries or not outcome.repeatable(error):
                raise
        time.sleep(pause(attempt))
    raise AssertionError("unreachable")


async def arun(session: _A, fn: Callable[[_A], Awaitable[_T]], retries: int) -> _T:
    """What `AsyncDbSession.run` says."""
    check_start(session, retries)
    for attempt in itertools.count():
        outcome = Outcome()
        try:
            async with session.transaction():
                session.on_commit(outcome.commits)
                return await fn(session)
        except Error as error:
            if attempt >= retries or not outcome.repeatable(error):
                raise
        await asyncio.sleep(pause(attempt))
    raise AssertionError("unreachable")


class Outcome:
    """Whether an attempt was committed: an error of an on_commit function comes after that."""

    __slots__ = ("_committed",)

    def __init__(self) -> None:
        self._committed = False

    def commits(self) -> None:
        """The attempt's own on_commit function."""
        self._committed = True

    def repeatable(self, error: BaseException) -> bool:
        """Whether the attempt came to nothing, for the sake of other transactions.

        A TransactionAborted counts by its cause: fn caught the error, and the commit told.
        """
        causes = (error, error.__cause__)
        gave_way = any(isinstance(e, (SerializationFailure, DeadlockDetected)) for e in causes)
        return gave_way and not self._committed


def check_start(session: DbSession | AsyncDbSession, retries: object) -> None:
    """Raise unless `run` can begin on the session."""
    if not isinstance(retries, int) or isinstance(retries, bool):
        raise TypeError(f"retries must be an int, not {type(retries).__name__}")
    if retries < 0:
        raise ValueError("retries must be 0 or more")
    if session.is_in_transaction:
        raise InterfaceError(
            "run() inside an open transaction: it could not be repeated as a whole; "
            "use transaction() there, which nests"
        )


def pause(attempt: int) -> float:
    """Seconds to wait after an attempt, numbered from 0; jitter, so that two do not meet again."""
    return min(_FIRST_PAUSE * 2.0**attempt, _LONGEST_PAUSE) * random.uniform(0.5, 1.5)
