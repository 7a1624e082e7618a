"""`init_app(app)` for Flask: the WSGI middleware, and failed commits as errors inside Flask.

    from hypern.middleware.flask import init_app
    init_app(app)

See docs/frameworks/flask.md.
"""

from __future__ import annotations

from collections.abc import Container

import flask

from hypern.scope.identify import SCOPE_KEY
from hypern.session.steps import blocking, now
from hypern.web.options import FAILURES, Finalize
from hypern.web.request import RequestScope
from hypern.web.wsgi import DatabaseMiddleware


def init_app(
    app: flask.Flask, *, rollback_on: Container[int] = FAILURES, finalize: Finalize = "auto"
) -> None:
    """Open a scope for each request of the application. The options are `DatabaseMiddleware`'s.

    Transactions are committed as the last of the application's after_request functions registered
    so far. A failed commit is thus an error of the request like any other, to which the
    application's own handler of 500 responds.
    """
    middleware = DatabaseMiddleware(app.wsgi_app, rollback_on=rollback_on, finalize=finalize)
    app.wsgi_app = middleware  # type: ignore[method-assign]

    def settle(response: flask.Response) -> flask.Response:
        request = flask.request.environ.get(SCOPE_KEY)
        if finalize != "end" and isinstance(request, RequestScope) and not request.ended:
            now(request.settling(blocking, middleware.verdict(response.status_code)))
        return response

    # Flask calls them from the last to the first.
    app.after_request_funcs.setdefault(None, []).insert(0, settle)
