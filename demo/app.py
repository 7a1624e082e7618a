"""The application: what a request does with its sessions, and nothing about HTTP.

Each function gets one request and its answer is the response's body. None of them commits, rolls
back or releases anything: that happens where the request's scope ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypern.database import DbSession, db

JSON = dict[str, Any]


@dataclass
class Request:
    """One HTTP request."""

    id: str
    body: JSON
    written: int = 0  # rows written so far, whatever becomes of them


def read_orders(request: Request) -> JSON:
    """An account's orders from one database, and what they add up to in the other."""
    account = request.body["account"]
    orders = db(alias="main").query(
        """
        SELECT id, account_id, total, items, placed_at
        FROM orders WHERE account_id = $1 ORDER BY placed_at DESC
        """,
        [account],
    )
    sales = db(alias="analytics").query_value(
        "SELECT sum(total) FROM sales WHERE account_id = $1", [account]
    )
    return {"orders": orders, "sales": sales}


def transfer(request: Request) -> JSON:
    """Move money between two accounts; more than the source has violates a constraint."""
    main = _begin_transfer(request)
    source, amount = request.body["source"], Decimal(request.body["amount"])
    request.written += main.execute(
        "UPDATE accounts SET balance = balance - $1 WHERE id = $2", [amount, source]
    )
    return {"moved": amount}


def transfer_with_a_bug(request: Request) -> JSON:
    """Credit the target and then fail, before the source has paid."""
    _begin_transfer(request)
    raise RuntimeError("this handler has a bug")


ROUTES: dict[str, Callable[[Request], JSON]] = {
    "/orders": read_orders,
    "/transfer": transfer,
    "/transfer-with-a-bug": transfer_with_a_bug,
}


def _begin_transfer(request: Request) -> DbSession:
    """Do all of a transfer but take the money from its source."""
    main, analytics = db(alias="main").begin(), db(alias="analytics").begin()
    source, target = request.body["source"], request.body["target"]
    amount = Decimal(request.body["amount"])
    # Locked in one order by everybody, so that two transfers cannot wait for each other.
    main.query(
        "SELECT id FROM accounts WHERE id = ANY($1) ORDER BY id FOR UPDATE", [[source, target]]
    )
    request.written += main.execute(
        "INSERT INTO transfers VALUES ($1, $2, $3, $4)", [request.id, source, target, amount]
    )
    request.written += analytics.execute(
        "INSERT INTO events VALUES ($1, $2)", [request.id, "transfer"]
    )
    request.written += main.execute(
        "UPDATE accounts SET balance = balance + $1 WHERE id = $2", [amount, target]
    )
    return main
