"""A client reads what it has written, in each framework: a cookie or header has the position."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from typing import Any, TypeAlias

import pytest
from fastapi import FastAPI
from flask import Flask
from reliability.pair import Pair, running_pair
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from web import asgi_client, django_site

from hypern import Hypern
from hypern.database import Database, db
from hypern.errors import ConfigurationError
from hypern.middleware import ReadYourWrites, asgi, django, fastapi, flask, wsgi

# Sends a request of a method, with headers; returns the body and the headers of the response.
Exchange: TypeAlias = Callable[[str, dict[str, str]], tuple[str, list[tuple[str, str]]]]

_READ = "SELECT n::text FROM t WHERE id = 0"


@pytest.fixture(scope="module")
def running() -> Iterator[Pair]:
    """A primary and its standby, for all tests here."""
    with running_pair() as pair:
        yield pair


@pytest.fixture
def paused(running: Pair) -> Iterator[Pair]:
    """Both, configured; the standby has stopped to apply what is written."""
    running.configure(replica_wait_secs=0.05)
    running.standby.psql("SELECT pg_wal_replay_pause()")
    yield running
    running.standby.psql("SELECT pg_wal_replay_resume()")
    Database.close()


def _answer(method: str) -> str:
    if method == "POST":
        return str(db().query_value("UPDATE t SET n = n + 1 WHERE id = 0 RETURNING n::text"))
    return str(db().query_value(_READ))


def _exchange_asgi(app: Any) -> Exchange:
    def exchange(method: str, headers: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
        scope = {**asgi_client.http_scope("/", headers), "method": method}
        answer = asyncio.run(asgi_client.call(app, scope))
        sent = answer.messages[0]["headers"]
        return answer.body.decode().strip('"'), [(k.decode(), v.decode()) for k, v in sent]

    return exchange


def _starlette(**options: Any) -> Exchange:
    def handler(request: Request) -> Response:
        return PlainTextResponse(_answer(request.method))

    app = Starlette(routes=[Route("/", handler, methods=["GET", "POST"])])
    app.add_middleware(asgi.DatabaseMiddleware, **options)
    return _exchange_asgi(app)


def _fastapi(**options: Any) -> Exchange:
    app = FastAPI()
    app.add_middleware(fastapi.DatabaseMiddleware, **options)

    @app.api_route("/", methods=["GET", "POST"])
    def handler(request: Request) -> str:
        return _answer(request.method)

    return _exchange_asgi(app)


def _hypern(**options: Any) -> Exchange:
    app = Hypern(**options)

    @app.get("/")
    def read(req: Any, res: Any, ctx: Any) -> Any:
        return res.json(_answer("GET"))

    @app.post("/")
    def write(req: Any, res: Any, ctx: Any) -> Any:
        return res.json(_answer("POST"))

    return _exchange_asgi(app)


def _exchange_flask(app: Flask) -> Exchange:
    def exchange(method: str, headers: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
        answer = app.test_client(use_cookies=False).open("/", method=method, headers=headers)
        return answer.text, list(answer.headers.items())

    return exchange


def _flask(**options: Any) -> Exchange:
    import flask as framework

    app = Flask(__name__)
    flask.init_app(app, **options)
    app.route("/", methods=["GET", "POST"])(lambda: _answer(framework.request.method))
    return _exchange_flask(app)


def _wsgi(**options: Any) -> Exchange:
    import flask as framework

    app = Flask(__name__)
    app.route("/", methods=["GET", "POST"])(lambda: _answer(framework.request.method))
    app.wsgi_app = wsgi.DatabaseMiddleware(app.wsgi_app, **options)  # type: ignore[method-assign]
    return _exchange_flask(app)


def _django(**options: Any) -> Exchange:
    from django.http import HttpResponse
    from django.test import RequestFactory, override_settings

    assert django_site.urlpatterns

    def exchange(method: str, headers: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
        with override_settings(HYPERN=options):
            middleware = django.DatabaseMiddleware(
                lambda request: HttpResponse(_answer(request.method or ""))
            )
        answer: Any = middleware(RequestFactory().generic(method, "/", headers=headers))
        cookies = [("Set-Cookie", cookie.OutputString()) for cookie in answer.cookies.values()]
        return answer.content.decode(), [*answer.headers.items(), *cookies]

    return exchange


FRAMEWORKS = {
    "Starlette": _starlette,
    "FastAPI": _fastapi,
    "Hypern": _hypern,
    "Flask": _flask,
    "WSGI": _wsgi,
    "Django": _django,
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("header", [None, "X-Written"])
def test_a_client_reads_what_it_has_written(
    paused: Pair, framework: str, header: str | None
) -> None:
    carrier = ReadYourWrites("a secret", header=header)
    exchange = FRAMEWORKS[framework](read_only={"GET", "HEAD"}, read_your_writes=carrier)
    before, headers = exchange("GET", {})
    assert not _carried(headers, header)
    written, headers = exchange("POST", {})
    carried = _carried(headers, header)
    assert carried
    assert "a secret" not in carried
    assert exchange("GET", {})[0] == before != written, "another client reads the standby"
    name = header or "Cookie"
    text = carried if header else f"other=x; hypern_lsn={carried}; more=y"
    body, headers = exchange("GET", {name: text})
    assert body == written
    assert not _carried(headers, header), "it has written nothing"
    forged = f"{text[:-1]}{'0' if text[-1] != '0' else '1'}" if header else f"hypern_lsn={carried}0"
    for value in (forged, "hypern_lsn=", "x", "hypern_lsn=é.é"):
        assert exchange("GET", {name: value})[0] == before


def _carried(headers: list[tuple[str, str]], header: str | None) -> str | None:
    """The value that a response carries."""
    for name, value in headers:
        if header is not None and name.lower() == header.lower():
            return value
        if header is None and name.lower() == "set-cookie":
            cookie = SimpleCookie(value)["hypern_lsn"]
            assert cookie["max-age"] == "3600"
            assert cookie["httponly"]
            assert cookie["path"] == "/"
            return cookie.value
    return None


def test_several_aliases_are_carried_side_by_side() -> None:
    carrier = ReadYourWrites(b"a secret", cookie="w", secure=True)
    positions = {"default": "0/3000148:1:7", "größe": "A/1"}
    text = carrier.text(positions)
    assert carrier.read(f"w={text}") == positions
    assert carrier.read(text) == ReadYourWrites("another").read(f"hypern_lsn={text}") == {}
    assert carrier.response_header(positions)[1].endswith("; Secure")
    assert "a secret" not in repr(carrier)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"secret": ""}, "secret must be"),
        ({"secret": None}, "secret must be"),
        ({"secret": "x", "cookie": "a b"}, "cookie must be a name"),
        ({"secret": "x", "header": "a\r\nb"}, "header must be a name"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        ReadYourWrites(**options)
    with pytest.raises(ConfigurationError, match="must be a hypern"):
        asgi.DatabaseMiddleware(None, read_your_writes="yes")  # type: ignore[arg-type]
