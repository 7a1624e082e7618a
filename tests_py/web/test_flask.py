"""Flask: the middleware's rules with Flask's own errors, streams and hooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import pytest
from flask import Flask, Response, jsonify, request, stream_with_context
from web.ledger import abort, committed, write
from werkzeug.exceptions import InternalServerError

from hypern.database import Database, db
from hypern.errors import TransactionAborted, UniqueViolation
from hypern.middleware.flask import init_app
from hypern.middleware.wsgi import DatabaseMiddleware

pytestmark = pytest.mark.usefixtures("ledger")


def with_init_app(app: Flask) -> None:
    init_app(app)


def with_middleware(app: Flask) -> None:
    app.wsgi_app = DatabaseMiddleware(app.wsgi_app)  # type: ignore[method-assign]


@pytest.fixture(params=[with_init_app, with_middleware])
def app(request: pytest.FixtureRequest) -> Flask:
    app = Flask(__name__)
    request.param(app)
    return app


def test_a_success_is_committed_and_the_request_object_carries_the_session(app: Flask) -> None:
    @app.get("/")
    def view() -> str:
        assert write(1) is db(request)
        return "done"

    assert app.test_client().get("/").status_code == 200
    assert committed() == [1]


@pytest.mark.parametrize("error", [LookupError("a bug"), 404, 409])
def test_an_exception_that_flask_answers_rolls_back(app: Flask, error: Any) -> None:
    @app.get("/")
    def view() -> str:
        write(1)
        if isinstance(error, int):
            flask.abort(error)
        raise error

    assert app.test_client().get("/").status_code in (404, 409, 500)
    assert committed() == []


def test_an_exception_that_flask_lets_through_rolls_back(app: Flask) -> None:
    app.testing = True

    @app.get("/")
    def view() -> str:
        write(1)
        raise LookupError("a bug")

    with pytest.raises(LookupError):
        app.test_client().get("/")
    assert committed() == []


def test_a_commit_that_fails_is_answered_by_the_applications_own_handler() -> None:
    app = Flask(__name__)
    init_app(app)

    @app.errorhandler(UniqueViolation)
    def conflict(error: UniqueViolation) -> tuple[Response, int]:
        return jsonify(constraint=error.constraint), 500

    @app.get("/")
    def view() -> str:
        write(1)
        write(1)
        return "done"

    answer = app.test_client().get("/")
    assert answer.status_code == 500
    assert committed() == []


def test_a_commit_that_fails_is_raised_to_the_server_without_init_app() -> None:
    app = Flask(__name__)
    with_middleware(app)

    @app.get("/")
    def view() -> str:
        write(1)
        write(1)
        return "done"

    with pytest.raises(UniqueViolation):
        app.test_client().get("/")


@pytest.mark.parametrize("status", [400, 409, 500, 503])
def test_an_error_over_an_aborted_transaction_is_passed_on_as_it_is(
    app: Flask, status: int
) -> None:
    @app.get("/")
    def view() -> Response:
        abort()
        return Response("why", status, {"X-Thing": "kept"})

    answer = app.test_client().get("/")
    assert (answer.status_code, answer.text, answer.headers["X-Thing"]) == (status, "why", "kept")
    assert (Database.status().in_use, committed()) == (0, [])


@pytest.mark.parametrize("status", [200, 201, 302])
def test_a_success_over_an_aborted_transaction_is_a_500(status: int) -> None:
    app = Flask(__name__)
    init_app(app)
    told: list[BaseException | None] = []

    @app.errorhandler(500)
    def sorry(error: InternalServerError) -> tuple[str, int]:
        told.append(error.original_exception)
        return "sorry", 500

    @app.get("/")
    def view() -> Response:
        abort()
        return Response("done", status)

    answer = app.test_client().get("/")
    assert (answer.status_code, answer.text) == (500, "sorry")
    assert [type(error) for error in told] == [TransactionAborted]
    assert (Database.status().in_use, committed()) == (0, [])


def test_a_success_over_an_aborted_transaction_is_raised_to_the_server_without_init_app() -> None:
    app = Flask(__name__)
    with_middleware(app)

    @app.get("/")
    def view() -> str:
        abort()
        return "done"

    with pytest.raises(TransactionAborted):
        app.test_client().get("/")
    assert (Database.status().in_use, committed()) == (0, [])


def test_a_stream_may_query_after_the_commit(app: Flask) -> None:
    @app.get("/")
    def view() -> Response:
        write(1)

        def body() -> Iterator[str]:
            yield str(committed())
            write(2)
            yield str(committed())

        return Response(stream_with_context(body()))

    assert app.test_client().get("/").text == "[1][1]"
    assert committed() == [1, 2]


def test_hooks_around_the_view_are_within_the_request(app: Flask) -> None:
    ids: list[str] = []

    def note(*_: Any) -> Any:
        ids.append(db().request_id)
        return _[0] if _ else None

    app.before_request(note)
    app.after_request(note)
    app.teardown_request(note)
    app.add_url_rule("/", view_func=lambda: note() or "done")
    app.test_client().get("/")
    assert len(ids) == 4
    assert len(set(ids)) == 1
