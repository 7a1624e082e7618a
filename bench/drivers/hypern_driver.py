"""hypern through its public API, with every default: the full reset among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench.drivers.base import Driver, Row, Timed, arrivals, key, repeat, repeat_threads
from bench.row_classes import BY_WORD
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
