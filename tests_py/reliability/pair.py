"""A primary, and a streaming standby that applies each commit late."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reliability.own_server import PASSWORD, OwnServer

from hypern.database import Database

_DELAY_MS = 20  # for which the standby holds each commit back

# The standby gets each commit at once, and applies it late.
PROMPT = "synchronous_commit = on\nwal_writer_delay = 10ms\n"


@dataclass
class Pair:
    """A primary with a table `t`, and a standby that follows it."""

    primary: OwnServer
    standby: OwnServer

    def configure(self, **settings: Any) -> None:
        """Configure both as the default alias."""
        Database.close()
        given = {"replica": self.standby.url(), "password": PASSWORD, "max_size": 16, **settings}
        Database.configure(self.primary.url(), **given)


@contextlib.contextmanager
def running_pair() -> Iterator[Pair]:
    """Both, running. Who stops a server starts it again."""
    with contextlib.ExitStack() as stack:
        primary = OwnServer(PROMPT)
        stack.callback(primary.remove)
        primary.psql("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)")
        primary.psql("INSERT INTO t SELECT i, 0 FROM generate_series(0, 15) AS i")
        standby = OwnServer(standby_of=primary)
        stack.callback(standby.remove)
        standby.start()
        standby.psql(f"ALTER SYSTEM SET recovery_min_apply_delay = '{_DELAY_MS}ms'")
        standby.psql("SELECT pg_reload_conf()")
        yield Pair(primary, standby)
