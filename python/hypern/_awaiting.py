"""The parts of an awaited operation that are Python: the extension calls these functions.

An operation whose task has been cancelled ends in the background, where these functions report its
outcome.
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

# The operations whose failure must be reported; that of any other has no consequence.
_REPORTED = frozenset(("commit", "_leave", "_finalize"))

_ROWS = 1000  # rows of an async iterable to collect at a time

_tasks: set[asyncio.Task[None]] = set()  # the event loop only has weak references to them


async def call_hooks(hooks: list[Callable[[], Any]]) -> None:
    """Call every on_commit function, in order, and await its result if that is awaitable; then
    raise the first failure. The others are logged.
    """
    first: BaseException | None = None
    for hook in hooks:
        try:
            result = hook()
            if inspect.isawaitable(result):
                await result
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
    """Report the outcome of an operation whose task was cancelled, and call its hooks."""
    if exception is not None and method in _REPORTED:
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
            "request %r committed, but there is no event loop to call its on_commit functions",
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
    """The exception to throw into `take_rows` when its operation has run out of time."""
    return asyncio.CancelledError("execute_many has run out of time")
