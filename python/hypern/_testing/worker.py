"""A thread that finishes what it is given, whatever a signal handler raises where one waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

_T = TypeVar("_T")


class Worker:
    """Call it with a function: it is run to its end, or not at all, and its outcome handed on.

    Signal handlers run in the main thread only, so that none can leave such work half done. Work is
    done in the order in which it was given, also where its giver was interrupted and waits no more.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="hypern test", daemon=True)
        self._thread.start()

    def __call__(self, fn: Callable[[], _T]) -> _T:
        if self.is_here() or not self._thread.is_alive():
            return fn()  # not alive: in a forked child, or after the test
        job = _Job(fn)
        self._jobs.put(job)
        try:
            job.ended.acquire()
        except BaseException:
            if not job.is_over:  # what comes next must see all of it
                job.ended.acquire()
            raise
        outcome: _T = job.outcome()
        return outcome

    def is_here(self) -> bool:
        """Whether the caller is such work itself."""
        return threading.get_ident() == self._thread.ident

    def stop(self) -> None:
        """End the thread, once it has done what it was given."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()


class _Job:
    def __init__(self, fn: Callable[[], Any]) -> None:
        self._fn = fn
        self._result: Any = None
        self._error: BaseException | None = None
        self.is_over = False
        self.ended = threading.Lock()
        self.ended.acquire()

    def run(self) -> None:
        try:
            self._result = self._fn()
        except BaseException as error:  # the giver's to see
            self._error = error
        finally:
            self.is_over = True  # before the release: so the giver knows whether it has seen that
            self.ended.release()

    def outcome(self) -> Any:
        error, self._error = self._error, None  # else the traceback and the job hold each other
        if error is not None:
            raise error
        return self._result
