"""A proxy in front of a PostgreSQL that breaks a conversation at a chosen message.

It runs on an event loop in a thread of its own and reads whole messages, so that a fault can be
placed at a message's boundary or in its middle.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from reliability.listener import Listener, abort
from reliability.messages import TO_CLIENT, TO_SERVER, Framing, Message

CUT, RESET, HALF_CLOSE, BLACK_HOLE, SLOW = "cut", "reset", "half-close", "black hole", "slow"
FAULTS = (CUT, RESET, HALF_CLOSE, BLACK_HOLE, SLOW)
# A message that the server answers with an error takes the place of the client's; of these kinds.
REFUSED, REFUSABLE = "refused", "PBDEQ"

# A black hole ends as TCP's own patience would end it, only sooner.
HOLE_SECONDS = 3.0
SLOW_SECONDS = 0.03

_T = TypeVar("_T")


@dataclass(frozen=True)
class Fault:
    """What happens to a connection once `offset` bytes of a message have passed."""

    what: str
    message: Message
    offset: int

    def meets(self, message: Message) -> bool:
        """Whether this is the message, in a conversation that need not repeat to the byte."""
        mine = self.message
        if self.what == REFUSED and message.kind not in REFUSABLE:
            return False
        return (message.connection, message.direction, message.index) == (
            mine.connection,
            mine.direction,
            mine.index,
        )


class _Link:
    """One connection through the proxy."""

    def __init__(self, number: int, client: _Stream, server: _Stream) -> None:
        self.number = number
        self.client = client
        self.server = server
        self.streams = (client, server)
        self.hole = False
        self.framing = Framing()

    def abort(self, reset: bool = False) -> None:
        for stream in self.streams:
            if reset and not stream.writer.is_closing():
                end: socket.socket = stream.writer.get_extra_info("socket")
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.writer.transport.abort()


@dataclass
class _Stream:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class FaultProxy:
    """Passes connections on to 127.0.0.1:`port`, and does `fault` to one of them, once."""

    def __init__(self, port: int, fault: Fault | None = None) -> None:
        self.fault = fault
        self.fired = threading.Event()  # once it is done
        self._met = False
        self._closed = False
        self.seen: list[Message] = []
        self.sql: list[tuple[str, str]] = []  # of Parse and Query messages, with their kind
        self._server_port = port
        self._links: list[_Link] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener = run(self._listen())
        self.port = self._listener.port

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cut every connection and stop listening."""
        run(self._close())

    def hang_up(self) -> None:
        """End every connection in order, without a goodbye, as a load balancer does."""
        run(self._hang_up())

    async def _hang_up(self) -> None:
        for link in self._links:
            link.hole = True  # the server's goodbye to the proxy is not passed on
            if not link.client.writer.is_closing():
                link.client.writer.close()
        await asyncio.sleep(0.01)  # a transport closes its socket a turn later

    async def _listen(self) -> Listener:
        return Listener(self._accept)

    async def _close(self) -> None:
        self._closed = True
        for link in self._links:
            link.abort()
        await self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await abort(stream.writer for link in self._links for stream in link.streams)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self._links)
        client = _Stream(reader, writer)
        try:
            server = _Stream(*await asyncio.open_connection("127.0.0.1", self._server_port))
        except OSError:  # the server is down: so is the proxy, for this client
            await abort([writer])
            return
        link = _Link(number, client, server)
        if self._closed:  # meanwhile: a late request to cancel
            await abort(stream.writer for stream in link.streams)
            return
        self._links.append(link)
        for direction, source, sink in (
            (TO_SERVER, client, server),
            (TO_CLIENT, server, client),
        ):
            task = asyncio.ensure_future(self._pump(link, direction, source, sink))
            self._tasks.add(task)

    async def _pump(self, link: _Link, direction: str, source: _Stream, sink: _Stream) -> None:
        index = 0
        try:
            while True:
                data = await link.framing.read(direction, source.reader)
                message = link.framing.describe(link.number, direction, index, data)
                self.seen.append(message)
                if direction == TO_SERVER and message.kind in "PQ":
                    # OIDs follow the text
                    texts = data[5:].decode(errors="replace").split("\0")
                    self.sql.append((message.kind, texts[message.kind == "P"]))
                index += 1
                if not await self._pass_on(link, message, data, sink):
                    return
        except (OSError, asyncio.IncompleteReadError):
            if not link.hole and not sink.writer.is_closing():
                with contextlib.suppress(OSError):  # its peer may have gone first
                    sink.writer.write_eof()

    async def _pass_on(self, link: _Link, message: Message, data: bytes, sink: _Stream) -> bool:
        """Pass a message on, or break the connection at it. Whether the direction goes on."""
        if link.hole or sink.writer.is_closing():
            return False
        fault = self.fault
        if fault is None or self._met or not fault.meets(message):
            sink.writer.write(data)
            return True
        self._met = True
        try:
            return await self._break(link, fault, data, sink)
        finally:
            await asyncio.sleep(0.001)  # an aborted transport closes its socket a turn later
            self.fired.set()

    async def _break(self, link: _Link, fault: Fault, data: bytes, sink: _Stream) -> bool:
        if fault.what == REFUSED:
            sink.writer.write(_refusable(data))
            return True
        sink.writer.write(data[: fault.offset])
        if fault.what == SLOW:
            await asyncio.sleep(SLOW_SECONDS)
            sink.writer.write(data[fault.offset :])
            return True
        if fault.what == HALF_CLOSE:
            with contextlib.suppress(OSError):
                sink.writer.write_eof()
        elif fault.what == BLACK_HOLE:
            link.hole = True
            asyncio.get_running_loop().call_later(HOLE_SECONDS, link.abort, True)
        else:
            link.abort(reset=fault.what == RESET)
        return False


def _refusable(data: bytes) -> bytes:
    """A message of the same kind as a client's that asks for what is not there."""
    nothing = b"no such name\0"
    body = {
        b"P": data[5:].split(b"\0")[0] + b"\0no such statement\0\0\0",
        b"B": b"\0" + nothing + bytes(6),
        b"D": b"S" + nothing,
        b"E": nothing + bytes(4),
        b"Q": b"SELECT 1 / 0\0",
    }[data[:1]]
    return data[:1] + struct.pack("!I", len(body) + 4) + body


_loop: asyncio.AbstractEventLoop | None = None
_starting = threading.Lock()

_BEAT = 0.05
_delays: deque[tuple[float, float]] = deque(maxlen=10_000)  # when a beat was due, how late it was


async def _beat() -> None:
    while True:
        due = time.monotonic() + _BEAT
        await asyncio.sleep(_BEAT)
        _delays.append((due, time.monotonic() - due))


def longest_delay(since: float) -> float:
    """How long the proxies have had to wait for the processor, at most, in seconds.

    since: of time.monotonic().
    """
    return max((late for due, late in tuple(_delays) if due >= since), default=0.0)


def allowed_delay(since: float) -> float:
    """How much later than its limit something may end: what the machine has cost, in seconds.

    A run of everything shares its processors with other tests, and something that takes several
    threads waits for each of them: it may be a second late. The full run measures the limits.
    """
    full = os.environ.get("HYPERN_RELIABILITY") == "full"
    return longest_delay(since) + (0 if full else 1)


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run something on the proxies' loop, which starts with the first of them."""
    global _loop
    with _starting:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            serve: Callable[[], None] = _loop.run_forever
            threading.Thread(target=serve, name="fault proxies", daemon=True).start()
            asyncio.run_coroutine_threadsafe(_beat(), _loop)
    return asyncio.run_coroutine_threadsafe(coroutine, _loop).result(10)
