"""The original package, `hypern==1.1.1`: the same API as ours, in an environment of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bench.drivers.base import Driver, Timed, key, repeat_threads
from bench.drivers.hypern_driver import Hypern
from hypern.database import db, finalize_db


class Original(Hypern):
    def crowd(self, sql: str, count: int, connections: int) -> Timed:
        alias = self.pool(connections)
        # Left to its pool, threads that wait can keep those that hold a connection from going on
        # until the wait times out.
        free = threading.Semaphore(connections)

        def body(i: int) -> None:
            request_id = f"request {i}"
            with free:
                db(request_id, alias).query_one(sql, [key(i)])
                finalize_db(request_id)

        return repeat_threads(body, count)


driver: Callable[[str], Driver] = Original
