"""The messages of a conversation with PostgreSQL, one by one, as the fault proxy tells them apart.

Behind a TLS handshake the messages are TLS records: their content is nobody's business.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field

TO_SERVER, TO_CLIENT = "to server", "to client"

_TLS_REQUEST = 80877103
_CANCEL_REQUEST = 80877102

_BY_KIND = {
    (TO_SERVER, "p"): "authentication",
    (TO_CLIENT, "R"): "authentication",
    (TO_CLIENT, "K"): "authentication",
    (TO_SERVER, "P"): "parse and describe",
    (TO_SERVER, "D"): "parse and describe",
    (TO_CLIENT, "1"): "parse and describe",
    (TO_CLIENT, "t"): "parse and describe",
    (TO_CLIENT, "T"): "parse and describe",
    (TO_CLIENT, "n"): "parse and describe",
    (TO_SERVER, "B"): "bind",
    (TO_CLIENT, "2"): "bind",
    (TO_SERVER, "E"): "execute",
    (TO_CLIENT, "C"): "execute",
    (TO_CLIENT, "s"): "execute",
    (TO_CLIENT, "E"): "an error",
    (TO_CLIENT, "D"): "rows",
    (TO_SERVER, "S"): "the end of an answer",
    (TO_CLIENT, "Z"): "the end of an answer",
    (TO_CLIENT, "S"): "a setting",
    (TO_SERVER, "X"): "close",
}
_BY_COMMAND = {
    "BEGIN": "BEGIN",
    "COMMIT": "COMMIT",
    "ROLLBACK": "ROLLBACK",
    "RESET": "reset",
    "CLOSE": "reset",
    "UNLISTEN": "reset",
    "DISCARD": "reset",
}


@dataclass(frozen=True)
class Message:
    """A message that came by: the how-manieth of its connection and direction, its length, and the
    part of a conversation it belongs to."""

    connection: int
    direction: str
    index: int
    kind: str
    length: int
    phase: str = ""


@dataclass
class Framing:
    """How far a connection's conversation has come, so that its next bytes can be told apart."""

    typed: bool = False  # the client's messages have a type byte once it has introduced itself
    asked_for_tls: bool = False  # the server's answer is a single byte
    tls: bool = False
    said: dict[bytes, str] = field(default_factory=dict)  # a statement's name: its first word

    async def read(self, direction: str, reader: asyncio.StreamReader) -> bytes:
        """The next whole message of a direction; IncompleteReadError at the end."""
        first = await reader.readexactly(1)  # before this nobody knows how it is framed
        if direction == TO_CLIENT and self.asked_for_tls:
            self.asked_for_tls = False
            self.tls = first == b"S"
            return first
        if self.tls:
            head = first + await reader.readexactly(4)
            return head + await reader.readexactly(int.from_bytes(head[3:], "big"))
        typed = direction == TO_CLIENT or self.typed
        head = first + await reader.readexactly(4 if typed else 3)
        return head + await reader.readexactly(int.from_bytes(head[-4:], "big") - 4)

    def describe(self, number: int, direction: str, index: int, data: bytes) -> Message:
        """What a message is; it is to be asked for each one, in order."""
        kind, phase = "tls", "TLS"
        if not self.tls and len(data) > 1:
            startup = direction == TO_SERVER and not self.typed
            kind = "startup" if startup else chr(data[0])
            phase = self._introduce(data) if startup else self._phase(direction, kind, data)
        return Message(number, direction, index, kind, len(data), phase)

    def _introduce(self, data: bytes) -> str:
        (code,) = struct.unpack_from("!I", data, 4)
        self.asked_for_tls = code == _TLS_REQUEST
        self.typed = not self.asked_for_tls
        return {_TLS_REQUEST: "TLS", _CANCEL_REQUEST: "cancel"}.get(code, "connect")

    def _phase(self, direction: str, kind: str, data: bytes) -> str:
        word = ""
        if direction == TO_SERVER and kind == "P":
            name, sql = data[5:].split(b"\0")[:2]
            word = self.said[name] = (sql.split() or [b""])[0].decode()
        elif direction == TO_SERVER and kind == "B":
            word = self.said[b""] = self.said.get(data[5:].split(b"\0")[1], "")
        elif direction == TO_SERVER and kind == "E":
            word = self.said.get(b"", "")
        elif direction == TO_CLIENT and kind == "C":
            word = data[5:].rstrip(b"\0").split()[0].decode()
        return _BY_COMMAND.get(word) or _BY_KIND.get((direction, kind), "another message")
