"""The application: a Hypern app, whose handlers neither commit, roll back nor release anything."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from typing import Any

from demo.databases import ALIASES
from hypern import Hypern
from hypern.app import Context, Request, Response
from hypern.database import Database, DbSession, adb, db
from hypern.errors import CheckViolation

app = Hypern()

JSON = dict[str, Any]


@app.get("/accounts/:id/orders")
async def read_orders(req: Request, res: Response, ctx: Context) -> None:
    """An account's orders from one database, and their total from the other."""
    account = int(req.params["id"])
    orders = await adb(ctx, "main").query(
        """
        SELECT id, account_id, total, items, placed_at
        FROM orders WHERE account_id = $1 ORDER BY placed_at DESC
        """,
        [account],
    )
    sales = await adb(ctx, "analytics").query_value(
        "SELECT sum(total) FROM sales WHERE account_id = $1", [account]
    )
    res.json({"orders": orders, "sales": sales, "worker": os.getpid()})


@app.post("/transfers")
def transfer(req: Request, res: Response, ctx: Context) -> None:
    """Move money between two accounts. An overdraft violates a constraint."""
    try:
        main = _begin_transfer(req, ctx)
        main.execute(
            "UPDATE accounts SET balance = balance - $1 WHERE id = $2",
            [Decimal(req.json()["amount"]), req.json()["source"]],
        )
    except CheckViolation as error:
        # Both transactions are rolled back at the end of the request: this one by set_error().
        db(ctx, "analytics").set_error()
        res.status(409).json({"constraint": error.constraint, "request_id": ctx.request_id})
    else:
        res.json({"request_id": ctx.request_id, "worker": os.getpid()})


@app.post("/transfers-with-a-bug")
def transfer_with_a_bug(req: Request, res: Response, ctx: Context) -> None:
    """Credit the target, and raise before the source is debited."""
    _begin_transfer(req, ctx)
    raise RuntimeError("this handler has a bug")


def _begin_transfer(req: Request, ctx: Context) -> DbSession:
    """Do everything for a transfer except debiting its source."""
    main, analytics = db(ctx, "main").begin(), db(ctx, "analytics").begin()
    source, target = req.json()["source"], req.json()["target"]
    amount = Decimal(req.json()["amount"])
    # Every transfer locks in the same order, so two transfers cannot deadlock.
    main.query(
        "SELECT id FROM accounts WHERE id = ANY($1) ORDER BY id FOR UPDATE", [[source, target]]
    )
    main.execute(
        "INSERT INTO transfers VALUES ($1, $2, $3, $4)", [ctx.request_id, source, target, amount]
    )
    analytics.execute("INSERT INTO events VALUES ($1, $2)", [ctx.request_id, "transfer"])
    main.execute("UPDATE accounts SET balance = balance + $1 WHERE id = $2", [amount, target])
    return main


def report_at_shutdown(descriptor: int) -> None:
    """Make each worker write the status of its pools, a line of JSON, after its last request."""

    @app.on_shutdown
    def report() -> None:
        pools = {alias: _status(alias) for alias in ALIASES}
        os.write(descriptor, json.dumps({"pid": os.getpid(), "pools": pools}).encode() + b"\n")


def _status(alias: str) -> JSON:
    status = Database.status(alias)
    return {
        name: getattr(status, name)
        for name in ("size", "available", "in_use", "waiting", "max_size")
    }
