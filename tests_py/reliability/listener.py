"""A listener on an event loop that leaves no socket behind when it closes.

asyncio.Server loses a connection that is accepted in the loop's turn in which it closes (CPython up
to 3.12): nobody closes that socket but the garbage collector.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_BACKLOG = 100


class Listener:
    """Accepts connections to a free port of 127.0.0.1 and has `serve` run for each of them.

    Construct and close it on the loop. limit: as asyncio.open_connection takes it.
    """

    def __init__(self, serve: Serve, limit: int = 2**16) -> None:
        self._serve = serve
        self._limit = limit
        self._serving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._loop.add_reader(self._socket, self._accept)

    async def close(self) -> None:
        """Accept no more, and wait until `serve` has returned for all that were accepted."""
        self._loop.remove_reader(self._socket)
        self._socket.close()  # the kernel resets the connections that nobody has accepted
        await asyncio.gather(*self._serving)

    def _accept(self) -> None:
        # The task exists as soon as the socket does, so that close() knows of both.
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            client, _ = self._socket.accept()
            task = self._loop.create_task(self._open(client))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _open(self, client: socket.socket) -> None:
        client.setblocking(False)
        await self._serve(*await asyncio.open_connection(sock=client, limit=self._limit))


async def abort(writers: Iterable[asyncio.StreamWriter]) -> None:
    """Close connections at once, and wait until their sockets are closed."""
    chosen = list(writers)
    for writer in chosen:
        writer.transport.abort()
    for writer in chosen:
        with contextlib.suppress(OSError):  # what the connection has ended with
            await writer.wait_closed()
