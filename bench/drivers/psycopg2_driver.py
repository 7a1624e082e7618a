"""psycopg2, on the text protocol: it has no prepared statements and no binary results.

Dicts are zipped from plain tuples: RealDictCursor, the documented way, takes twice as long. zip()
goes without its `strict`, since the keyword itself would cost this driver time (noqa: B905).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg2
from psycopg2.extras import execute_batch
from psycopg2.pool import ThreadedConnectionPool

from bench.drivers.base import Driver, Row, Timed, arrivals, key, repeat, repeat_threads


def placeholders(sql: str) -> str:
    return re.sub(r"\$\d+", "%s", sql)


def fetch(cursor: Any) -> list[Row]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]  # noqa: B905


def fetch_one(cursor: Any) -> Row:
    names = [column[0] for column in cursor.description]
    return dict(zip(names, cursor.fetchone()))  # noqa: B905


class Psycopg2(Driver):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.connection = psycopg2.connect(url)
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()

    def rows(self, sql: str) -> list[Row]:
        self.cursor.execute(sql)
        return fetch(self.cursor)

    def one(self, statements: Sequence[str], keyed: bool) -> Timed:
        cursor = self.cursor
        texts = [placeholders(sql) for sql in statements]

        def body(i: int) -> Row:
            cursor.execute(texts[i % len(texts)], (key(i),) if keyed else None)
            return fetch_one(cursor)

        return repeat(body)

    def all(self, sql: str) -> Timed:
        def body(_: int) -> list[Row]:
            self.cursor.execute(sql)
            return fetch(self.cursor)

        return repeat(body)

    def request(self, select: str, update: str, count: int, connections: int) -> Timed:
        pool = ThreadedConnectionPool(1, 8, self.url)
        select, update = placeholders(select), placeholders(update)

        def body(i: int) -> None:
            connection = pool.getconn()
            with connection:
                cursor = connection.cursor()
                cursor.execute(select, (key(i),))
                fetch_one(cursor)
                cursor.execute(update, (key(i),))
            pool.putconn(connection)

        return repeat(body)

    def many(self, insert: str, clear: str, count: int) -> Timed:
        rows = arrivals(count)
        text = placeholders(insert)
        cursor = self.cursor

        def run(loops: int) -> float:
            measured = repeat(lambda _: execute_batch(cursor, text, rows, page_size=1000))(loops)
            cursor.execute(clear)
            return measured

        return run

    def crowd(self, sql: str, count: int, connections: int) -> Timed:
        pool = ThreadedConnectionPool(connections, connections, self.url)
        # The pool raises when it is empty, so that waiting is the caller's business.
        free = threading.Semaphore(connections)
        text = placeholders(sql)

        def body(i: int) -> None:
            with free:
                connection = pool.getconn()
                connection.autocommit = True
                cursor = connection.cursor()
                cursor.execute(text, (key(i),))
                fetch_one(cursor)
                pool.putconn(connection)

        return repeat_threads(body, count)


driver: Callable[[str], Driver] = Psycopg2
