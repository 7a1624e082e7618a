"""What follows from an awaited operation, in Python: the extension calls these.

An operation whose task has left (it was cancelled) ends in the background; what it leaves behind
is seen to here.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from hypern import _native

_log = logging.getLogger("hypern")

# The operations of which nobody may miss that they failed; the others were only in the way.
_MATTERING = frozenset(("commit", "_leave", "_finalize"))

_ROWS = 1000  # of an async iterable held at a time

_tasks: set[asyncio.Task[None]] = set()  # the event loop itself has weak references only


async def call_hooks(hooks: list[Callable[[], Any]]) -> None:
    """Call the functions given to on_commit, in order, all of them, and await what is awaitable;
    then raise the first failure. The others are logged.
    """
    first: BaseException | None = None
    for hook in hooks:
        try:
            answer = hook()
            if inspect.isawaitable(answer):
                await answer
        except BaseException as error:
            if first is None:
                first = error
            else:
                _log.error("the on_commit function %r failed too", hook, exc_info=error)
    if first is not None:
        raise first


def settle_detached(
    session: _native.Session,
    method: str,
    exception: BaseException | None,
    hooks: list[Callable[[], Any]] | None,
) -> None:
    """See to what a cancelled task's operation came to."""
    if exception is not None and method in _MATTERING:
        _log.error(
            "%s() of request %r failed after its task was cancelled",
            method,
            session.request_id,
            exc_info=exception,
        )
    if not hooks:
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        _log.error(
            "request %r committed, but its on_commit functions have no event loop left",
            session.request_id,
        )
        return
    task = loop.create_task(call_hooks(hooks))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def take_rows(rows: AsyncIterator[Any]) -> tuple[list[Any], bool]:
    """The next rows for execute_many, and whether there may be more."""
    taken: list[Any] = []
    while len(taken) < _ROWS:
        try:
            taken.append(await anext(rows))
        except StopAsyncIteration:
            return taken, False
    return taken, True


def stop_feeding() -> BaseException:
    """What `take_rows` is told when its operation's time has run out."""
    return asyncio.CancelledError("execute_many has run out of time")
