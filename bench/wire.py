"""Just enough of PostgreSQL's protocol to have a fixed conversation with a server that trusts us.

For floors: what is sent is made once, and what comes back is not looked at.
https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import socket
import struct
from urllib.parse import parse_qs, urlsplit

READY = b"Z\0\0\0\5I"

# What hypern sends ahead of a statement, to undo what the request before has set.
RESET = (
    "BEGIN",
    "SELECT 1 WHERE pg_catalog.pg_advisory_unlock_all() IS NULL",
    "RESET ROLE",
    "RESET ALL",
    "CLOSE ALL",
    "UNLISTEN *",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
    "COMMIT",
)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">i", len(body) + 4) + body


def _name(number: int) -> bytes:
    return f"floor_{number}".encode()


def _run(number: int) -> bytes:
    bind = _message(b"B", b"\0" + _name(number) + b"\0" + bytes(6))
    return bind + _message(b"E", b"\0" + bytes(4))


def conversation() -> bytes:
    """The reset and then the statement that `connection` has prepared, to be answered at once."""
    return b"".join(map(_run, range(len(RESET) + 1))) + _message(b"S", b"")


def connection(url: str, sql: str) -> socket.socket:
    """A socket to the server of a URL that names a unix socket, with everything prepared."""
    query = parse_qs(urlsplit(url).query)
    held = socket.socket(socket.AF_UNIX)
    held.connect(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}")
    startup = struct.pack(">i", 196608) + b"user\0postgres\0database\0postgres\0\0"
    held.sendall(struct.pack(">i", len(startup) + 4) + startup)
    await_ready(held)
    for number, text in enumerate((*RESET, sql)):
        held.sendall(_message(b"P", _name(number) + b"\0" + text.encode() + b"\0\0\0"))
    held.sendall(_message(b"S", b""))
    await_ready(held)
    return held


def await_ready(held: socket.socket) -> None:
    """Receive until the server is ready, whatever it says."""
    answer = b""
    while not answer.endswith(READY):
        part = held.recv(65536)
        if not part:
            raise ConnectionError(f"the server closed the connection after {answer[:200]!r}")
        answer += part
