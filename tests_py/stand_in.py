"""A stand-in for the Hypern application, so that handlers can be called without a web server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Request:
    """What a handler reads."""

    def __init__(self, params: dict[str, str], body: dict[str, Any]) -> None:
        self.params = params
        self._body = body

    def json(self) -> dict[str, Any]:
        return self._body


class Response:
    """What a handler writes."""

    def __init__(self) -> None:
        self.code = 200
        self.body: Any = None

    def status(self, code: int) -> Response:
        self.code = code
        return self

    def json(self, body: Any) -> Response:
        self.body = body
        return self


class Application:
    """Stands in for the Hypern application: it keeps what it is given, for the test to call."""

    def __init__(self) -> None:
        self.startup: list[Callable[[], Any]] = []
        self.handlers: dict[str, Callable[..., Any]] = {}
        self.started: dict[str, Any] = {}

    def on_startup(self, function: Callable[[], Any]) -> Callable[[], Any]:
        self.startup.append(function)
        return function

    def get(self, path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        return self._keep("GET " + path)

    def post(self, path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        return self._keep("POST " + path)

    def start(self, **options: Any) -> None:
        self.started = options

    def run(self) -> None:
        self.started = {}

    def _keep(self, route: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def keep(function: Callable[..., Any]) -> Callable[..., Any]:
            self.handlers[route] = function
            return function

        return keep
