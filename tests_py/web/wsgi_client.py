"""A client of WSGI applications that does what a server does, in a server's order."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from wsgiref.util import setup_testing_defaults

from hypern.middleware.wsgi import WSGIApp


@dataclass
class Answer:
    """What reached the client."""

    status: int = 0
    parts: list[bytes] = field(default_factory=list)
    complete: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)


def environment(headers: dict[str, str] | None = None) -> dict[str, Any]:
    """The environ of a GET."""
    environ: dict[str, Any] = {"wsgi.input": io.BytesIO()}
    setup_testing_defaults(environ)
    for name, value in (headers or {}).items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ


def call(
    app: WSGIApp,
    environ: dict[str, Any] | None = None,
    on_part: Callable[[bytes], object] | None = None,
    answer: Answer | None = None,
    parts: int | None = None,
) -> Answer:
    """Make a request. `on_part` is called before each part reaches the client, which goes away
    after `parts` of them.
    """
    answer = Answer() if answer is None else answer
    started: list[str] = []

    def send(part: bytes) -> None:
        if on_part is not None:
            on_part(part)
        answer.status = int(started[0][:3])
        answer.parts.append(part)

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info is not None and answer.status:
            raise exc_info[1]
        started[:] = [status]
        return send

    body = app(environment() if environ is None else environ, start_response)
    try:
        for part in body:
            send(part)
            if parts is not None and len(answer.parts) >= parts:
                return answer
        if not answer.status:
            send(b"")
        answer.complete = True
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    return answer


def whole(status: int, work: Callable[[], object]) -> WSGIApp:
    """An application that does some work and then gives a list."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        work()
        start_response(f"{status} Whatever", [("Content-Type", "text/plain")])
        return [b"done"]

    return app


class Produced:
    """A body that is produced part by part, with a close()."""

    def __init__(
        self, steps: tuple[Callable[[], object], ...], on_close: Callable[[], object]
    ) -> None:
        self._steps = iter(steps)
        self.close = on_close

    def __iter__(self) -> Produced:
        return self

    def __next__(self) -> bytes:
        next(self._steps)()
        return b"part "


def produced(
    handler: Callable[[], object],
    *steps: Callable[[], object],
    on_close: Callable[[], object] = bool,
    headers: tuple[tuple[str, str], ...] = (),
    status: int = 200,
) -> WSGIApp:
    """An application that starts its response, and produces the body when it is asked for it."""

    def app(environ: dict[str, Any], start_response: Any) -> Produced:
        handler()
        start_response(f"{status} So", list(headers))
        return Produced(steps, on_close)

    return app


def failing_start() -> tuple[Any, Any, Any]:
    """An exc_info."""
    try:
        raise LookupError("a bug")
    except LookupError:
        return sys.exc_info()
