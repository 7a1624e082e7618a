"""psycopg 3 with its C speedups: prepared statements, dict_row, binary results."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg.rows import args_row, class_row, dict_row, tuple_row
from psycopg_pool import ConnectionPool

from bench.drivers.base import Driver, Row, Timed, arrivals, key, repeat, repeat_threads
from bench.drivers.copying import CLEAR, COLUMNS, TYPES, repeat_cleared, some_items, tuples
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

    def copy(self, way: str, count: int) -> Timed:
        items = some_items(count)
        text = way.endswith("text format")
        cursor = self.connection.cursor()
        copy_in = b"COPY copied FROM STDIN" + (b"" if text else b" (FORMAT binary)")

        def rows_in() -> None:
            with cursor.copy(copy_in) as copy:
                if not text:
                    copy.set_types(TYPES)
                for row in rows:
                    copy.write_row(row)

        def rows_out() -> Iterator[Row]:
            with cursor.copy(f"COPY ({items}) TO STDOUT (FORMAT binary)".encode()) as copy:
                copy.set_types(TYPES)
                for row in copy.rows():
                    yield dict(zip(COLUMNS, row, strict=True))

        if way == "rows out as a list":
            return repeat(lambda _: list(rows_out()))
        if way.startswith("rows out"):
            return repeat(lambda _: deque(rows_out(), maxlen=0))
        rows = tuples(self.rows(items))
        return repeat_cleared(rows_in, lambda: cursor.execute(CLEAR.encode()))

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
