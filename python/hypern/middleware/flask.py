"""`init_app(app)` for Flask: the WSGI middleware, and commits that fail inside Flask.

    from hypern.middleware.flask import init_app
    init_app(app)

See docs/frameworks/flask.md.
"""

from __future__ import annotations

from collections.abc import Container

import flask

from hypern._scope import SCOPE_KEY
from hypern.middleware._request import FAILURES, Finalize, RequestScope, verdict_of
from hypern.middleware.wsgi import DatabaseMiddleware


def init_app(
    app: flask.Flask,
    *,
    rollback_on: Container[int] = FAILURES,
    finalize: Finalize = "auto",
) -> None:
    """Give each request of the application a scope. The options are `DatabaseMiddleware`'s.

    Transactions are committed as the last of the application's after_request functions that were
    registered by now, so that a commit which fails is an error of the request as any other is: the
    application's own handler of 500 answers it.
    """
    app.wsgi_app = DatabaseMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, rollback_on=rollback_on, finalize=finalize
    )

    def settle(response: flask.Response) -> flask.Response:
        request = flask.request.environ.get(SCOPE_KEY)
        if finalize != "end" and isinstance(request, RequestScope) and not request.ended:
            request.settle(verdict_of(response.status_code, rollback_on))
        return response

    # Flask runs them from the last to the first.
    app.after_request_funcs.setdefault(None, []).insert(0, settle)
