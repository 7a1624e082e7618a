"""psycopg 3 with its C speedups: prepared statements, dict_row, binary results."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.rows import args_row, class_row, dict_row, tuple_row
from psycopg_pool import ConnectionPool

from bench.drivers.base import Driver, Row, Timed, arrivals, key, repeat, repeat_threads
from bench.row_classes import BY_WORD

OPTIONS: dict[str, Any] = {"row_factory": dict_row, "autocommit": True, "prepare_threshold": 0}


def placeholders(sql: str) -> bytes:
    return re.sub(r"\$\d+", "%s", sql).encode()


class Psycopg3(Driver):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.connection: Any = psycopg.connect(url, **OPTIONS)
        self.cursor = self.connection.cursor(binary=True)

    def rows(self, sql: str) -> list[Row]:
        rows: list[Row] = self.cursor.execute(placeholders(sql)).fetchall()
        return rows

    def one(self, statements: Sequence[str], keyed: bool) -> Timed:
        cursor = self.cursor
        texts = [placeholders(sql) for sql in statements]

        def body(i: int) -> Row | None:
            cursor.execute(texts[i % len(texts)], (key(i),) if keyed else None)
            row: Row | None = cursor.fetchone()
            return row

        return repeat(body)

    def all(self, sql: str) -> Timed:
        text = placeholders(sql)
        return repeat(lambda _: self.cursor.execute(text).fetchall())

    def into(self, sql: str, word: str) -> Timed:
        # By position, which is faster than class_row's keywords; models take keywords only.
        text, cls = placeholders(sql), BY_WORD[word]
        factory = {"tuple": tuple_row, "pydantic": class_row(cls)}.get(word, args_row(cls))
        cursor = self.connection.cursor(binary=True, row_factory=factory)
        return repeat(lambda _: cursor.execute(text).fetchall())

    def batch(self, sql: str, together: bool, count: int) -> Timed:
        connection, text = self.connection, placeholders(sql)
        cursors = [connection.cursor(binary=True) for _ in range(count)]

        def body(i: int) -> list[Row | None]:
            with connection.pipeline():
                for n, cursor in enumerate(cursors):
                    cursor.execute(text, (key(i + n),))
            return [cursor.fetchone() for cursor in cursors]

        def one_by_one(i: int) -> list[Row | None]:
            return [self.cursor.execute(text, (key(i + n),)).fetchone() for n in range(count)]

        return repeat(body if together else one_by_one)

    def pool(self, size: int, autocommit: bool) -> ConnectionPool:
        options = OPTIONS | {"autocommit": autocommit}
        pool = ConnectionPool(self.url, min_size=size, max_size=size, kwargs=options, open=True)
        pool.wait()
        return pool

    def request(self, select: str, update: str, count: int, connections: int) -> Timed:
        pool = self.pool(connections, autocommit=False)
        first, second = placeholders(select), placeholders(update)

        def body(i: int) -> None:
            with pool.connection() as connection:
                cursor = connection.cursor(binary=True)
                cursor.execute(first, (key(i),)).fetchone()
                cursor.execute(second, (key(i),))

        return repeat(body)

    def many(self, insert: str, clear: str, count: int) -> Timed:
        rows = arrivals(count)
        text = placeholders(insert)
        cursor = self.connection.cursor()

        def run(loops: int) -> float:
            measured = repeat(lambda _: cursor.executemany(text, rows))(loops)
            cursor.execute(clear.encode())
            return measured

        return run

    def crowd(self, sql: str, count: int, connections: int) -> Timed:
        pool = self.pool(connections, autocommit=True)
        text = placeholders(sql)

        def body(i: int) -> None:
            with pool.connection() as connection:
                connection.cursor(binary=True).execute(text, (key(i),)).fetchone()

        return repeat_threads(body, count)


driver: Callable[[str], Driver] = Psycopg3
