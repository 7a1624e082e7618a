"""The bank in FastAPI: `uvicorn examples.fastapi_app:app`."""

from __future__ import annotations

from decimal import Decimal

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from examples import bank
from hypern.errors import CheckViolation
from hypern.middleware.fastapi import DatabaseMiddleware, Session

bank.configure()
app = FastAPI()
app.add_middleware(DatabaseMiddleware)


class Account(BaseModel):
    """An account in a response."""

    id: int
    name: str
    balance: Decimal


class NewAccount(BaseModel):
    """The data for a new account."""

    name: str
    balance: Decimal


class Transfer(BaseModel):
    """A transfer between two accounts."""

    source: int
    target: int
    amount: Decimal


@app.post("/accounts", status_code=201)
def open_account(new: NewAccount) -> dict[str, int]:
    """Open an account."""
    return {"id": bank.open_account(new.name, new.balance)}


@app.get("/accounts/{number}")
def account(number: int, session: Session) -> Account:
    """Show an account."""
    found = session.query_one_or_none(
        "SELECT id, name, balance FROM accounts WHERE id = $1", [number], into=Account
    )
    if found is None:
        raise HTTPException(404, f"no account {number}")
    return found


@app.post("/transfers")
async def transfer(order: Transfer) -> dict[str, Decimal]:
    """Move money, awaited. FastAPI runs the plain functions here in threads."""
    await bank.atransfer(order.source, order.target, order.amount)
    return {"moved": order.amount}


@app.get("/lines")
def lines() -> StreamingResponse:
    """List all accounts, sent while they are read."""
    return StreamingResponse(bank.lines(), media_type="text/plain")


@app.exception_handler(bank.NoAccountError)
def not_found(request: Request, error: bank.NoAccountError) -> JSONResponse:
    """FastAPI turns the exception into a response, whose status causes the rollback."""
    return JSONResponse({"error": str(error)}, 404)


@app.exception_handler(CheckViolation)
def not_enough(request: Request, error: CheckViolation) -> JSONResponse:
    """The same."""
    return JSONResponse({"error": "not enough money"}, 409)
