"""The bank in FastAPI, for the load."""

from __future__ import annotations

from typing import Any

from web.served import moves

from examples.fastapi_app import app

__all__ = ["app"]


@app.post("/moves")
def move(order: dict[str, Any]) -> dict[str, str]:
    """Move money in a thread."""
    return moves.move(order)


@app.post("/moves/awaited")
async def move_awaited(order: dict[str, Any]) -> dict[str, str]:
    """Move money on the event loop."""
    return await moves.amove(order)
