"""Server-sent events in Flask: `flask --app examples.flask_events run`.

All clients of GET /events share one connection to the server, and hold none of the pool's. Each
has a thread of the web server's.
"""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask, Response, jsonify, request

from examples import bank
from hypern.database import Reconnected, db, listen
from hypern.middleware.flask import init_app

bank.configure()
app = Flask(__name__)
init_app(app)

SILENCE_SECS = 15  # then a comment is sent, which finds out that a client has gone


@app.post("/orders")
def order() -> tuple[Response, int]:
    """Take an order, and tell all clients of it, if it is committed."""
    text = request.get_json()["text"]
    db().notify("orders", text)
    return jsonify(ordered=text), 201


@app.get("/events")
def events() -> Response:
    """The orders as they come in."""
    return Response(_orders(), mimetype="text/event-stream")


def _orders() -> Iterator[str]:
    with listen("orders") as orders:
        yield "event: ready\ndata:\n\n"
        while True:
            event = orders.get(timeout=SILENCE_SECS)
            if event is None:
                yield ": nothing new\n\n"
            elif isinstance(event, Reconnected):
                yield "event: reload\ndata:\n\n"  # orders may have been missed
            else:
                yield f"data: {event.payload}\n\n"
