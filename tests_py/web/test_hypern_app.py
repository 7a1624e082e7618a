"""The Hypern application: routing, requests, responses, errors, and when its sessions end."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from datetime import date, datetime, timezone
from decimal import Decimal
from ipaddress import ip_address
from typing import Any

import pytest
from web.asgi_client import Answer
from web.hypern_client import ask

from hypern import Hypern
from hypern.app import Context, Request, Response
from hypern.database import Database


def header(answer: Answer, name: bytes) -> str:
    """A header of the answer."""
    return str(dict(answer.messages[0]["headers"])[name].decode())


@pytest.fixture
def app() -> Hypern:
    return Hypern()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_each_method_has_its_decorator(app: Hypern, method: str) -> None:
    @getattr(app, method.lower())("/things/:name/parts/:number")  # type: ignore[untyped-decorator]
    def handler(req: Request, res: Response, ctx: Context) -> None:
        res.json([req.method, req.path, req.params])

    answer = ask(app, "/things/a b/parts/7", method)
    assert json.loads(answer.body) == [
        method,
        "/things/a b/parts/7",
        {"name": "a b", "number": "7"},
    ]
    assert ask(app, "/things/a/parts", method).status == 404
    other = "PUT" if method != "PUT" else "POST"
    refused = ask(app, "/things/a/parts/7", other)
    assert (refused.status, json.loads(refused.body)) == (405, {"error": "Method Not Allowed"})


def test_a_route_may_have_several_methods_and_handlers_may_be_coroutines(app: Hypern) -> None:
    @app.route("/both", ["GET", "POST"])
    async def handler(req: Request, res: Response, ctx: Context) -> Response:
        return res.text(f"{req.method} on {threading.current_thread() is threading.main_thread()}")

    assert ask(app, "/both").body == b"GET on True"
    assert ask(app, "/both", "POST").body == b"POST on True"


def test_a_plain_handler_runs_in_a_thread(app: Hypern) -> None:
    @app.get("/")
    def handler(req: Request, res: Response, ctx: Context) -> None:
        res.text(str(threading.current_thread() is threading.main_thread()))

    assert ask(app).body == b"False"


def test_what_a_request_says(app: Hypern) -> None:
    @app.post("/")
    def handler(req: Request, res: Response, ctx: Context) -> None:
        res.json(
            {
                "query": [req.query["a"], req.query.getlist("b"), req.query.get("c")],
                "headers": [req.headers["X-Thing"], req.headers.get("x-none")],
                "body": [req.body.decode(), req.text(), req.json()],
                "client": ctx.client_id,
                "is the client's": ctx.request_id == ctx.client_id,
            }
        )

    answer = ask(
        app, "/", "POST", b'{"n": 1}', "a=1%202&b=1&b=2", X_Thing="yes", X_Request_ID="r\t1"
    )
    assert json.loads(answer.body) == {
        "query": ["1 2", ["1", "2"], None],
        "headers": ["yes", None],
        "body": ['{"n": 1}', '{"n": 1}', {"n": 1}],
        "client": "r?1",
        "is the client's": False,
    }


def test_what_a_response_can_be(app: Hypern) -> None:
    @app.get("/:kind")
    def handler(req: Request, res: Response, ctx: Context) -> None:
        match req.params["kind"]:
            case "html":
                res.status(202).header("X-Thing", "1").header("x-thing", "2").html("<b>é</b>")
            case "away":
                res.redirect("/für immer?a=1")
            case "cookies":
                res.header("Set-Cookie", "a=1").header("Set-Cookie", "b=2")
            case "split":
                res.header("X-Thing", "1\r\nSet-Cookie: a=1")

    html = ask(app, "/html")
    assert (html.status, html.body.decode(), header(html, b"x-thing")) == (202, "<b>é</b>", "2")
    assert header(html, b"content-type") == "text/html; charset=utf-8"
    assert header(html, b"content-length") == "9"
    away = ask(app, "/away")
    assert (away.status, header(away, b"location")) == (302, "/f%C3%BCr%20immer?a=1")
    cookies = [
        value
        for name, value in ask(app, "/cookies").messages[0]["headers"]
        if name == b"set-cookie"
    ]
    assert cookies == [b"a=1", b"b=2"]
    assert ask(app, "/split").status == 500


@pytest.mark.parametrize(("decimals", "price"), [("str", '"9.90"'), ("number", "9.90")])
def test_json_holds_what_rows_hold(decimals: Any, price: str) -> None:
    app = Hypern(decimals=decimals)

    @app.get("/")
    def handler(req: Request, res: Response, ctx: Context) -> None:
        res.json(
            {
                "price": Decimal("9.90"),
                "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
                "day": date(2026, 1, 2),
                "id": uuid.UUID(int=1),
                "address": ip_address("::1"),
                "big": 2**70,
                "nan": float("nan"),
            }
        )

    assert ask(app).body.decode() == (
        f'{{"price":{price},"when":"2026-01-02T03:04:05Z","day":"2026-01-02",'
        '"id":"00000000-0000-0000-0000-000000000001","address":"::1",'
        f'"big":{2**70},"nan":null}}'
    )


@pytest.mark.parametrize("debug", [False, True])
def test_an_exception_is_a_500_with_the_request_id_and_details_only_in_debug(
    debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = Hypern(debug=debug)
    ids: list[str] = []

    @app.get("/")
    def handler(req: Request, res: Response, ctx: Context) -> None:
        ids.append(ctx.request_id)
        raise LookupError("a secret")

    answer = ask(app, X_Request_ID="from the client")
    body = json.loads(answer.body)
    assert answer.status == 500
    assert (body["error"], body["request_id"]) == ("Internal Server Error", ids[0])
    assert ("a secret" in body.get("detail", "")) is debug
    assert "from the client" in caplog.text
    assert ids[0] in caplog.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b"1", 200),
        (b"1" * 100_001, 413),
        (b"[" * 50_000 + b"]" * 50_000, 400),
        (b'{"a":' * 15_000, 400),
    ],
    ids=["cut short", "no UTF-8", "good", "too long", "nested too deep", "both"],
)
@pytest.mark.parametrize("kind", ["blocking", "awaited"])
def test_a_body_that_cannot_be_used_is_the_clients_error(
    body: bytes, status: int, kind: str
) -> None:
    app = Hypern(max_body_bytes=100_000)

    def handler(req: Request, res: Response, ctx: Context) -> None:
        res.json(req.json())

    async def awaited(req: Request, res: Response, ctx: Context) -> None:
        res.json(req.json())

    app.post("/")(handler if kind == "blocking" else awaited)
    assert ask(app, "/", "POST", body).status == status


def test_a_handler_that_returns_a_value_is_told_to_use_res(
    app: Hypern, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/")
    def handler(req: Request, res: Response, ctx: Context) -> Any:
        return {"lost": True}

    assert ask(app).status == 500
    assert "responds through res" in caplog.text


def test_threads_are_as_many_as_the_largest_pool_has_connections_and_a_few() -> None:
    async def most(app: Hypern) -> float:
        return app.threads().total_tokens

    Database.close()
    Database.configure("postgresql:///one", max_size=7)
    Database.configure("postgresql:///two", max_size=3, alias="two")
    assert asyncio.run(most(Hypern())) == 11
    assert asyncio.run(most(Hypern(threads=2))) == 2
    Database.close()


@pytest.mark.parametrize("workers", [0, -1, True, "2"])
def test_workers_that_cannot_be(app: Hypern, workers: Any) -> None:
    with pytest.raises(ValueError, match="workers"):
        app.start(workers=workers)


def test_a_path_begins_with_a_slash(app: Hypern) -> None:
    with pytest.raises(ValueError, match="begins with"):
        app.get("users")
