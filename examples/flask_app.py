"""The bank in Flask: `flask --app examples.flask_app run`."""

from __future__ import annotations

from decimal import Decimal

from flask import Flask, Response, jsonify, request, stream_with_context

from examples import bank
from hypern.errors import CheckViolation
from hypern.middleware.flask import init_app

bank.configure()
app = Flask(__name__)
init_app(app)


@app.post("/accounts")
def open_account() -> tuple[Response, int]:
    """Open an account."""
    data = request.get_json()
    return jsonify(id=bank.open_account(data["name"], Decimal(data["balance"]))), 201


@app.get("/accounts/<int:number>")
def account(number: int) -> Response:
    """Show an account."""
    found = bank.account(number)
    return jsonify({**vars(found), "balance": str(found.balance)})


@app.post("/transfers")
def transfer() -> Response:
    """Move money."""
    data = request.get_json()
    bank.transfer(data["source"], data["target"], Decimal(data["amount"]))
    return jsonify(moved=data["amount"])


@app.get("/lines")
def lines() -> Response:
    """List all accounts, sent while they are read."""
    return Response(stream_with_context(bank.lines()), mimetype="text/plain")


@app.errorhandler(bank.NoAccountError)
def not_found(error: bank.NoAccountError) -> tuple[Response, int]:
    """Flask turns the exception into a response, whose status causes the rollback."""
    return jsonify(error=str(error)), 404


@app.errorhandler(CheckViolation)
def not_enough(error: CheckViolation) -> tuple[Response, int]:
    """The same."""
    return jsonify(error="not enough money"), 409
