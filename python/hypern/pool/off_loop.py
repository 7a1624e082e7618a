"""Closes pools for a coroutine: in a thread, so that the event loop goes on.

The threads are not those of `asyncio.to_thread`, which handlers may occupy while they wait for the
very connections that closing would take from them.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    _T = TypeVar("_T")

_log = logging.getLogger("hypern")

_MAX_THREADS = 4  # each waits for one close; a thread starts when it is needed

_executor: ThreadPoolExecutor | None = None


async def off_loop(work: Callable[..., _T], *args: object) -> _T:
    """Call `work(*args)` in a thread, in this context. It runs to its end even if this task is
    cancelled meanwhile; an exception is then logged.
    """
    global _executor
    if _executor is None:
        _executor = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="hypern-close")
    context = contextvars.copy_context()
    try:
        future = asyncio.get_running_loop().run_in_executor(_executor, context.run, work, *args)
    except RuntimeError:
        # The interpreter is shutting down and starts no more threads, so this one has to wait.
        return work(*args)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        future.add_done_callback(_log_failure)
        raise


def _log_failure(future: asyncio.Future[_T]) -> None:
    if not future.cancelled() and future.exception() is not None:
        _log.error("closing pools in a cancelled task failed", exc_info=future.exception())


def _forget_threads() -> None:
    global _executor
    _executor = None


os.register_at_fork(after_in_child=_forget_threads)
