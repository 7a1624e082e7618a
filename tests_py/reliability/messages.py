"""The messages of a conversation with PostgreSQL, one by one, as the fault proxy tells them apart.

Behind a TLS handshake the messages are TLS records: their content is nobody's business.
"""

from __future__ import annotations

import asyncio
import re
import struct
from dataclasses import dataclass, field

TO_SERVER, TO_CLIENT = "to server", "to client"

_TLS_REQUEST = 80877103
_CANCEL_REQUEST = 80877102

# A message's name in PostgreSQL's documentation, and the part of a conversation it belongs to, if
# that is none of the commands below.
_OTHERS = "of its own accord"
_LOGIN, _DESCRIBE, _ROWS, _END, _COPY = (
    "authentication",
    "parse and describe",
    "rows",
    "the end of an answer",
    "copy",
)
_BY_KIND = {
    (TO_SERVER, "B"): ("Bind", "bind"),
    (TO_SERVER, "C"): ("Close", "close of a statement or portal"),
    (TO_SERVER, "D"): ("Describe", _DESCRIBE),
    (TO_SERVER, "E"): ("Execute", "execute"),
    (TO_SERVER, "H"): ("Flush", _COPY),
    (TO_SERVER, "P"): ("Parse", _DESCRIBE),
    (TO_SERVER, "Q"): ("Query", "connect"),  # asks which server process it has got
    (TO_SERVER, "S"): ("Sync", _END),
    (TO_SERVER, "X"): ("Terminate", "close"),
    (TO_SERVER, "c"): ("CopyDone", _COPY),
    (TO_SERVER, "d"): ("CopyData", _COPY),
    (TO_SERVER, "f"): ("CopyFail", _COPY),
    (TO_SERVER, "p"): ("SASLResponse", _LOGIN),
    (TO_CLIENT, "1"): ("ParseComplete", _DESCRIBE),
    (TO_CLIENT, "2"): ("BindComplete", "bind"),
    (TO_CLIENT, "3"): ("CloseComplete", "close of a statement or portal"),
    (TO_CLIENT, "A"): ("NotificationResponse", _OTHERS),
    (TO_CLIENT, "C"): ("CommandComplete", "execute"),
    (TO_CLIENT, "D"): ("DataRow", _ROWS),
    (TO_CLIENT, "E"): ("ErrorResponse", "an error"),
    (TO_CLIENT, "G"): ("CopyInResponse", _COPY),
    (TO_CLIENT, "H"): ("CopyOutResponse", _COPY),
    (TO_CLIENT, "I"): ("EmptyQueryResponse", "execute"),
    (TO_CLIENT, "K"): ("BackendKeyData", _LOGIN),
    (TO_CLIENT, "N"): ("NoticeResponse", _OTHERS),
    (TO_CLIENT, "S"): ("ParameterStatus", "a setting"),
    (TO_CLIENT, "T"): ("RowDescription", _DESCRIBE),
    (TO_CLIENT, "Z"): ("ReadyForQuery", _END),
    (TO_CLIENT, "c"): ("CopyDone", _COPY),
    (TO_CLIENT, "d"): ("CopyData", _COPY),
    (TO_CLIENT, "n"): ("NoData", _DESCRIBE),
    (TO_CLIENT, "s"): ("PortalSuspended", _ROWS),
    (TO_CLIENT, "t"): ("ParameterDescription", _DESCRIBE),
}
_BY_LOGIN = {
    0: "AuthenticationOk",
    10: "AuthenticationSASL",
    11: "AuthenticationSASLContinue",
    12: "AuthenticationSASLFinal",
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
    """A message that came by: the how-manieth of its connection and direction, its length, its
    name, and the part of a conversation it belongs to."""

    connection: int
    direction: str
    index: int
    kind: str
    length: int
    name: str = ""
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
        if self.tls or len(data) == 1:
            name = "the answer to SSLRequest" if len(data) == 1 else f"a record {direction}"
            kind, phase = "tls", "TLS"
        elif direction == TO_SERVER and not self.typed:
            kind, (name, phase) = "startup", self._introduce(data)
        else:
            kind = chr(data[0])
            name, phase = self._name(direction, kind, data)
        return Message(number, direction, index, kind, len(data), name, phase)

    def _introduce(self, data: bytes) -> tuple[str, str]:
        (code,) = struct.unpack_from("!I", data, 4)
        self.asked_for_tls = code == _TLS_REQUEST
        self.typed = not self.asked_for_tls
        known = {_TLS_REQUEST: ("SSLRequest", "TLS"), _CANCEL_REQUEST: ("CancelRequest", "cancel")}
        return known.get(code, ("StartupMessage", "connect"))

    def _name(self, direction: str, kind: str, data: bytes) -> tuple[str, str]:
        if (direction, kind) == (TO_CLIENT, "R"):
            code = int.from_bytes(data[5:9], "big")
            return _BY_LOGIN.get(code, f"authentication request {code}"), _LOGIN
        if (direction, kind) == (TO_SERVER, "p") and data[5:].startswith(b"SCRAM-"):
            return "SASLInitialResponse", _LOGIN
        word = ""
        if direction == TO_SERVER and kind == "P":
            name, sql = data[5:].split(b"\0")[:2]
            word = self.said[name] = _first_word(sql)
        elif direction == TO_SERVER and kind == "B":
            word = self.said[b""] = self.said.get(data[5:].split(b"\0")[1], "")
        elif direction == TO_SERVER and kind == "E":
            word = self.said.get(b"", "")
        elif (direction, kind) in ((TO_SERVER, "Q"), (TO_CLIENT, "C")):
            word = _first_word(data[5:])
        message, phase = _BY_KIND.get((direction, kind), (f"message {kind!r}", _OTHERS))
        return message, _BY_COMMAND.get(word, phase)


def _first_word(sql: bytes) -> str:
    return re.split(rb"\W", sql.lstrip(), maxsplit=1)[0].decode()
