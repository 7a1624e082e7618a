"""The bank in Starlette, for the load."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from web.served import moves

from examples.starlette_app import app

__all__ = ["app"]


async def move(request: Request) -> JSONResponse:
    """Move money in a thread."""
    return JSONResponse(await run_in_threadpool(moves.move, await request.json()))


async def move_awaited(request: Request) -> JSONResponse:
    """Move money on the event loop."""
    return JSONResponse(await moves.amove(await request.json()))


app.add_route("/moves", move, ["POST"])
app.add_route("/moves/awaited", move_awaited, ["POST"])
