"""A pool's status, as `Database.status` returns it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Holder:
    """A session that holds a connection.

    age_secs: seconds since it took the connection. sql: the statement it ran last, without
    parameters. state: its `DbSession.state`. label: that of its scope.
    """

    request_id: str
    alias: str
    age_secs: float
    sql: str | None
    state: str
    label: str | None = None


@dataclass(frozen=True)
class PoolStatus:
    """The state of a pool at one moment.

    size: open connections. available: free connections, including those whose reset is under way.
    in_use: connections that `holders` hold; one that was abandoned at a deadline and is being
    closed is neither available nor in use. waiting: callers that wait for a connection. last_error:
    the text of the latest failure to connect, None after a successful connect. pooler: what the
    latest connection found between itself and the server: "none"; "session", a pooler such as
    PgBouncer in session mode; "shared", one in transaction or statement mode; "unknown" if the role
    may not read pg_backend_pid(); None before the first connection.

    The others only grow, from the pool's first use in this process on; a pool that was disconnected
    starts anew. acquired: connections handed out. waited, wait_secs, timeouts: callers that had to
    queue for one, for how long, and those that got none in time. connects, connect_secs,
    connect_errors: connections made, how long that took, and failed attempts. closed_idle,
    closed_lifetime, closed_broken: connections closed by idle_timeout_secs, by max_lifetime_secs or
    drain(), and because they had ended or were unfit to be used again.

    replica: the state of the replica's pool, where the alias has one; it counts by itself.
    """

    size: int
    available: int
    max_size: int
    in_use: int = 0
    waiting: int = 0
    holders: tuple[Holder, ...] = ()
    last_error: str | None = None
    pooler: str | None = None
    acquired: int = 0
    waited: int = 0
    wait_secs: float = 0.0
    timeouts: int = 0
    connects: int = 0
    connect_errors: int = 0
    connect_secs: float = 0.0
    closed_idle: int = 0
    closed_lifetime: int = 0
    closed_broken: int = 0
    replica: PoolStatus | None = None

    @classmethod
    def from_core(cls, data: bytes) -> PoolStatus:
        """The status from the core's JSON (bytes, UTF-8)."""
        return cls._from_fields(json.loads(data))

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> PoolStatus:
        replica = fields.get("replica")
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
                    label=holder.get("label") or None,
                )
                for holder in fields["holders"] or ()
            ),
            last_error=fields.get("last_error") or None,
            pooler=fields.get("pooler"),
            replica=None if replica is None else cls._from_fields(replica),
            **{name: fields[name] for name in _COUNTERS},
        )


# Named in both, as the core has them.
_COUNTERS = (
    "acquired",
    "waited",
    "wait_secs",
    "timeouts",
    "connects",
    "connect_errors",
    "connect_secs",
    "closed_idle",
    "closed_lifetime",
    "closed_broken",
)
