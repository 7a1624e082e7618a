"""A proxy in front of a PostgreSQL, or a pooler, that notes each SQL text a client sends."""

from __future__ import annotations

import contextlib
import socket
import struct
import tempfile
import threading
from pathlib import Path
from types import TracebackType


class SQLRecorder:
    """Listens on a socket of its own and leads to that of a server; `texts` is what has come by."""

    def __init__(self, server_socket: Path) -> None:
        self.texts: set[str] = set()
        self._server = server_socket
        self._directory = tempfile.TemporaryDirectory(prefix="hypern-rec-")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self._directory.name}/.s.PGSQL.5432")
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def host(self) -> str:
        return self._directory.name

    def __enter__(self) -> SQLRecorder:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        self._directory.cleanup()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                for work, ends in ((self._record, (client, server)), (_pass_on, (server, client))):
                    threading.Thread(target=work, args=ends, daemon=True).start()

    def _record(self, client: socket.socket, server: socket.socket) -> None:
        held, started = b"", False
        while data := _receive(client):
            held += data
            while True:
                at = 1 if started else 0  # the first message has no kind
                if len(held) < at + 4:
                    break
                size = at + struct.unpack_from("!I", held, at)[0]
                if len(held) < size:
                    break
                message, held = held[:size], held[size:]
                if started:
                    self._note(message)
                started = True
            with contextlib.suppress(OSError):
                server.sendall(data)
        server.close()

    def _note(self, message: bytes) -> None:
        if message[:1] == b"Q":
            self.texts.add(message[5:-1].decode())
        elif message[:1] == b"P":
            self.texts.add(message[5:].split(b"\0")[1].decode())


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    while data := _receive(source):
        with contextlib.suppress(OSError):
            target.sendall(data)
    target.close()


def _receive(source: socket.socket) -> bytes:
    try:
        return source.recv(1 << 16)
    except OSError:
        return b""
