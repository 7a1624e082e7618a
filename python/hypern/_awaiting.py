"""The parts of an awaited operation that are Python: the extension calls these functions.

An operation whose task has been cancelled ends in the background, where these functions report its
outcome.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable

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


async def execute_many(operation: _native.Operation[int | None], rows: AsyncIterable[Any]) -> int:
    """Await an operation that needs the rows of an async iterable, and returns None until it has
    them all.
    """
    try:
        iterator = aiter(rows)
    except BaseException:
        operation.close()
        raise
    while (count := await operation) is None:
        try:
            with _Limit(operation):
                operation._feed(*await _next_rows(iterator))
        except (asyncio.CancelledError, GeneratorExit):
            operation.close()  # it is cancelled in the background
            raise
        except BaseException as error:
            operation._fail(error)
    return count


async def _next_rows(iterator: AsyncIterator[Any]) -> tuple[list[Any], bool]:
    """The next rows, and whether there may be more."""
    rows: list[Any] = []
    while len(rows) < _ROWS:
        try:
            rows.append(await anext(iterator))
        except StopAsyncIteration:
            return rows, False
    return rows, True


class _Limit:
    """The time limit of an operation around the code that makes its rows, as `asyncio.timeout`.

    When the time has passed, the operation cancels the task. That is not the task's own end: the
    operation has the outcome.
    """

    __slots__ = ("_operation", "_requests", "_task")

    def __init__(self, operation: _native.Operation[int | None]) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        self._task: Any = asyncio.current_task()
        self._requests = _requests_to_cancel(self._task)

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> bool:
        if not self._operation._has_cancelled:
            return False
        if sys.version_info >= (3, 11):
            self._task.uncancel()
        is_limit = _requests_to_cancel(self._task) <= self._requests
        return is_limit and kind is not None and issubclass(kind, asyncio.CancelledError)


def _requests_to_cancel(task: Any) -> int:
    """How often cancel() was called on a task that has not ended; Python 3.10 does not count."""
    return task.cancelling() if sys.version_info >= (3, 11) and task is not None else 0
