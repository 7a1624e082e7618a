"""hypern through its public API, with every default: the full reset among them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from bench.drivers.base import Driver, Row, Timed, arrivals, key, repeat, repeat_threads
from bench.drivers.copying import (
    CLEAR,
    COLUMNS,
    data_file,
    repeat_cleared,
    some_items,
    tuples,
)
from hypern.database import Database, db, finalize_db


class Hypern(Driver):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.aliases = 0
        self.session: Any = db("held for the whole run", self.pool(1))

    def pool(self, size: int) -> str:
        """A pool of its own for each kind of work, as the peers have."""
        self.aliases += 1
        alias = f"pool {self.aliases}"
        Database.configure(self.url, max_size=size, alias=alias)
        return alias

    def rows(self, sql: str) -> list[Row]:
        rows: list[Row] = self.session.query(sql)
        return rows

    def one(self, statements: Sequence[str], keyed: bool) -> Timed:
        query_one = self.session.query_one
        if keyed:
            return repeat(lambda i: query_one(statements[i % len(statements)], [key(i)]))
        return repeat(lambda i: query_one(statements[i % len(statements)]))

    def all(self, sql: str) -> Timed:
        return repeat(lambda _: self.session.query(sql))

    def into(self, sql: str, word: str) -> Timed:
        # Here, since the original's environment has no pydantic.
        from bench.row_classes import BY_WORD

        query = self.session.query
        if word == "validated":
            validate = BY_WORD["pydantic"].model_validate
            return repeat(lambda _: [validate(row) for row in query(sql)])
        return repeat(lambda _: query(sql, into=BY_WORD[word]))

    def batch(self, sql: str, together: bool, count: int) -> Timed:
        session = self.session

        def body(i: int) -> list[Row]:
            with session.batch() as b:
                found = [b.query_one(sql, [key(i + n)]) for n in range(count)]
            return [result.row for result in found]

        def one_by_one(i: int) -> list[Row]:
            return [session.query_one(sql, [key(i + n)]) for n in range(count)]

        return repeat(body if together else one_by_one)

    def copy(self, way: str, count: int) -> Timed:
        session, items, file = self.session, some_items(count), data_file()
        out = f"COPY ({items}) TO STDOUT"
        marks = ", ".join(f"${n}" for n in range(1, len(COLUMNS) + 1))

        def data_in() -> int:
            with file.open("rb") as source:
                copied: int = session.copy_in_raw("COPY copied FROM STDIN", source)
            return copied

        def data_out() -> None:
            with file.open("wb") as target:
                target.writelines(session.copy_out_raw(out))

        def each() -> None:
            for _ in session.copy_out(items):
                pass

        match way:
            case "rows out as a list":
                return repeat(lambda _: list(session.copy_out(items)))
            case "rows out one by one":
                return repeat(lambda _: each())
            case "rows out by query":
                return self.all(items)
            case "data out into a file":
                return repeat(lambda _: data_out())
            case "data in from a file":
                data_out()
                body: Callable[[], object] = data_in
            case "rows in, made beforehand":
                made = b"".join(session.copy_out_raw(f"{out} (FORMAT binary)"))
                body = functools.partial(
                    session.copy_in_raw, "COPY copied FROM STDIN (FORMAT binary)", made
                )
            case "rows in by execute_many":
                rows = tuples(self.rows(items))
                insert = f"INSERT INTO copied VALUES ({marks})"
                body = functools.partial(session.execute_many, insert, rows)
            case _:
                body = functools.partial(
                    session.copy_in, "copied", tuples(self.rows(items)), COLUMNS
                )
        return repeat_cleared(body, lambda: session.execute(CLEAR))

    def request(self, select: str, update: str, count: int, connections: int) -> Timed:
        alias = self.pool(connections)

        def body(i: int) -> None:
            request_id = f"request {i}"
            session = db(request_id, alias)
            session.begin()
            session.query_one(select, [key(i)])
            session.execute(update, [key(i)])
            finalize_db(request_id)  # commits, as at the end of every request

        return repeat(body)

    def many(self, insert: str, clear: str, count: int) -> Timed:
        rows = arrivals(count)

        def run(loops: int) -> float:
            measured = repeat(lambda _: self.session.execute_many(insert, rows))(loops)
            self.session.execute(clear)
            return measured

        return run

    def crowd(self, sql: str, count: int, connections: int) -> Timed:
        alias = self.pool(connections)

        def body(i: int) -> None:
            request_id = f"request {i}"
            db(request_id, alias).query_one(sql, [key(i)])
            finalize_db(request_id)

        return repeat_threads(body, count)


driver: Callable[[str], Driver] = Hypern
