"""`init_app(app)` for Flask: the WSGI middleware, and failed commits as errors inside Flask.

    from hypern.middleware.flask import init_app
    init_app(app)

See docs/frameworks/flask.md.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

import flask

from hypern.scope.identify import SCOPE_KEY
from hypern.session.steps import blocking, now
from hypern.web.options import FAILURES, Finalize
from hypern.web.request import RequestScope
from hypern.web.wsgi import DatabaseMiddleware

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hypern.scope.asked import Asked


class _Middleware(DatabaseMiddleware):
    """The WSGI middleware, with Flask's request and its rule. Sessions are opened within Flask."""

    def request_of(self, carrier: dict[str, Any]) -> object:
        if not flask.has_request_context():
            return carrier
        request: object = flask.request._get_current_object()  # type: ignore[attr-defined]
        return request

    def route_of(self, carrier: dict[str, Any]) -> str | None:
        rule = flask.request.url_rule if flask.has_request_context() else None
        return None if rule is None else rule.rule


def init_app(
    app: flask.Flask,
    *,
    rollback_on: Container[int] = FAILURES,
    finalize: Finalize = "auto",
    **options: Unpack[Asked],
) -> None:
    """Open a scope for each request of the application. The options are `DatabaseMiddleware`'s.

    Transactions are committed as the last of the application's after_request functions registered
    so far. A failed commit is thus an error of the request like any other, to which the
    application's own handler of 500 responds.
    """
    middleware = _Middleware(app.wsgi_app, rollback_on=rollback_on, finalize=finalize, **options)
    app.wsgi_app = middleware  # type: ignore[method-assign]

    def settle(response: flask.Response) -> flask.Response:
        request = flask.request.environ.get(SCOPE_KEY)
        if finalize != "end" and isinstance(request, RequestScope) and not request.ended:
            now(request.settling(blocking, middleware.verdict(response.status_code)))
        return response

    # Flask calls them from the last to the first.
    app.after_request_funcs.setdefault(None, []).insert(0, settle)
