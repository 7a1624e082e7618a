"""The bank as a Hypern application: `python -m examples.hypern_app`.

The environment variables PORT and WORKERS set the port and the number of workers.
"""

from __future__ import annotations

import os
from decimal import Decimal

from starlette.exceptions import HTTPException

from examples import bank
from hypern import Hypern
from hypern.app import Context, Request, Response
from hypern.database import db
from hypern.errors import CheckViolation

app = Hypern()


@app.on_startup
async def startup() -> None:
    """Prepare a worker."""
    bank.configure()
    bank.create_tables()


@app.post("/accounts")
def open_account(req: Request, res: Response, ctx: Context) -> None:
    """Open an account."""
    data = req.json()
    res.status(201).json({"id": bank.open_account(data["name"], Decimal(data["balance"]))})


@app.get("/accounts/:id")
def account(req: Request, res: Response, ctx: Context) -> None:
    """Show an account."""
    row = db(ctx).query_one_or_none(
        "SELECT id, name, balance FROM accounts WHERE id = $1", [int(req.params["id"])]
    )
    if row is None:
        res.status(404).json({"error": f"no account {req.params['id']}"})
    else:
        res.json(row)


@app.post("/transfers")
async def transfer(req: Request, res: Response, ctx: Context) -> None:
    """Move money, awaited. Plain functions run in threads."""
    data = req.json()
    try:
        await bank.atransfer(data["source"], data["target"], Decimal(data["amount"]))
    except CheckViolation as error:
        raise HTTPException(409, "not enough money") from error
    except bank.NoAccountError as error:
        raise HTTPException(404, str(error)) from error
    res.json({"moved": data["amount"]})


@app.get("/lines")
def lines(req: Request, res: Response, ctx: Context) -> None:
    """List all accounts."""
    res.text("".join(bank.lines()))


if __name__ == "__main__":
    app.start(port=int(os.environ.get("PORT", "5000")), workers=int(os.environ.get("WORKERS", "1")))
