"""`res`: the response that a handler makes. It is sent once the handler has returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    import msgspec

_ENCODED = ":/%#?=@[]!$&'()*+,;~"  # characters that a URL may contain unquoted


class Response:
    """The response to one request, by default a 200 without a body. Every method returns the
    response, so that calls chain: `res.status(201).json({...})`. The last body is sent.
    """

    __slots__ = ("_encoder", "_headers", "body", "status_code")

    def __init__(self, encoder: msgspec.json.Encoder) -> None:
        self._encoder = encoder
        self._headers: list[tuple[bytes, bytes]] = []
        self.status_code = 200
        self.body = b""

    def status(self, code: int) -> Response:
        """Set the status, 200 to 599."""
        if not isinstance(code, int) or not 200 <= code <= 599:
            raise ValueError(f"a status is a whole number from 200 to 599, not {code!r}")
        self.status_code = code
        return self

    def header(self, name: str, value: str) -> Response:
        """Set a header, replacing one of that name; a Set-Cookie is added. Content-Length is set
        automatically.
        """
        if any(c in name + value for c in "\r\n\0"):
            raise ValueError(f"a header cannot contain a line break: {name!r}")
        key = name.lower().encode("latin-1")
        if key != b"set-cookie":
            self._headers = [pair for pair in self._headers if pair[0] != key]
        self._headers.append((key, value.encode("latin-1")))
        return self

    def json(self, data: Any) -> Response:
        """Respond with a value as JSON. Raises TypeError for one that JSON cannot represent."""
        return self._respond(self._encoder.encode(data), "application/json")

    def text(self, text: str) -> Response:
        """Respond with plain text."""
        return self._respond(text.encode(), "text/plain; charset=utf-8")

    def html(self, html: str) -> Response:
        """Respond with HTML, sent as it is: escaping is up to the caller."""
        return self._respond(html.encode(), "text/html; charset=utf-8")

    def redirect(self, url: str, code: int = 302) -> Response:
        """Redirect the client to another URL."""
        return self.status(code).header("Location", quote(url, safe=_ENCODED))

    def start_message(self) -> dict[str, Any]:
        """The ASGI message that begins the response."""
        headers = self._headers
        if self.status_code not in (204, 304):
            headers = [pair for pair in headers if pair[0] != b"content-length"]
            headers.append((b"content-length", str(len(self.body)).encode()))
        return {"type": "http.response.start", "status": self.status_code, "headers": headers}

    def _respond(self, body: bytes, content_type: str) -> Response:
        self.body = body
        return self.header("Content-Type", content_type)
