"""What a listener has not read yet, and who waits for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from hypern import errors

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType

    from hypern.listening.events import Notification, Reconnected

QUEUE_MAX = 10_000  # notifications that a listener has not read


class Mailbox:
    """The queue of one listener, which the hub's thread fills and one thread or event loop reads.

    `notify` calls what `on_notify` has been given, in the event loop's thread if there is a loop,
    else in the hub's. An error ends the queue behind what it holds.
    """

    def __init__(
        self, alias: str, channels: tuple[str, ...], loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self.alias = alias
        self.channels = channels
        self.loop = loop
        self.is_ready = False
        self.serial = 0  # the hub's, when it joined
        self._items: deque[Notification | Reconnected] = deque()
        self._error: BaseException | None = None
        self._traceback: TracebackType | None = None  # as the error came
        # Each is locked until there is news. No condition: its lock could be another thread's as
        # the process forks, and the child could not end the wait.
        self._waiters: set[threading.Lock] = set()
        self._callbacks: set[Callable[[], object]] = set()

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come."""
        return self._error is not None

    def ready(self) -> None:
        """The server listens to the channels."""
        self.is_ready = True

    def put(self, item: Notification | Reconnected) -> None:
        """Add an event. One too many ends the queue."""
        if self._error is not None:
            return
        if len(self._items) >= QUEUE_MAX:
            text = (
                f"the listener has not read {QUEUE_MAX:,} notifications, and was ended so "
                "that none is lost silently: read faster, or look up what there is, and listen anew"
            )
            self.end(errors.OperationalError(text))
            return
        self._items.append(item)

    def end(self, error: BaseException) -> None:
        """End the queue with an error, unless it has ended."""
        if self._error is None:
            self._traceback = error.__traceback__
            self._error = error

    def take(self) -> Notification | Reconnected | None:
        """The next event; None while there is none. Raises what has ended the queue."""
        if self._items:
            return self._items.popleft()
        if self._error is not None:
            raise self._error.with_traceback(self._traceback)  # it may be raised often
        return None

    def check(self) -> bool:
        """Whether the server listens. Raises what has ended the queue."""
        if self._error is not None:
            raise self._error.with_traceback(self._traceback)
        return self.is_ready

    def notify(self) -> None:
        """Wake who waits."""
        self._unlock()
        for callback in list(self._callbacks):
            callback()

    def forked(self, error: BaseException) -> None:
        """In a forked child: end the queue, and a wait that a signal handler has forked in."""
        self.end(error)
        self._unlock()

    def _unlock(self) -> None:
        for waiter in list(self._waiters):
            with contextlib.suppress(RuntimeError):  # it is unlocked already
                waiter.release()

    def wait(self, holds: Callable[[], bool], timeout: float | None) -> None:
        """Wait in this thread until `holds()` is true, or the time has passed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        waiter = threading.Lock()
        waiter.acquire()
        self._waiters.add(waiter)
        try:
            while not holds():
                left = -1 if deadline is None else deadline - time.monotonic()
                if deadline is not None and left <= 0:
                    return
                waiter.acquire(timeout=min(left, threading.TIMEOUT_MAX))
        finally:
            self._waiters.discard(waiter)

    def has_news(self) -> bool:
        """Whether `take` would return at once, with an event or an error."""
        return bool(self._items) or self._error is not None

    def has_answer(self) -> bool:
        """Whether it is known if the server listens."""
        return self.is_ready or self._error is not None

    def add_callback(self, callback: Callable[[], object]) -> None:
        """Have `notify` call a function."""
        self._callbacks.add(callback)

    def remove_callback(self, callback: Callable[[], object]) -> None:
        """Undo `add_callback`."""
        self._callbacks.discard(callback)
