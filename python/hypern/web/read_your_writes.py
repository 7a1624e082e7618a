"""What a client has committed, carried from its writing request to its next reading one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Final

from hypern.errors import ConfigurationError
from hypern.scope.position import is_position

if TYPE_CHECKING:
    from collections.abc import Mapping

_PURPOSE: Final = b"hypern read your writes:"
_LONGEST: Final = 4096


class ReadYourWrites:
    """An option of the middleware: replicas that a client reads must have what it has written.

    A response to a request that has committed something carries the position of the servers' logs,
    signed, in a cookie or header; the client's next requests read a replica that has reached it
    within replica_wait_secs, or the primary. A value without a valid signature is ignored.

    secret: str or bytes, the key of the signature, which every process must have
    cookie: str, its name
    header: str, the name of the header of requests and responses that is used in place of a cookie
    max_age_secs: int, how long the client keeps the cookie
    secure: bool, whether the cookie is sent over HTTPS only
    """

    __slots__ = ("_secret", "cookie", "header", "max_age_secs", "secure")

    def __init__(
        self,
        secret: str | bytes,
        *,
        cookie: str = "hypern_lsn",
        header: str | None = None,
        max_age_secs: int = 3600,
        secure: bool = False,
    ) -> None:
        if not isinstance(secret, (str, bytes)) or not secret:
            raise ConfigurationError("secret must be a str or bytes, and not empty")
        for name, value in (("cookie", cookie), ("header", header)):
            if value is not None and not value.replace("-", "").replace("_", "").isalnum():
                raise ConfigurationError(f"{name} must be a name of letters, digits, - and _")
        self._secret = secret.encode() if isinstance(secret, str) else secret
        self.cookie = cookie
        self.header = header
        self.max_age_secs = max_age_secs
        self.secure = secure

    def __repr__(self) -> str:
        return f"<hypern ReadYourWrites in {self.header or self.cookie!r}>"

    @property
    def request_header(self) -> str:
        """The header of requests that carries it."""
        return self.header or "Cookie"

    def read(self, value: str | None) -> dict[str, str]:
        """The positions by alias in the value of `request_header`; empty without a valid one."""
        if value is not None and self.header is None:
            pairs = (pair.strip().partition("=") for pair in value.split(";"))
            value = next((text for name, _, text in pairs if name == self.cookie), None)
        if not value or len(value) > _LONGEST:
            return {}
        payload, _, signature = value.strip('"').partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(payload).encode()):
            return {}
        try:
            found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (binascii.Error, ValueError):
            return {}
        return {alias: at for alias, at in dict(found).items() if is_position(at)}

    def text(self, positions: Mapping[str, str]) -> str:
        """What carries the positions: letters, digits, -, _ and a dot."""
        compact = json.dumps(dict(positions), separators=(",", ":"), sort_keys=True)
        payload = base64.urlsafe_b64encode(compact.encode()).decode().rstrip("=")
        return f"{payload}.{self._sign(payload)}"

    def response_header(self, positions: Mapping[str, str]) -> tuple[str, str]:
        """The header of the response, name and value."""
        text = self.text(positions)
        if self.header is not None:
            return self.header, text
        attributes = f"Max-Age={self.max_age_secs}; Path=/; HttpOnly; SameSite=Lax"
        return "Set-Cookie", f"{self.cookie}={text}; {attributes}" + "; Secure" * self.secure

    def _sign(self, payload: str) -> str:
        return hmac.new(self._secret, _PURPOSE + payload.encode(), hashlib.sha256).hexdigest()
