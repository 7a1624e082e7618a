"""Every pooler that the tests know, in each of its modes.

PgBouncer of the machine is there always; HYPERN_POOLERS=full (`make test/poolers`) adds those of
tools/poolers.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from poolers import odyssey, pgbouncer, pgpool
from poolers.pooler import SERVER_CONNECTIONS, Kind, Pooler

from tools import poolers

OWN = [Kind(mode, mode, verdict) for mode, verdict in pgbouncer.VERDICTS.items()]

NEW_PGBOUNCER = {
    Kind(f"pgbouncer-{mode}{suffix}", mode, verdict, prepares=limit > 0): limit
    for limit, suffix in ((0, ""), (100, "-prepared"))
    for mode, verdict in pgbouncer.VERDICTS.items()
}


def _odyssey(name: str, mode: str, **peculiar: bool) -> Kind:
    verdict = "session" if mode == "session" else "shared"
    return Kind(f"odyssey-{name}", mode, verdict, passes_timeout=True, **peculiar)


# Not its statement mode, where the statements of a transaction go to different servers.
ODYSSEY = {
    _odyssey("session", "session"): "pool_discard yes",
    _odyssey("transaction", "transaction"): ("pool_discard no\npool_reserve_prepared_statement no"),
    _odyssey("transaction-discard", "transaction", resets=True): (
        "pool_discard yes\npool_reserve_prepared_statement no"
    ),
    _odyssey("transaction-prepared", "transaction", prepares=True, keeps_plans=True): (
        "pool_discard no\npool_reserve_prepared_statement yes"
    ),
}


def _pgpool(name: str) -> Kind:
    # Clients have the key of the server's own process, and keep it.
    return Kind(name, "session", "none", passes_timeout=True, holds_cancel=True)


PGPOOL = {
    _pgpool("pgpool"): "load_balance_mode = off\nconnection_cache = on",
    _pgpool("pgpool-uncached"): "load_balance_mode = off\nconnection_cache = off",
    _pgpool("pgpool-balanced"): "load_balance_mode = on\nconnection_cache = on",
}
ALL = {kind.name: kind for kind in (*OWN, *NEW_PGBOUNCER, *ODYSSEY, *PGPOOL)}


def chosen() -> list[str]:
    """The names of those that this run tries."""
    full = os.environ.get("HYPERN_POOLERS") == "full"
    return list(ALL) if full else [kind.name for kind in OWN]


@contextmanager
def start(database: str, name: str) -> Iterator[Pooler]:
    """The pooler of this name."""
    kind = ALL[name]
    if kind in ODYSSEY:
        context = odyssey.start(database, kind, ODYSSEY[kind])
    elif kind in PGPOOL:
        context = pgpool.start(database, kind, PGPOOL[kind])
    elif kind in OWN:
        context = pgbouncer.started(database, kind.mode)
    else:
        limit = f"max_prepared_statements = {NEW_PGBOUNCER[kind]}\n"
        program = poolers.command("pgbouncer")
        context = pgbouncer.start(database, kind, program, SERVER_CONNECTIONS, limit)
    with context as pooler:
        yield pooler
