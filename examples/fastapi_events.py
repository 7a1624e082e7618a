"""Server-sent events in FastAPI: `uvicorn examples.fastapi_events:app`.

All clients of GET /events share one connection to the server, and hold none of the pool's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import Body, FastAPI
from fastapi.responses import StreamingResponse

from examples import bank
from hypern.database import Reconnected, adb, listen
from hypern.middleware.fastapi import DatabaseMiddleware

bank.configure()
app = FastAPI()
app.add_middleware(DatabaseMiddleware)

SILENCE_SECS = 15  # then a comment is sent, so that nobody on the way closes the connection


@app.post("/orders", status_code=201)
async def order(text: str = Body(embed=True)) -> dict[str, str]:
    """Take an order, and tell all clients of it, if it is committed."""
    await adb().notify("orders", text)
    return {"ordered": text}


@app.get("/events")
async def events() -> StreamingResponse:
    """The orders as they come in."""
    return StreamingResponse(_orders(), media_type="text/event-stream")


async def _orders() -> AsyncIterator[str]:
    async with listen("orders") as orders:
        yield "event: ready\ndata:\n\n"
        while True:
            event = await orders.get(timeout=SILENCE_SECS)
            if event is None:
                yield ": nothing new\n\n"
            elif isinstance(event, Reconnected):
                yield "event: reload\ndata:\n\n"  # orders may have been missed
            else:
                yield f"data: {event.payload}\n\n"
