"""A pool's status, as `Database.status` returns it."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Holder:
    """A session that holds a connection.

    age_secs is how long it has held it; sql the statement it ran last, without parameters; state
    one of the words of `DbSession.state`.
    """

    request_id: str
    alias: str
    age_secs: float
    sql: str | None
    state: str


@dataclass(frozen=True)
class PoolStatus:
    """A pool at one moment.

    size counts open connections, available those of them that are free (a connection whose state
    is still being reset is), in_use those that `holders` have; one that was given up at a deadline
    and is being closed is neither. waiting counts the callers that wait for one; last_error is
    the text of the latest failure to connect, until a connect succeeds.
    """

    size: int
    available: int
    max_size: int
    in_use: int = 0
    waiting: int = 0
    holders: tuple[Holder, ...] = ()
    last_error: str | None = None

    @classmethod
    def from_core(cls, data: bytes) -> PoolStatus:
        """The status that the core described as JSON (bytes, UTF-8)."""
        fields = json.loads(data)
        return cls(
            size=fields["size"],
            available=fields["available"],
            max_size=fields["max_size"],
            in_use=fields["in_use"],
            waiting=fields["waiting"],
            holders=tuple(
                Holder(
                    request_id=holder["request_id"],
                    alias=holder["alias"],
                    age_secs=holder["age_secs"],
                    sql=holder.get("sql") or None,
                    state=holder["state"],
                )
                for holder in fields["holders"] or ()
            ),
            last_error=fields.get("last_error") or None,
        )
