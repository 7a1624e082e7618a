"""The two databases of the demo: their tables and rows, and their books after the load."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from urllib.parse import urlsplit

from hypern.database import Database, db, scope

ALIASES = ("main", "analytics")
APPLICATION_NAME = "hypern-demo"
POOL_SIZE = 3  # less than the clients of a worker, so requests wait for connections

ACCOUNTS = 200
OPENING_BALANCE = Decimal("10000.00")
ORDERS = 5_000

TABLES = {
    "main": (
        """CREATE TABLE accounts (
            id int PRIMARY KEY,
            owner text NOT NULL,
            balance numeric(12, 2) NOT NULL CONSTRAINT no_overdraft CHECK (balance >= 0))""",
        """CREATE TABLE orders (
            id int PRIMARY KEY,
            account_id int NOT NULL REFERENCES accounts,
            total numeric(12, 2) NOT NULL,
            items jsonb NOT NULL,
            placed_at timestamptz NOT NULL)""",
        "CREATE INDEX orders_of_account ON orders (account_id, placed_at)",
        """CREATE TABLE transfers (
            request_id text PRIMARY KEY,
            source int NOT NULL REFERENCES accounts,
            target int NOT NULL REFERENCES accounts,
            amount numeric(12, 2) NOT NULL CHECK (amount > 0))""",
    ),
    "analytics": (
        """CREATE TABLE sales (
            order_id int PRIMARY KEY,
            account_id int NOT NULL,
            total numeric(12, 2) NOT NULL)""",
        "CREATE INDEX sales_of_account ON sales (account_id)",
        "CREATE TABLE events (request_id text PRIMARY KEY, kind text NOT NULL)",
    ),
}


@dataclass(frozen=True)
class Books:
    """The contents of both databases after the load."""

    money: Decimal
    wrong_balances: int  # accounts whose balance is not opening + received - sent
    transfers: frozenset[str]  # request ids
    events: frozenset[str]  # request ids
    inserted: dict[str, int]  # rows by table, including those rolled back, as counted by PostgreSQL


def create(server_url: str) -> str:
    """Create both databases, configure an alias for each, and return the server's version."""
    Database.configure(server_url, max_size=1, alias="setup")
    with scope("create-databases"):
        setup = db(alias="setup")
        version: str = setup.query_value("SHOW server_version")
        for name in ALIASES:
            setup.execute(f"CREATE DATABASE {name}")
    Database.close("setup")
    for name in ALIASES:
        url = urlsplit(server_url)._replace(path=f"/{name}").geturl()
        Database.configure(url, POOL_SIZE, application_name=APPLICATION_NAME, alias=name)
    return version


def fill() -> None:
    """Create the tables and their rows, all or nothing."""
    with scope("fill-databases"):
        for alias, tables in TABLES.items():
            session = db(alias=alias).begin()
            for table in tables:
                session.execute(table)
        main, analytics = db(alias="main"), db(alias="analytics")
        main.execute_many(
            "INSERT INTO accounts VALUES ($1, $2, $3)",
            ((n, f"owner {n}", OPENING_BALANCE) for n in range(1, ACCOUNTS + 1)),
        )
        first_day = datetime(2026, 1, 1, tzinfo=timezone.utc)
        orders = [
            (n, account, total, {"pieces": n % 7 + 1}, first_day + timedelta(minutes=n))
            for account in range(1, ACCOUNTS + 1)
            for n, total in orders_of(account).items()
        ]
        main.execute_many("INSERT INTO orders VALUES ($1, $2, $3, $4, $5)", orders)
        analytics.execute_many(
            "INSERT INTO sales VALUES ($1, $2, $3)",
            ((n, account, total) for n, account, total, *_ in orders),
        )


@cache
def orders_of(account: int) -> dict[int, Decimal]:
    """The totals of an account's orders, by order."""
    orders = range(account, ORDERS + 1, ACCOUNTS)
    return {n: Decimal(n * 7 % 9_973 + 100).scaleb(-2) for n in orders}


def read_books() -> Books:
    """Read the books after the load."""
    with scope("read-books"):
        main, analytics = db(alias="main"), db(alias="analytics")
        wrong = main.query_value(
            """
            SELECT count(*) FROM accounts a WHERE balance <> $1
                + (SELECT coalesce(sum(amount), 0) FROM transfers WHERE target = a.id)
                - (SELECT coalesce(sum(amount), 0) FROM transfers WHERE source = a.id)
            """,
            [OPENING_BALANCE],
        )
        transfers = main.query("SELECT request_id FROM transfers")
        events = analytics.query("SELECT request_id FROM events")
        return Books(
            money=main.query_value("SELECT sum(balance) FROM accounts"),
            wrong_balances=wrong,
            transfers=frozenset(row["request_id"] for row in transfers),
            events=frozenset(row["request_id"] for row in events),
            inserted={
                table: session.query_value(
                    "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = $1", [table]
                )
                for session, table in ((main, "transfers"), (analytics, "events"))
            },
        )


def others_connections() -> int:
    """The number of the demo's connections on the server, without those of this process."""
    with scope("count-connections"):
        count: int = db(alias="main").query_value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", [APPLICATION_NAME]
        )
        return count - sum(Database.status(alias).size for alias in ALIASES)
