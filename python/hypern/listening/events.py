"""What a listener yields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Notification:
    """A NOTIFY of a channel. pid: int, the server process of the session that sent it."""

    channel: str
    payload: str
    pid: int


@dataclass(frozen=True)
class Reconnected:
    """The connection was lost and made anew: what was sent meanwhile has been missed. Look up what
    it may have told.
    """
