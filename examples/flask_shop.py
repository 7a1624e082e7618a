"""The ORM and SQL in one handler, in Flask: `flask --app examples.flask_shop run`."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request
from sqlalchemy.orm import Session

from examples import shop
from hypern.middleware.flask import init_app

engine, _ = shop.configure()
app = Flask(__name__)
init_app(app)


@app.post("/orders")
def order() -> tuple[Response, int]:
    """Order something: a row by the ORM, and an UPDATE in SQL, both or neither."""
    data = request.get_json()
    made = shop.Order(product=data["product"], amount=data["amount"])
    with Session(engine) as session, session.begin():
        session.add(made)
        session.flush()
        left = shop.take(made)
        return jsonify(**made.as_dict(), left=left), 201


@app.get("/orders/<int:number>")
def show(number: int) -> tuple[Response, int]:
    """Show an order."""
    with Session(engine) as session:
        found = session.get(shop.Order, number)
        return (
            (jsonify(error="no order"), 404) if found is None else (jsonify(found.as_dict()), 200)
        )


@app.errorhandler(shop.NotEnoughError)
def not_enough(error: shop.NotEnoughError) -> tuple[Response, int]:
    """The exception has left `session.begin()`, which has rolled back."""
    return jsonify(error=str(error)), 409
