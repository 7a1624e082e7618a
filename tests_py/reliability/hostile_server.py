"""A server that keeps to PostgreSQL's protocol up to a point, and then says what it likes.

Each connection is served by a thread. What is said in place of an answer is bytes, or an iterable
of bytes that may go on for ever.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from typing_extensions import Self

Speech = bytes | Iterable[bytes]


def message(kind: str, body: bytes = b"") -> bytes:
    """A message with its type and length."""
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def setting(name: str, value: str) -> bytes:
    """ParameterStatus."""
    return message("S", name.encode() + b"\0" + value.encode() + b"\0")


def column(name: str = "n", oid: int = 23) -> bytes:
    """One column of a RowDescription."""
    return name.encode() + b"\0" + struct.pack("!IHIhih", 0, 0, oid, 4, -1, 0)


def row(*values: bytes) -> bytes:
    """DataRow."""
    body = b"".join(struct.pack("!I", len(value)) + value for value in values)
    return message("D", struct.pack("!H", len(values)) + body)


WELCOME = message("R", struct.pack("!I", 0))
READY = message("Z", b"I")
PARSED = message("1")
BOUND = message("2")
NO_PARAMETERS = message("t", struct.pack("!H", 0))
ONE_COLUMN = message("T", struct.pack("!H", 1) + column())
SEVEN = row(struct.pack("!i", 7))
DONE = message("C", b"SELECT 1\0")
INTRODUCTION = (
    WELCOME
    + setting("server_version", "16.4")
    + setting("client_encoding", "UTF8")
    + setting("TimeZone", "UTC")
    + message("K", struct.pack("!II", 1, 1))
    + READY
)
_PROCESS = ONE_COLUMN + row(b"1") + DONE + READY  # as in the introduction
DESCRIPTION = PARSED + NO_PARAMETERS + ONE_COLUMN + READY
ANSWER = BOUND + SEVEN + DONE + READY


class HostileServer:
    """Listens on 127.0.0.1:`port`, or on a unix socket in `directory`. What a client hears is, in
    order: `introduction` when it has introduced itself, its process's number when it asks for that,
    `description` for its first Sync, `answer` for its second and later ones."""

    def __init__(
        self,
        introduction: Speech = INTRODUCTION,
        description: Speech = DESCRIPTION,
        answer: Speech = ANSWER,
        directory: str | None = None,
    ) -> None:
        self.said = bytearray()  # by clients
        self._speeches = (introduction, description, answer)
        self._directory = directory
        self.port: int = 5432
        if directory is not None:
            path = f"{directory}/.s.PGSQL.{self.port}"
            self._listener = socket.create_server(path, family=socket.AF_UNIX)
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._serve(self._accept)

    @property
    def url(self) -> str:
        if self._directory is not None:
            return f"postgresql:///postgres?host={self._directory}&user=alice"
        return f"postgresql://alice@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _serve(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                self._open.add(client)
                self._serve(lambda client=client: self._talk(client))  # type: ignore[misc]

    def _talk(self, client: socket.socket) -> None:
        introduction, description, answer = self._speeches
        # A client that has had enough hangs up, whatever is still to be said.
        with contextlib.suppress(OSError), client:
            self._hear(client, typed=False)
            _speak(client, introduction)
            for speech in itertools.chain([description], itertools.repeat(answer)):
                while (heard := self._hear(client)) != b"S":
                    if heard == b"Q":
                        _speak(client, _PROCESS)
                self._answer(client, speech)
        self._open.discard(client)

    def _answer(self, client: socket.socket, speech: Speech) -> None:
        _speak(client, speech)

    def _hear(self, client: socket.socket, typed: bool = True) -> bytes:
        head = _exactly(client, 5 if typed else 4)
        body = _exactly(client, int.from_bytes(head[-4:], "big") - 4)
        self.said += head + body
        return head[:1]


class DeafServer(HostileServer):
    """Reads no more once it describes a statement, and does not hang up."""

    def _answer(self, client: socket.socket, speech: Speech) -> None:
        client.shutdown(socket.SHUT_RD)
        super()._answer(client, speech)
        self._stop.wait(60)

    def __init__(self, **given: Any) -> None:
        self._stop = threading.Event()
        super().__init__(**given)

    def __exit__(self, *raised: Any) -> None:
        self._stop.set()
        super().__exit__(*raised)


def _exactly(client: socket.socket, size: int) -> bytes:
    data = client.recv(size, socket.MSG_WAITALL) if size else b""
    if len(data) < size:
        raise ConnectionError
    return data


def _speak(client: socket.socket, speech: Speech) -> None:
    for part in (speech,) if isinstance(speech, bytes) else speech:
        client.sendall(part)
