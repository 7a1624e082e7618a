"""The bank in Flask, for the load."""

from __future__ import annotations

from flask import Response, jsonify, request
from web.served import moves

from examples.flask_app import app

__all__ = ["app"]


@app.post("/moves")
def move() -> Response:
    """Move money."""
    return jsonify(moves.move(request.get_json()))
