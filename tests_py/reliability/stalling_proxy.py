"""A proxy that stops passing bytes on, or passes them on late, whatever they mean; also of TLS."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType

from reliability.fault_proxy import run
from reliability.listener import Listener, abort


class StallingProxy:
    """Passes connections on to 127.0.0.1:`port`, each piece `delay` seconds late.

    stall() silences the connections there are: nothing is passed on and nothing read any more, so
    that a sender's window closes. `is_deaf`: new connections are accepted and left alone for now,
    as a request to cancel that is delayed. resume() ends both.
    """

    def __init__(self, port: int, delay: float = 0.0) -> None:
        self.is_deaf = False
        self.delay = delay
        self._server_port = port
        self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Event] = set()  # one for each connection
        self._listener = run(self._listen())
        self.port = self._listener.port

    def __enter__(self) -> StallingProxy:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        run(self._close())

    def stall(self) -> None:
        """Silence the connections there are."""
        run(self._set(False))

    def resume(self) -> None:
        """Pass everything on again, what was held back first."""
        self.is_deaf = False
        run(self._set(True))

    async def _set(self, passing: bool) -> None:
        for event in self._passing:
            if passing:
                event.set()
            else:
                event.clear()

    async def _listen(self) -> Listener:
        return Listener(self._accept, limit=4096)

    async def _close(self) -> None:
        self._is_closed, self.is_deaf = True, False
        await self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await abort(self._writers)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        while self.is_deaf:
            await asyncio.sleep(0.01)
        if not self._is_closed:
            await self._connect(reader, writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection("127.0.0.1", self._server_port, limit=4096)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(server[1])
        passing = asyncio.Event()
        passing.set()
        self._passing.add(passing)
        for source, sink in ((reader, server[1]), (server[0], writer)):
            self._tasks.add(asyncio.ensure_future(self._pump(source, sink, passing)))

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, passing: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await passing.wait()
                sink.write(data)
                await sink.drain()
        await passing.wait()
        if not sink.is_closing():
            with contextlib.suppress(OSError):
                sink.write_eof()
