"""One course of action for blocking and awaited callers: a generator of steps, run in two ways.

Such a generator takes a `View` first. It calls methods of the sessions that the view returns, and
yields what they return: a result if the session is blocking, an operation if it is awaited. `now`
sends a result back as it is; `later` awaits the operation and sends its result. Either way an
exception is raised at the yield.

    now(finalizing(blocking, request_id))
    await later(finalizing(awaited, request_id))
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar

from hypern import _native

_T = TypeVar("_T")

View: TypeAlias = Callable[[_native.Session], "_native.Session | _native.AsyncSession"]
Steps: TypeAlias = Generator[Any, Any, _T]


def blocking(session: _native.Session) -> _native.Session:
    """The view for `now`."""
    return session


def awaited(session: _native.Session) -> _native.AsyncSession:
    """The view for `later`."""
    return _native.AsyncSession(session)


# Runs a course of action to its end, blocking: now(steps) returns what the generator returns.
now = _native.now


async def later(steps: Steps[_T]) -> _T:
    """Run a course of action to its end, awaiting each step."""
    resume: Callable[[Any], Any] = steps.send
    value: Any = None
    try:
        while True:
            try:
                step = resume(value)
            except StopIteration as end:
                outcome: _T = end.value
                return outcome
            try:
                value = await step
                resume = steps.send
            except BaseException as error:
                resume, value = steps.throw, error
    finally:
        value = None  # an exception that leaves would refer to itself


def in_block(session: Any, steps: Steps[_T]) -> Steps[_T]:
    """Run a course of action in a transaction() block of the session."""
    block: Any = session.transaction()
    awaited = hasattr(block, "__aenter__")
    enter, leave = (
        (block.__aenter__, block.__aexit__) if awaited else (block.__enter__, block.__exit__)
    )
    yield enter()
    try:
        outcome = yield from steps
    except BaseException as error:
        yield leave(type(error), error, error.__traceback__)
        raise
    yield leave(None, None, None)
    return outcome
