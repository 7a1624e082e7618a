"""What the options of a scope cost: `python -m bench.scopes postgresql://...`.

An atomic request is compared with one that begins and commits by itself. One with two settings and
a role is compared with libpq: the same commands, prepared, in one pipeline for each of the
request's writes, through psycopg.pq in C. Rounds are interleaved; medians in microseconds.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from psycopg import pq

from hypern.database import Database, db, scope

ROUNDS, REQUESTS = 15, 400
SELECT = "SELECT id, owner, balance FROM scope_accounts WHERE id = $1"
UPDATE = "UPDATE scope_accounts SET balance = balance + 1 WHERE id = $1"
SETTINGS = {"app.user_id": "42", "app.tenant": "t7"}
SET = (
    "SELECT pg_catalog.set_config($1, $2, true), pg_catalog.set_config($3, $4, true), "
    "pg_catalog.set_config($5, $6, true)"
)
GOALS = (("atomic", "begin and commit", 1.03), ("settings and role", "libpq", 1.1))


class Pipeline:
    """A connection of libpq's in pipeline mode, whose statements are prepared."""

    def __init__(self, url: str) -> None:
        self.connection = pq.PGconn.connect(url.encode())
        assert self.connection.status == pq.ConnStatus.OK, self.connection.error_message
        texts = {b"begin": "BEGIN", b"set": SET, b"select": SELECT, b"update": UPDATE}
        for name, sql in {**texts, b"commit": "COMMIT"}.items():
            self.connection.prepare(name, sql.encode())
        self.connection.enter_pipeline_mode()

    def run(self, *statements: tuple[bytes, list[bytes]]) -> None:
        """Send statements and one Sync, and take in every result."""
        connection = self.connection
        for name, values in statements:
            connection.send_query_prepared(name, values, result_format=1)
        connection.pipeline_sync()
        connection.flush()
        while True:
            result = connection.get_result()
            if result is None:
                continue
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                return
            assert result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


def ways(url: str, role: str) -> dict[str, Callable[[int], object]]:
    """Each way to serve a request, by its name."""
    Database.configure(url, max_size=1)
    pipeline = Pipeline(url)
    values = [text.encode() for pair in SETTINGS.items() for text in pair]
    values += [b"role", role.encode()]

    def work(key: int) -> None:
        session = db()
        session.query_one(SELECT, [key])
        session.execute(UPDATE, [key])

    def explicit(key: int) -> None:
        with scope():
            db().begin()
            work(key)
            db().commit()

    def atomic(key: int) -> None:
        with scope(atomic=True):
            work(key)

    def set_up(key: int) -> None:
        with scope(settings=SETTINGS, role=role):
            work(key)

    def libpq(key: int) -> None:
        text = str(key).encode()
        pipeline.run((b"begin", []), (b"set", values), (b"select", [text]))
        pipeline.run((b"update", [text]))
        pipeline.run((b"commit", []))

    return {
        "begin and commit": explicit,
        "atomic": atomic,
        "settings and role": set_up,
        "libpq": libpq,
    }


def main(url: str) -> None:
    """Measure, and print the medians and the ratios."""
    Database.configure(url, max_size=1)
    with scope():
        role: Any = db().query_value("SELECT current_user")
        db().execute_script(
            "DROP TABLE IF EXISTS scope_accounts;"
            "CREATE TABLE scope_accounts AS SELECT i AS id, 'owner ' || i AS owner, 0 AS balance"
            " FROM generate_series(1, 1000) i; ALTER TABLE scope_accounts ADD PRIMARY KEY (id)"
        )
    Database.close()
    samples: dict[str, list[float]] = {}
    found = ways(url, role)
    for n in range(ROUNDS + 1):
        order = list(found.items())
        for name, request in order if n % 2 else reversed(order):
            start = perf_counter()
            for i in range(REQUESTS):
                request(i % 1000 + 1)
            if n:  # the first round prepares everything
                samples.setdefault(name, []).append((perf_counter() - start) / REQUESTS * 1e6)
    medians = {name: statistics.median(rounds) for name, rounds in samples.items()}
    for name, median in medians.items():
        print(f"{name:20} {median:8.1f} us")
    for ours, theirs, goal in GOALS:
        print(f"{ours} / {theirs}: {medians[ours] / medians[theirs]:.3f}, goal {goal}")
    with scope():
        db().execute("DROP TABLE scope_accounts")


if __name__ == "__main__":
    main(sys.argv[1])
