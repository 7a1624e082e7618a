"""The attempts of `run()`, which repeats a transaction that gave way to another one."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypern.errors import DeadlockDetected, Error, InterfaceError, SerializationFailure

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST_PAUSE_SECS = 0.01  # about as long as a few short transactions
_LONGEST_PAUSE_SECS = 1.0


class Attempt:
    """One attempt, a context manager around its transaction.

    It suppresses an error after which the transaction can be repeated.
    """

    __slots__ = ("_is_committed", "_is_last", "_number")

    def __init__(self, number: int, *, is_last: bool) -> None:
        self._number = number
        self._is_last = is_last
        self._is_committed = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        return not self._is_last and isinstance(error, Error) and self._can_be_repeated(error)

    def committed(self) -> None:
        """The attempt's own on_commit function."""
        self._is_committed = True

    def pause(self) -> float:
        """Seconds to wait before the next attempt."""
        seconds = min(_FIRST_PAUSE_SECS * 2.0 ** min(self._number, 10), _LONGEST_PAUSE_SECS)
        return seconds * random.uniform(0.5, 1.5)  # so that two transactions do not collide again

    def _can_be_repeated(self, error: Error) -> bool:
        """Whether the attempt gave way to another transaction, and nothing was committed.

        An on_commit function runs after the commit, so its errors do not count. If fn has caught
        the error, the commit raises TransactionAborted with that error as its cause.
        """
        causes = (error, error.__cause__)
        gave_way = any(isinstance(e, (SerializationFailure, DeadlockDetected)) for e in causes)
        return gave_way and not self._is_committed


def attempts(retries: object, *, is_in_transaction: bool) -> Iterator[Attempt]:
    """The attempts of `run()`. Raises if the session or `retries` does not allow any."""
    if not isinstance(retries, int) or isinstance(retries, bool):
        raise TypeError(f"retries must be an int, not {type(retries).__name__}")
    if retries < 0:
        raise ValueError("retries must be 0 or more")
    if is_in_transaction:
        raise InterfaceError(
            "run() cannot be used inside an open transaction, which it could not repeat as a "
            "whole; use transaction() there, which nests"
        )
    return (Attempt(number, is_last=number == retries) for number in range(retries + 1))
