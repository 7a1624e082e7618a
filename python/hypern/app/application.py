"""`Hypern`: routes, startup and shutdown functions, and one scope per request, over Starlette."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from starlette.routing import Route, Router

from hypern.app.errors import ErrorResponses
from hypern.app.handler import Endpoint
from hypern.app.json import Decimals, json_encoder
from hypern.app.request import Request
from hypern.app.serve import serve
from hypern.pool import registry
from hypern.web.asgi import DatabaseMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Unpack

    from hypern.app.handler import Handler
    from hypern.scope.asked import Asked
    from hypern.web.asgi import ASGIScope, Receive, Send

_H = TypeVar("_H", bound="Handler")
_F = TypeVar("_F", bound=Callable[[], Any])

_PARAMETER = re.compile(r":([A-Za-z_]\w*)")
_MAX_THREADS = 64
_SPARE_THREADS = 4  # for handlers that need no connection, while others wait for one


class _Middleware(DatabaseMiddleware):
    """The ASGI middleware, with the requests of this application."""

    def request_of(self, carrier: ASGIScope) -> object:
        return Request(carrier, b"")


class Hypern:
    """An ASGI application whose handlers are called as `handler(req, res, ctx)`.

    A request's sessions are committed when the handler returns, whatever the status, and rolled
    back when it raises, in both cases before the response is sent.

    debug: bool, show the traceback of errors, and log requests
    decimals: "str" or "number", how res.json() writes a Decimal
    threads: int, the most handlers that run in threads at a time; None is the number of connections
        of the largest pool, and a few more
    max_body_bytes: int, the largest body to accept; the response to a larger one is a 413
    options: of each request's scope, as `DatabaseMiddleware` takes them; a callable is called with
        the `Request`, without its body
    """

    def __init__(
        self,
        *,
        debug: bool = False,
        decimals: Decimals = "str",
        threads: int | None = None,
        max_body_bytes: int = 16 * 1024 * 1024,
        **options: Unpack[Asked],
    ) -> None:
        if decimals not in ("str", "number"):
            raise ValueError('decimals must be "str" or "number"')
        self.debug = debug
        self.max_body_bytes = max_body_bytes
        self.encoder = json_encoder(decimals)
        self._most_threads = threads
        self._limiter: anyio.CapacityLimiter | None = None
        self._startup: list[Callable[[], Any]] = []
        self._shutdown: list[Callable[[], Any]] = []
        self._router = Router(lifespan=self._lifespan)
        # The exception of a handler passes through the middleware, so a status alone is no failure.
        self._app = ErrorResponses(
            _Middleware(self._router, rollback_on=(), **options), debug=debug
        )
        self._life = _Middleware(self._router, **options)

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        scope["app"] = self  # makes the router raise its 404 and 405
        app = self._app if scope["type"] == "http" else self._life
        await app(scope, receive, send)

    def on_startup(self, function: _F) -> _F:
        """Call a function, plain or async, before the first request, in each worker process."""
        self._startup.append(function)
        return function

    def on_shutdown(self, function: _F) -> _F:
        """Call a function, plain or async, after the last request; then the pools disconnect."""
        self._shutdown.append(function)
        return function

    def route(self, path: str, methods: Iterable[str] = ("GET",)) -> Callable[[_H], _H]:
        """Register a handler for a path, in which `:name` stands for one segment."""
        if not path.startswith("/"):
            raise ValueError(f'a path begins with "/", unlike {path!r}')
        names = [method.upper() for method in methods]

        def add(handler: _H) -> _H:
            template = _PARAMETER.sub(r"{\1}", path)
            self._router.routes.append(Route(template, Endpoint(self, handler), methods=names))
            return handler

        return add

    def get(self, path: str) -> Callable[[_H], _H]:
        """Register a handler for GET, which serves HEAD, too."""
        return self.route(path, ["GET"])

    def post(self, path: str) -> Callable[[_H], _H]:
        """Register a handler for POST."""
        return self.route(path, ["POST"])

    def put(self, path: str) -> Callable[[_H], _H]:
        """Register a handler for PUT."""
        return self.route(path, ["PUT"])

    def patch(self, path: str) -> Callable[[_H], _H]:
        """Register a handler for PATCH."""
        return self.route(path, ["PATCH"])

    def delete(self, path: str) -> Callable[[_H], _H]:
        """Register a handler for DELETE."""
        return self.route(path, ["DELETE"])

    def start(self, host: str = "127.0.0.1", port: int = 5000, workers: int = 1) -> None:
        """Serve until SIGINT or SIGTERM, with several workers in as many forked processes."""
        serve(self, host, port, workers, log_requests=self.debug)

    run = start

    def threads(self) -> anyio.CapacityLimiter:
        """The limit on handlers that run in threads."""
        if self._limiter is None:
            most = self._most_threads
            if most is None:
                most = min((registry.largest() or 16) + _SPARE_THREADS, _MAX_THREADS)
            self._limiter = anyio.CapacityLimiter(most)
        return self._limiter

    @asynccontextmanager
    async def _lifespan(self, app: object) -> AsyncIterator[None]:
        self._limiter = None  # for this event loop, and for pools that are configured below
        for function in self._startup:
            await _call(function)
        yield
        for function in self._shutdown:
            await _call(function)


async def _call(function: Callable[[], Any]) -> None:
    result = function()
    if inspect.isawaitable(result):
        await result
