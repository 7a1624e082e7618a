"""TLS in front of a server that has none, and what only newer or other servers ask a client for."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from pathlib import Path
from types import TracebackType

from reliability.certificates import Certificate
from typing_extensions import Self

_SSL_REQUEST = struct.pack("!II", 8, 80877103)
_TIMEOUT = 20


class TlsFront:
    """Listens on 127.0.0.1:`port`, takes TLS, and passes what is inside on to the server.

    server: the path of its unix socket. direct: TLS begins at once, without a request for it.
    token: what a client has to give as its OAuth bearer token before it is passed on.
    """

    def __init__(
        self,
        server: str,
        certificate: Certificate,
        directory: Path,
        *,
        direct: bool = False,
        token: str | None = None,
    ) -> None:
        pem = directory / "front.pem"
        pem.write_bytes(certificate.pem + certificate.key_pem)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._context.set_alpn_protocols(["postgresql"])
        self._server, self._direct, self._token = server, direct, token
        self.protocols: list[str | None] = []  # that ALPN has chosen, for each connection
        self.tokens: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                client.settimeout(_TIMEOUT)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            if not self._direct:
                if _exactly(client, 8) != _SSL_REQUEST:
                    return
                client.sendall(b"S")
            with self._context.wrap_socket(client, server_side=True) as inside:
                self.protocols.append(inside.selected_alpn_protocol())
                length = _exactly(inside, 4)
                startup = length + _exactly(inside, int.from_bytes(length, "big") - 4)
                if self._token is None or self._accepts(inside):
                    self._pass_on(inside, startup)

    def _accepts(self, client: ssl.SSLSocket) -> bool:
        """OAUTHBEARER, as RFC 7628 has it."""
        client.sendall(_authentication(10, b"OAUTHBEARER\0\0"))
        head = _exactly(client, 5)
        body = _exactly(client, int.from_bytes(head[1:], "big") - 4)
        mechanism, _, rest = body.partition(b"\0")
        fields = rest[4:].split(b"\x01")
        assert (head[:1], mechanism, fields[0]) == (b"p", b"OAUTHBEARER", b"n,,")
        self.tokens.append(fields[1].removeprefix(b"auth=Bearer ").decode())
        if self.tokens[-1] == self._token:
            return True
        client.sendall(_authentication(11, json.dumps({"status": "invalid_token"}).encode()))
        return False

    def _pass_on(self, client: ssl.SSLSocket, startup: bytes) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(self._server)
            self._open |= {client, server}
            server.sendall(startup)
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            client.settimeout(None)
            _pump(client, server)
            back.join(_TIMEOUT)
            self._open -= {client, server}


def _authentication(kind: int, body: bytes) -> bytes:
    return b"R" + struct.pack("!II", len(body) + 8, kind) + body


def _exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = source.recv(size - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
