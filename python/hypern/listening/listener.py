"""`listen()` and the listeners that it gives, for threads and for coroutines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypern.errors import InterfaceError, OperationalError
from hypern.listening import hub
from hypern.listening.events import Notification, Reconnected
from hypern.listening.mailbox import Mailbox
from hypern.pool import registry
from hypern.session.notify import check_channel

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self


def listen(*channels: str, alias: str = "default") -> Listening:
    """Listen to channels: `with listen("orders") as events: for event in events: ...`, or `async
    with` and `async for`.

    channels: str, names as NOTIFY has them in quotes. All listeners of the process share one
    connection for an alias, which is none of the pool's. Once the block is entered, nothing is
    missed but what is sent while a lost connection is made anew, after which an event is a
    `Reconnected`. Raises DataError for a name that cannot be a channel, ConfigurationError for an
    unknown alias, NotSupportedError behind a pooler that shares its servers, unless
    `Database.configure(listen_url=...)` leads past it, and what keeps the connection from being
    made.
    """
    if not channels:
        raise InterfaceError("listen() requires the name of a channel")
    return Listening(tuple(dict.fromkeys(check_channel(name) for name in channels)), alias)


class Listening:
    """What `listen` returns: the block in which there is a listener."""

    def __init__(self, channels: tuple[str, ...], alias: str) -> None:
        self._channels = channels
        self._alias = alias
        self._listener: Listener | AsyncListener | None = None

    def __enter__(self) -> Listener:
        listener = Listener(self._new(None))
        self._listener = listener
        try:
            listener._join()
        except BaseException:
            self._leave()
            raise
        return listener

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    async def __aenter__(self) -> AsyncListener:
        listener = AsyncListener(self._new(asyncio.get_running_loop()))
        self._listener = listener
        try:
            await listener._join()
        except BaseException:
            self._leave()
            raise
        return listener

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def _new(self, loop: asyncio.AbstractEventLoop | None) -> Mailbox:
        if self._listener is not None:
            raise InterfaceError("this listen() has a block already; call listen() for another one")
        return Mailbox(self._alias, self._channels, loop)

    def _leave(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener._leave()


class _Base:
    """What both kinds of listeners have in common."""

    def __init__(self, box: Mailbox) -> None:
        self._box = box
        self._hub = hub.current()

    def _check_process(self) -> None:
        if self._hub is not hub.current():
            raise InterfaceError(hub.OF_THE_PARENT)

    def _leave(self) -> None:
        if self._hub is not hub.current():
            return  # the parent's goes on
        self._hub.leave(self._box)
        self._box.end(InterfaceError("the listener has ended with its block"))
        hub.wake([self._box])

    def _timeout(self) -> float | None:
        settings = registry.settings_of(self._box.alias)
        limit_ms = None if settings is None else settings.acquire_timeout_ms
        return None if limit_ms is None else limit_ms / 1000

    def _late(self, seconds: float | None) -> OperationalError:
        return OperationalError(
            f'no connection to listen for alias "{self._box.alias}" within {seconds:g} s '
            "(acquire_timeout_secs)"
        )


class Listener(_Base):
    """The events of a `with listen(...)` block, for one thread at a time."""

    def get(self, timeout: float | None = None) -> Notification | Reconnected | None:
        """The next event, or None if there is none within so many seconds; None waits without a
        limit. Raises what has ended the listener, behind the events that came before: PoolClosed,
        or OperationalError if it was not read fast enough.
        """
        self._check_process()
        box = self._box
        event = box.take()
        if event is None:
            box.wait(box.has_news, timeout)
            self._check_process()
            event = box.take()
        return event

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Notification | Reconnected:
        while (event := self.get()) is None:
            pass
        return event

    def _join(self) -> None:
        self._hub.join(self._box)
        timeout = self._timeout()
        self._box.wait(self._box.has_answer, timeout)
        if not self._box.check():
            raise self._late(timeout)


class AsyncListener(_Base):
    """The events of an `async with listen(...)` block, for one task at a time."""

    async def get(self, timeout: float | None = None) -> Notification | Reconnected | None:
        """As `Listener.get`, awaited."""
        self._check_process()
        box = self._box
        event = box.take()
        if event is None:
            await self._until(box.has_news, timeout)
            event = box.take()
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Notification | Reconnected:
        while (event := await self.get()) is None:
            pass
        return event

    async def _join(self) -> None:
        self._hub.join(self._box)
        timeout = self._timeout()
        await self._until(self._box.has_answer, timeout)
        if not self._box.check():
            raise self._late(timeout)

    async def _until(self, holds: Callable[[], bool], timeout: float | None) -> None:
        """Wait until `holds()` is true, or the time has passed."""
        loop = asyncio.get_running_loop()
        if loop is not self._box.loop:
            raise InterfaceError("the listener belongs to another event loop")
        future = loop.create_future()

        def look() -> None:
            if not future.done() and holds():
                future.set_result(None)

        self._box.add_callback(look)
        timer = None if timeout is None else loop.call_later(timeout, _give_up, future)
        try:
            look()  # it may have come meanwhile
            await future
        finally:
            self._box.remove_callback(look)
            if timer is not None:
                timer.cancel()


def _give_up(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
