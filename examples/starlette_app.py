"""The bank in Starlette: `uvicorn examples.starlette_app:app`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from examples import bank
from hypern.errors import CheckViolation
from hypern.middleware.asgi import DatabaseMiddleware

bank.configure()


async def open_account(request: Request) -> JSONResponse:
    """Open an account."""
    data: Any = await request.json()
    number = await run_in_threadpool(bank.open_account, data["name"], Decimal(data["balance"]))
    return JSONResponse({"id": number}, 201)


def account(request: Request) -> JSONResponse:
    """Show an account. Starlette runs a plain function in a thread by itself."""
    found = bank.account(request.path_params["number"])
    return JSONResponse({**vars(found), "balance": str(found.balance)})


async def transfer(request: Request) -> JSONResponse:
    """Move money, awaited, without a thread."""
    data: Any = await request.json()
    await bank.atransfer(data["source"], data["target"], Decimal(data["amount"]))
    return JSONResponse({"moved": data["amount"]})


def lines(request: Request) -> StreamingResponse:
    """List all accounts, sent while they are read."""
    return StreamingResponse(bank.lines(), media_type="text/plain")


def not_found(request: Request, error: Exception) -> JSONResponse:
    """Starlette turns the exception into a response, whose status causes the rollback."""
    return JSONResponse({"error": str(error)}, 404)


def not_enough(request: Request, error: Exception) -> JSONResponse:
    """The same."""
    return JSONResponse({"error": "not enough money"}, 409)


app = Starlette(
    routes=[
        Route("/accounts", open_account, methods=["POST"]),
        Route("/accounts/{number:int}", account),
        Route("/transfers", transfer, methods=["POST"]),
        Route("/lines", lines),
    ],
    middleware=[Middleware(DatabaseMiddleware)],
    exception_handlers={bank.NoAccountError: not_found, CheckViolation: not_enough},
)
