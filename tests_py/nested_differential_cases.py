"""A test that test_pytest_plugin.py runs with the plugin, in a pytest of its own: what a session
does, its outcome is the same with `db_session` as on a connection of its own. The table `notes` is
that module's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import either
import pytest
from either import db, finalize_db

from hypern.database import Database
from hypern.errors import Error

SEEDS = 120
LENGTH = 25

SQL = (
    "BEGIN",
    "begin read only",
    ";start transaction",
    "COMMIT",
    "/* x */ end",
    "ROLLBACK",
    "abort work",
    "COMMIT AND CHAIN",
    "ROLLBACK AND CHAIN",
    "commit and no chain",
    "SAVEPOINT a",
    "SAVEPOINT b",
    "RELEASE a",
    "release savepoint B",
    "ROLLBACK TO a",
    "rollback work to savepoint b",
    "SELECT 1/0",
    "SELECT nothing FROM nowhere",
    "NO SQL",
    "",
    "COMMIT nonsense",
    "SET TRANSACTION READ ONLY",
    "DELETE FROM notes WHERE n > 2",
)


@pytest.fixture(autouse=True, params=either.KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    either.choose(request.param)
    yield request.param
    either.choose("blocking")


class Trace:
    """What a session does by chance, and the outcome of each step."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.outcomes: list[object] = []
        self.blocks: list[Any] = []
        self.rows: Any = None

    def run(self) -> list[object]:
        moves = (
            self.sql, self.sql, self.sql, self.insert, self.insert, self.count, self.count,
            self.many, self.enter, self.leave, self.undo, self.hook, self.stream, self.next_row,
            self.begin, self.commit, self.rollback, self.finalize,
        )  # fmt: skip
        for _ in range(LENGTH):
            move = self.chance.choice(moves)
            self.note(move.__name__, move)
            session = db("a")
            self.outcomes.append((session.state, session.is_in_transaction, session.has_error))
        while self.blocks:
            self.note("undo", self.undo)
        self.note("finalize", self.finalize)
        self.note("count", self.count)
        db("a").execute("DELETE FROM notes")
        finalize_db("a")
        return self.outcomes

    def note(self, name: str, move: Callable[[], object]) -> None:
        try:
            self.outcomes.append((name, move()))
        except Error as error:
            cause = error.__cause__
            self.outcomes.append((name, type(error).__name__, _plain(error), _plain(cause)))

    def sql(self) -> object:
        sql = self.chance.choice(SQL)
        self.outcomes.append(sql)
        return db("a").execute(sql)

    def insert(self) -> object:
        return db("a").execute("INSERT INTO notes VALUES ($1)", [self.chance.randrange(5)])

    def count(self) -> object:
        return [row["n"] for row in db("a").query("SELECT n FROM notes ORDER BY n")]

    def many(self) -> object:
        rows: list[list[object]] = [[self.chance.randrange(9)], [self.chance.choice([7, 8, "x"])]]
        return db("a").execute_many("INSERT INTO notes VALUES ($1)", rows)

    def enter(self) -> None:
        block = db("a").transaction()
        block.__enter__()
        self.blocks.append(block)

    def leave(self) -> object:
        return self.blocks and self.blocks.pop().__exit__(None, None, None)

    def undo(self) -> object:
        error = KeyError("block")
        return self.blocks and self.blocks.pop().__exit__(KeyError, error, None)

    def hook(self) -> None:
        number = len(self.outcomes)
        db("a").on_commit(lambda: self.outcomes.append(("called", number)))

    def stream(self) -> object:
        rows = db("a").stream("SELECT n FROM generate_series(1, 3) n", chunk_rows=1)
        self.rows = iter(rows)
        return next(self.rows)

    def next_row(self) -> object:
        return self.rows and next(self.rows, None)

    def begin(self) -> None:
        db("a").begin(read_only=self.chance.choice([None, True, False]))

    def commit(self) -> None:
        db("a").commit()

    def rollback(self) -> None:
        db("a").rollback()

    def finalize(self) -> None:
        self.rows = None
        finalize_db("a")


def _plain(error: BaseException | None) -> str:
    """Its text without what differs: a block's place and number, and who has put it into words."""
    words = str(error).removeprefix("PostgreSQL error: ").split()
    return " ".join(word for word in words if ".py:" not in word and "hypern_" not in word)


def test_a_session_behaves_as_on_a_connection_of_its_own(
    hypern_url: str, request: pytest.FixtureRequest
) -> None:
    Database.configure(hypern_url)
    own = [Trace(seed).run() for seed in range(SEEDS)]
    request.getfixturevalue("db_session")
    for seed in range(SEEDS):
        nested = Trace(seed).run()
        for i, (here, there) in enumerate(zip(nested, own[seed], strict=True)):
            assert here == there, f"seed {seed}, after {own[seed][:i]}"
