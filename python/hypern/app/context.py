"""What a handler is told of the request besides HTTP."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Context:
    """`db(ctx)` is the request's session.

    request_id: str, unique whatever the client sends. client_id: str, the client's own X-Request-ID
    for logs, "" without one.
    """

    request_id: str
    client_id: str
