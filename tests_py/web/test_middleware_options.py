"""The options of a scope in each middleware: values, callables of the framework's request, and the
label, which is the route's template by default.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from web import asgi_client, django_site, wsgi_client
from web.ledger import committed

from hypern import Hypern
from hypern.database import db
from hypern.errors import ConfigurationError, QueryCanceled
from hypern.middleware import asgi, django, fastapi, flask, wsgi

pytestmark = pytest.mark.usefixtures("configured")


def get(app: Any, path: str = "/", headers: dict[str, str] | None = None) -> asgi_client.Answer:
    return asyncio.run(asgi_client.call(app, asgi_client.http_scope(path, headers)))


def tenant(request: Any) -> str:
    """The label of a request that has `headers`, whatever its framework."""
    return str(request.headers["x-tenant"])


def test_fastapi_gives_its_request_and_its_route() -> None:
    app = FastAPI()
    seen: list[Any] = []
    app.add_middleware(fastapi.DatabaseMiddleware)

    @app.get("/users/{user_id}")
    def handler(user_id: int, background: BackgroundTasks) -> str | None:
        background.add_task(lambda: seen.append(db().label))
        return db().label

    assert get(app, "/users/7").body == b'"/users/{user_id}"'
    assert seen == ["/users/{user_id}"]


def test_a_callable_is_given_starlettes_request_when_a_session_is_opened() -> None:
    seen: list[Any] = []

    def label(request: Any) -> str:
        seen.append(request)
        return tenant(request)

    def handler(request: Request) -> Response:
        assert not seen
        request.state.later = True
        return PlainTextResponse(f"{db().label} {db().label} {db(request).label}")

    app = Starlette(routes=[Mount("/api", routes=[Route("/", handler)])])
    app.add_middleware(asgi.DatabaseMiddleware, label=label)
    assert get(app, "/api/", {"X-Tenant": "t7"}).body == b"t7 t7 t7"
    assert len(seen) == 1
    assert isinstance(seen[0], HTTPConnection)
    assert seen[0].state.later


def test_starlette_gives_its_route() -> None:
    def handler(request: Request) -> Response:
        return PlainTextResponse(str(db().label))

    app = Starlette(routes=[Route("/users/{n:int}", handler)])
    app.add_middleware(asgi.DatabaseMiddleware)
    assert get(app, "/users/7").body == b"/users/{n:int}"


def test_another_asgi_application_gives_its_scope() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asgi_client.respond(send, 200, str(db().label).encode())

    def label(scope: Any) -> str:
        return str(scope["path"])

    assert get(asgi.DatabaseMiddleware(app, label=label), "/x").body == b"/x"
    assert get(asgi.DatabaseMiddleware(app), "/x").body == b"None"


def test_a_callable_that_raises_raises_in_db_and_is_called_again() -> None:
    def label(request: Any) -> str:
        return tenant(request)

    def handler(request: Request) -> Response:
        for _ in range(2):
            with pytest.raises(KeyError):
                db()
        return PlainTextResponse("refused")

    app = Starlette(routes=[Route("/", handler)])
    app.add_middleware(asgi.DatabaseMiddleware, label=label)
    assert get(app).body == b"refused"


def test_what_a_callable_returns_is_checked() -> None:
    def handler(request: Request) -> Response:
        with pytest.raises(ConfigurationError, match="deadline_secs must be a number"):
            db()
        return PlainTextResponse("refused")

    app = Starlette(routes=[Route("/", handler)])
    soon: Any = "soon"
    app.add_middleware(asgi.DatabaseMiddleware, deadline_secs=lambda request: soon)
    assert get(app).body == b"refused"


@pytest.mark.parametrize("middleware", [asgi.DatabaseMiddleware, wsgi.DatabaseMiddleware])
def test_options_that_cannot_work_are_refused_where_the_middleware_is_made(middleware: Any) -> None:
    with pytest.raises(ConfigurationError, match="unknown option 'isolation'"):
        middleware(None, isolation="serializable")
    with pytest.raises(ConfigurationError, match="settings= with atomic=False"):
        middleware(None, settings={"a.b": "c"}, atomic=False)
    with pytest.raises(ConfigurationError, match="a set of methods"):
        middleware(None, read_only={1})


def test_flask_gives_its_request_and_its_rule() -> None:
    choices: list[tuple[dict[str, Any], str]] = [({}, "/users/<int:n>"), ({"label": tenant}, "t7")]
    for options, expected in choices:
        app = Flask(__name__)
        flask.init_app(app, **options)

        @app.get("/users/<int:n>")
        def view(n: int) -> str:
            return str(db().label)

        answer = app.test_client().get("/users/7", headers={"X-Tenant": "t7"})
        assert answer.text == expected


def test_wsgi_gives_the_environ() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [str(db().label).encode()]

    def label(environ: Any) -> str:
        return str(environ["HTTP_X_TENANT"])

    environ = wsgi_client.environment({"X-Tenant": "t7"})
    wrapped = wsgi.DatabaseMiddleware(app, label=label)
    assert wsgi_client.call(wrapped, environ).body == b"t7"


def test_django_takes_options_from_its_settings_and_from_a_subclass() -> None:
    from django.test import RequestFactory, override_settings
    from django.urls import resolve

    class Labelled(django.DatabaseMiddleware):
        label = tenant

    def view(request: Any) -> Any:
        from django.http import HttpResponse

        request.resolver_match = resolve("/plain")
        return HttpResponse(str(db().label))

    assert django_site.urlpatterns
    request = RequestFactory().get("/plain", headers={"X-Tenant": "t7"})
    with override_settings(HYPERN={"label": "of the settings", "default": {"NAME": "x"}}):
        assert django.DatabaseMiddleware(view)(request).content == b"of the settings"  # type: ignore[union-attr]
        request = RequestFactory().get("/plain", headers={"X-Tenant": "t7"})
        assert Labelled(view)(request).content == b"t7"  # type: ignore[union-attr]
    request = RequestFactory().get("/plain")
    assert django.DatabaseMiddleware(view)(request).content == b"/plain"  # type: ignore[union-attr]


def test_the_application_of_hypern_gives_its_request_and_its_route() -> None:
    choices: list[tuple[dict[str, Any], bytes]] = [
        ({}, b'"/users/{id}"'),
        ({"label": tenant}, b'"t7"'),
    ]
    for options, expected in choices:
        app = Hypern(**options)

        @app.get("/users/:id")
        def handler(req: Any, res: Any, ctx: Any) -> Any:
            return res.json(db(ctx).label)

        assert get(app, "/users/7", {"X-Tenant": "t7"}).body == expected


# Atomic requests: a handler that raises after two inserts leaves none; one that succeeds, both.


def _write(n: int) -> None:
    for value in (n, n + 1):
        db().execute("INSERT INTO ledger VALUES ($1)", [value])


@pytest.mark.usefixtures("ledger")
def test_an_atomic_request_in_starlette_and_fastapi() -> None:
    for n, app in enumerate((FastAPI(), Starlette())):

        def fail(request: Request) -> Response:
            _write(7)
            raise LookupError("a bug")

        def succeed(request: Request, first: int = 10 * n) -> Response:
            _write(first)
            return PlainTextResponse("done")

        app.add_route("/fail", fail)
        app.add_route("/succeed", succeed)
        app.add_middleware(asgi.DatabaseMiddleware, atomic=True)
        with pytest.raises(LookupError):
            get(app, "/fail")
        assert committed() == list(range(10 * (n - 1), 10 * (n - 1) + 2)) * n
        assert get(app, "/succeed").status == 200
    assert committed() == [0, 1, 10, 11]


@pytest.mark.usefixtures("ledger")
def test_an_atomic_request_in_flask_and_any_wsgi() -> None:
    app = Flask(__name__)
    flask.init_app(app, atomic=True)

    @app.get("/fail")
    def fail() -> str:
        _write(7)
        raise LookupError("a bug")

    @app.get("/succeed")
    def succeed() -> str:
        _write(0)
        return "done"

    assert app.test_client().get("/fail").status_code == 500
    assert committed() == []
    assert app.test_client().get("/succeed").status_code == 200
    assert committed() == [0, 1]

    def plain(environ: Any, start_response: Any) -> list[bytes]:
        _write(7)
        raise LookupError("a bug")

    with pytest.raises(LookupError):
        wsgi_client.call(wsgi.DatabaseMiddleware(plain, atomic=True))
    assert committed() == [0, 1]


@pytest.mark.usefixtures("ledger")
def test_an_atomic_request_in_django() -> None:
    from django.http import HttpResponse
    from django.test import RequestFactory, override_settings

    def fail(request: Any) -> Any:
        _write(7)
        raise LookupError("a bug")

    def succeed(request: Any) -> Any:
        _write(0)
        return HttpResponse("done")

    assert django_site.urlpatterns
    with override_settings(HYPERN={"atomic": True}):
        with pytest.raises(LookupError):
            django.DatabaseMiddleware(fail)(RequestFactory().get("/"))
        assert committed() == []
        django.DatabaseMiddleware(succeed)(RequestFactory().get("/"))
    assert committed() == [0, 1]


@pytest.mark.usefixtures("ledger")
def test_an_atomic_request_in_the_application_of_hypern() -> None:
    app = Hypern(atomic=True)

    @app.get("/fail")
    def fail(req: Any, res: Any, ctx: Any) -> Any:
        _write(7)
        raise LookupError("a bug")

    @app.get("/succeed")
    def succeed(req: Any, res: Any, ctx: Any) -> Any:
        _write(0)
        return res.json("done")

    assert get(app, "/fail").status == 500
    assert committed() == []
    assert get(app, "/succeed").status == 200
    assert committed() == [0, 1]


def test_read_only_may_be_a_set_of_methods() -> None:
    def handler(request: Request) -> Response:
        return PlainTextResponse(db().query_value("SHOW transaction_read_only"))

    app = Starlette(routes=[Route("/", handler, methods=["GET", "POST"])])
    app.add_middleware(asgi.DatabaseMiddleware, read_only={"get", "HEAD"})
    assert get(app).body == b"on"
    post = {**asgi_client.http_scope("/"), "method": "POST"}
    assert asyncio.run(asgi_client.call(app, post)).body == b"off"


def test_a_deadline_may_come_from_a_header() -> None:
    def handler(request: Request) -> Response:
        with pytest.raises(QueryCanceled, match=r"deadline_secs=0\.2 s"):
            db().execute("SELECT pg_sleep(60)")
        return PlainTextResponse("in time")

    def seconds(request: Any) -> float | None:
        given = request.headers.get("x-request-timeout")
        return None if given is None else float(given)

    app = Starlette(routes=[Route("/", handler)])
    app.add_middleware(asgi.DatabaseMiddleware, deadline_secs=seconds)
    assert get(app, "/", {"X-Request-Timeout": "0.2"}).body == b"in time"


def test_what_runs_after_the_response_has_the_settings_and_no_deadline() -> None:
    app = FastAPI()
    seen: list[Any] = []
    app.add_middleware(
        fastapi.DatabaseMiddleware,
        settings=lambda request: {"app.tenant": tenant(request)},
        deadline_secs=0.2,
    )

    def later() -> None:
        time.sleep(0.3)
        seen.append(db().query_value("SELECT current_setting('app.tenant')"))

    @app.get("/")
    def handler(background: BackgroundTasks) -> None:
        background.add_task(later)

    assert get(app, "/", {"X-Tenant": "t7"}).status == 200
    assert seen == ["t7"]
