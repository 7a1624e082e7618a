"""`ctx`: what identifies a handler's request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Context:
    """A request's identity; `db(ctx)` is its session.

    request_id: str, unique whatever the client sends. client_id: str, the client's own X-Request-ID
    for logs, "" without one.
    """

    request_id: str
    client_id: str
