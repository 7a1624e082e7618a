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

_NAMED = {"statement_cache": "named"}

OWN = [Kind(mode, mode, verdict) for mode, verdict in pgbouncer.VERDICTS.items()]

NEW_PGBOUNCER = [
    Kind(f"pgbouncer-{mode}{suffix}", mode, verdict, named=named)
    for named, suffix in ((False, ""), (True, "-prepared"))
    for mode, verdict in pgbouncer.VERDICTS.items()
]
ODYSSEY = {
    Kind("odyssey-session", "session", "session"): "",
    Kind("odyssey-transaction", "transaction", "shared"): "pool_discard no",
    Kind("odyssey-transaction-discard", "transaction", "shared", resets=True): "pool_discard yes",
    Kind("odyssey-transaction-prepared", "transaction", "shared", named=True): (
        "pool_discard no\npool_reserve_prepared_statement yes"
    ),
    Kind("odyssey-statement", "statement", "shared"): "pool_discard no",
}
# Clients have the key of the server's own process, and keep it.
PGPOOL = {
    Kind("pgpool", "session", "none"): "load_balance_mode = off\nconnection_cache = on",
    Kind("pgpool-uncached", "session", "none"): "load_balance_mode = off\nconnection_cache = off",
    Kind("pgpool-balanced", "session", "none"): "load_balance_mode = on\nconnection_cache = on",
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
        limit = f"max_prepared_statements = {100 if kind.named else 0}\n"
        program = poolers.command("pgbouncer")
        context = pgbouncer.start(database, kind, program, SERVER_CONNECTIONS, limit)
    with context as pooler:
        if kind.named and kind.verdict == "shared":
            pooler.settings = dict(_NAMED)
        yield pooler
