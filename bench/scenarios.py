"""What is measured: every row of the tables, with its SQL and its goal.

A goal is a ratio to the best peer of the same run, measured by medians.
"""

from __future__ import annotations

from dataclasses import dataclass

PEERS = ("psycopg2", "psycopg3", "asyncpg", "psqlpy", "original")
ALL_DRIVERS = (*PEERS, "psycopg3_async", "hypern", "hypern_async", "floor", "psql")
BINARY_PEERS = ("psycopg3", "asyncpg", "psqlpy")
ASYNC_PEERS = ("asyncpg", "psycopg3_async", "psqlpy")

SIX = "id, name, email, active, score, created_at"
BY_KEY = f"SELECT {SIX} FROM items WHERE id = $1"
MANY = ("INSERT INTO arrivals (id, name, score) VALUES ($1, $2, $3)", "TRUNCATE arrivals")
REQUEST = (
    "SELECT id, owner, balance FROM accounts WHERE id = $1",
    "UPDATE accounts SET balance = balance + 1 WHERE id = $1",
)
ALL_ROWS = f"SELECT {SIX} FROM items"


@dataclass(frozen=True)
class Scenario:
    """One row of a table. `shape` is a method of bench.drivers.base.Driver."""

    key: str
    title: str
    shape: str
    sql: tuple[str, ...]
    goal: float
    count: int = 0  # one: 1 for a keyed query; many: rows; request, crowd: threads or tasks
    connections: int = 1
    rows: int = 1  # the figure is per so many rows
    peers: tuple[str, ...] = PEERS
    floor: bool = True  # whether the libpq program can do it
    ours: str = "hypern"

    def definition(self) -> list[str]:
        """The `define` line of the workers' protocol."""
        fields = [self.key, self.shape, str(self.count), str(self.connections), *self.sql]
        return ["define", *fields]


MAIN = (
    Scenario("select_1", "select 1 as a dict", "one", ("SELECT 1 AS one",), 0.75),
    Scenario("primary_key", "primary-key query as a dict", "one", (BY_KEY,), 0.8, count=1),
    Scenario(
        "request",
        "request: pool, begin, select, update, commit, release",
        "request",
        REQUEST,
        0.65,
        count=1,
    ),
    Scenario("rows_6", "1,000 rows x 6 as dicts", "all", (f"{ALL_ROWS} LIMIT 1000",), 0.75),
    Scenario(
        "rows_8",
        "1,000 rows x 8, numeric and jsonb parsed",
        "all",
        ("SELECT * FROM items LIMIT 1000",),
        0.75,
    ),
    Scenario("rows_100000", "100,000 rows x 6", "all", (ALL_ROWS,), 0.7),
    Scenario("many", "execute_many, a row of 1,000", "many", MANY, 0.75, count=1000, rows=1000),
    Scenario(
        "crowd",
        "16 threads on 8 connections",
        "crowd",
        (BY_KEY,),
        0.7,
        count=16,
        connections=8,
        floor=False,
    ),
)


def awaited(
    key: str, title: str, shape: str, sql: tuple[str, ...], goal: float, tasks: int
) -> Scenario:
    """A row for coroutines: 64 tasks share eight connections, fewer have one each."""
    return Scenario(
        f"async_{key}",
        title,
        shape,
        sql,
        goal,
        count=tasks,
        connections=min(tasks, 8),
        peers=ASYNC_PEERS,
        floor=False,
        ours="hypern_async",
    )


ASYNC = (
    awaited("held", "primary-key query on a connection held", "one", (BY_KEY,), 0.95, 1),
    awaited("query", "primary-key query through the pool, 1 task", "crowd", (BY_KEY,), 0.5, 1),
    awaited("queries", "the same, 64 tasks on 8 connections", "crowd", (BY_KEY,), 0.5, 64),
    awaited("request", "request cycle, 1 task", "request", REQUEST, 0.5, 1),
    awaited("requests", "the same, 64 tasks on 8 connections", "request", REQUEST, 0.5, 64),
    Scenario(
        "async_rows",
        "100,000 rows x 6",
        "all",
        (ALL_ROWS,),
        0.7,
        peers=ASYNC_PEERS,
        floor=False,
        ours="hypern_async",
    ),
)

TYPES = tuple(
    Scenario(
        f"type_{column}",
        f"1,000 rows of {title}",
        "all",
        (f"SELECT {column} FROM kinds",),
        1.0,
        peers=BINARY_PEERS,
    )
    for column, title in (
        ("an_int", "int"),
        ("a_text", "text"),
        ("a_timestamptz", "timestamptz"),
        ("a_numeric", "numeric"),
        ("a_jsonb", "jsonb"),
        ("a_uuid", "uuid"),
        ("an_int_array", "int[]"),
    )
)
TYPES_GOAL = 1 / 1.3
"""Over all types: our sum against the sum of the fastest peer of each row."""
