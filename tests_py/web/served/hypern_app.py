"""The bank as a Hypern application, for the load; PORT and WORKERS in the environment."""

from __future__ import annotations

import os

from web.served import moves

from examples.hypern_app import app
from hypern.app import Context, Request, Response


@app.post("/moves")
def move(req: Request, res: Response, ctx: Context) -> None:
    """Move money in a thread."""
    res.json(moves.move(req.json()))


@app.post("/moves/awaited")
async def move_awaited(req: Request, res: Response, ctx: Context) -> None:
    """Move money on the event loop."""
    res.json(await moves.amove(req.json()))


if __name__ == "__main__":
    app.start(port=int(os.environ["PORT"]), workers=int(os.environ["WORKERS"]))
