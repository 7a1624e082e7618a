"""The process's side of the connections that listen: who wants which channel, and who gets what.

The core has one connection per alias and reports what happens on it, in order. One daemon thread
waits for that on a descriptor and passes it on to the mailboxes of the listeners.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import threading
from typing import TYPE_CHECKING, Any

from hypern import _native, errors
from hypern.listening.events import Notification, Reconnected
from hypern.pool import registry

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from hypern.listening.mailbox import Mailbox


OF_THE_PARENT = "the listener belongs to the parent process; call listen() in the forked child"


class Hub:
    """The listeners of a process. A forked child has a new one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all below
        self._serial = 0
        self._boxes: dict[str, dict[str, set[Mailbox]]] = {}  # by alias and channel
        self._waiting: dict[str, dict[Mailbox, int]] = {}  # by alias: the serial that it waits for
        self._thread: threading.Thread | None = None
        self._descriptor: int | None = None

    def join(self, box: Mailbox) -> None:
        """Have the channels of a mailbox listened to; `ready` or `end` of it tells the outcome."""
        registry.load(box.alias)
        with self._lock:
            self._start()
            channels = self._boxes.setdefault(box.alias, {})
            for channel in box.channels:
                channels.setdefault(channel, set()).add(box)
            self._serial += 1
            box.serial = self._serial
            self._waiting.setdefault(box.alias, {})[box] = self._serial
            try:
                self._want(box.alias)
            except BaseException:
                self._remove(box)
                raise

    def leave(self, box: Mailbox) -> None:
        """Nothing goes to the mailbox any more."""
        with self._lock:
            if self._remove(box):
                self._want_anew(box.alias)

    def _remove(self, box: Mailbox) -> bool:
        self._waiting.get(box.alias, {}).pop(box, None)
        channels = self._boxes.get(box.alias, {})
        found = False
        for channel in box.channels:
            boxes = channels.get(channel)
            if boxes is not None and box in boxes:
                found = True
                boxes.remove(box)
                if not boxes:
                    del channels[channel]
        return found

    def _want_anew(self, alias: str) -> None:
        self._serial += 1
        with contextlib.suppress(errors.Error):  # the pool was closed, and the connection with it
            self._want(alias)

    def _want(self, alias: str) -> None:
        parts = (alias, str(self._serial), *self._boxes.get(alias, ()))
        _native.pool_call("LISTEN", "\0".join(parts))

    def _start(self) -> None:
        if self._thread is not None:
            return
        if self._descriptor is None:
            self._descriptor, _ = _native.pool_call("HEARD_FD", "")
        thread = threading.Thread(
            target=self._serve, args=(self._descriptor,), name="hypern-listen", daemon=True
        )
        thread.start()  # it may be refused; the next listener tries again
        self._thread = thread

    def _serve(self, descriptor: int) -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        try:
            while True:
                poll.poll()
                _, heard = _native.pool_call("HEARD", "")
                self._take(json.loads(heard) or [])
        except Exception as error:  # the core has failed, or the memory is used up
            self._end_all(error)

    def _take(self, heard: list[dict[str, Any]]) -> None:
        """Pass on what has happened, then wake those who wait for it: each event loop once."""
        awake: set[Mailbox] = set()
        with self._lock:
            for event in heard:
                awake.update(self._deliver(event))
            self._drop(box for box in awake if box.is_over)
        if unread := wake(awake):
            with self._lock:
                self._drop(unread)

    def _drop(self, boxes: Iterable[Mailbox]) -> None:
        for alias in {box.alias for box in boxes if self._remove(box)}:
            self._want_anew(alias)

    def _deliver(self, event: dict[str, Any]) -> Iterable[Mailbox]:
        alias, kind = event["alias"], event["kind"]
        channels = self._boxes.get(alias, {})
        waiting = self._waiting.get(alias, {})
        if kind == "notified":
            item = Notification(event["channel"], event.get("payload", ""), event["pid"])
            boxes = [box for box in channels.get(item.channel, ()) if box not in waiting]
            for box in boxes:
                box.put(item)
            return boxes
        if kind == "back":
            boxes = [box for box in _all(channels) if box not in waiting]
            for box in boxes:
                box.put(Reconnected())
            return boxes
        if kind == "closed":
            # The alias may be configured again already, and have other listeners.
            boxes = [box for box in _all(channels) if box.serial <= event.get("serial", 0)]
            text = f'database "{alias}" was closed; its listeners have ended'
            for box in boxes:
                box.end(errors.PoolClosed(text))
                waiting.pop(box, None)
            return boxes
        served = [box for box, serial in waiting.items() if serial <= event.get("serial", 0)]
        for box in served:
            del waiting[box]
            if kind == "ready":
                box.ready()
            else:
                box.end(errors.from_core(json.dumps(event["fault"]).encode()))
        return served

    def _end_all(self, error: Exception) -> None:
        with self._lock:
            boxes = {box for channels in self._boxes.values() for box in _all(channels)}
            for box in boxes:
                box.end(error)
                self._remove(box)
            self._thread = None  # the next listener starts another one
        wake(boxes)

    def forked(self) -> None:
        """In a forked child: its listeners and its descriptor are the parent's."""
        for channels in self._boxes.values():
            for box in _all(channels):
                box.forked(errors.InterfaceError(OF_THE_PARENT))
        if self._descriptor is not None:
            os.close(self._descriptor)


def _all(channels: dict[str, set[Mailbox]]) -> set[Mailbox]:
    return {box for boxes in channels.values() for box in boxes}


def wake(boxes: Iterable[Mailbox]) -> list[Mailbox]:
    """Wake the readers of these mailboxes. Returns those that have none, whose loop was closed."""
    unread: list[Mailbox] = []
    by_loop: dict[asyncio.AbstractEventLoop, list[Mailbox]] = {}
    for box in boxes:
        if box.loop is None:
            box.notify()
        else:
            by_loop.setdefault(box.loop, []).append(box)
    for loop, its in by_loop.items():
        try:
            loop.call_soon_threadsafe(_notify_all, its)
        except RuntimeError:
            for box in its:
                box.end(errors.InterfaceError("the listener's event loop was closed"))
            unread += its
    return unread


def _notify_all(boxes: list[Mailbox]) -> None:
    for box in boxes:
        box.notify()


_hub = Hub()


def current() -> Hub:
    """The hub of this process."""
    return _hub


def _renew() -> None:
    global _hub
    _hub.forked()
    _hub = Hub()


os.register_at_fork(after_in_child=_renew)
