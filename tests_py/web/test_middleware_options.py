"""The options of a scope in each middleware: values, callables of the framework's request, and the
label, which is the route's template by default.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from web import asgi_client, django_site, wsgi_client

from hypern import Hypern
from hypern.database import db
from hypern.errors import ConfigurationError
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
