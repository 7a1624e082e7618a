"""One application per framework with atomic requests, to be served by real servers.

`/run/7/fail` makes two inserts and raises, `/run/7/succeed` makes them and responds; `/await/...`
does it on the event loop.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import django as django_itself
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hypern import Hypern
from hypern.database import Database, adb, db
from hypern.middleware.asgi import DatabaseMiddleware
from hypern.middleware.flask import init_app
from hypern.middleware.wsgi import DatabaseMiddleware as WSGIMiddleware

Database.configure(os.environ["DATABASE_URL"], max_size=4)
INSERT = "INSERT INTO ledger VALUES ($1)"


def work(n: int, end: str) -> str:
    """Two inserts, and then an exception or a response."""
    db().execute(INSERT, [n])
    db().execute(INSERT, [-n])
    if end == "fail":
        raise LookupError("asked for")
    return "done\n"


async def awork(n: int, end: str) -> str:
    """The same, awaited."""
    await adb().execute(INSERT, [n])
    await adb().execute(INSERT, [-n])
    if end == "fail":
        raise LookupError("asked for")
    return "done\n"


fastapi = FastAPI()
fastapi.add_middleware(DatabaseMiddleware, atomic=True)
fastapi.get("/run/{n}/{end}")(work)
fastapi.get("/await/{n}/{end}")(awork)


def _asked(request: Request) -> tuple[int, str]:
    return int(request.path_params["n"]), request.path_params["end"]


async def _run(request: Request) -> Response:
    return PlainTextResponse(await run_in_threadpool(work, *_asked(request)))


async def _await(request: Request) -> Response:
    return PlainTextResponse(await awork(*_asked(request)))


starlette = Starlette(routes=[Route("/run/{n}/{end}", _run), Route("/await/{n}/{end}", _await)])
starlette.add_middleware(DatabaseMiddleware, atomic=True)

flask = Flask(__name__)
init_app(flask, atomic=True)
flask.get("/run/<int:n>/<end>")(work)

hypern = Hypern(atomic=True)


@hypern.get("/run/:n/:end")
def _hypern_run(req: Any, res: Any, ctx: Any) -> Any:
    return res.json(work(int(req.params["n"]), req.params["end"]))


@hypern.get("/await/:n/:end")
async def _hypern_await(req: Any, res: Any, ctx: Any) -> Any:
    return res.json(await awork(int(req.params["n"]), req.params["end"]))


def _plain(environ: Any, start_response: Any) -> list[bytes]:
    _, way, *asked = environ["PATH_INFO"].split("/")
    body = work(int(asked[0]), asked[1]) if way == "run" else ""
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body.encode()]


wsgi = WSGIMiddleware(_plain, atomic=True)


def _django_run(request: Any, n: int, end: str) -> HttpResponse:
    return HttpResponse(work(n, end))


async def _django_await(request: Any, n: int, end: str) -> HttpResponse:
    return HttpResponse(await awork(n, end))


urlpatterns = [
    path("run/<int:n>/<end>", _django_run),
    path("await/<int:n>/<end>", _django_await),
]
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["hypern.middleware.django.DatabaseMiddleware"],
    HYPERN={"atomic": True},
)
django_itself.setup()
django = get_wsgi_application()
django_awaited = get_asgi_application()

if __name__ == "__main__":
    if sys.argv[1] == "runserver":
        execute_from_command_line(sys.argv)
    hypern.start(port=int(os.environ["PORT"]))
