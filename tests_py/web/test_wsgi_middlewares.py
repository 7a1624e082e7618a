"""Exceptions in a WSGI middleware above ours, and in one below it: what stands, what is undone.

What counts is where the exception is when the sessions end: they end before the first byte leaves.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from web.ledger import committed, write
from web.wsgi_client import Answer, call, produced, whole

from hypern.database import Database, db
from hypern.middleware.wsgi import DatabaseMiddleware, WSGIApp

pytestmark = pytest.mark.usefixtures("ledger")

Wrap = Callable[[WSGIApp], WSGIApp]
Middleware = Callable[[WSGIApp, dict[str, Any], Any], Iterable[bytes]]


class BrokenError(Exception):
    """What the other middleware raises."""


def middleware(serve: Middleware) -> Wrap:
    """A function as a middleware, which is given the application too."""

    def wrap(app: WSGIApp) -> WSGIApp:
        def wrapped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            return serve(app, environ, start_response)

        return wrapped

    return wrap


@middleware
def before(app: WSGIApp, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    raise BrokenError


@middleware
def after(app: WSGIApp, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    body = app(environ, start_response)
    close = getattr(body, "close", bool)
    close()
    raise BrokenError


@middleware
def at_the_start(app: WSGIApp, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    def broken(*_: Any) -> Any:
        raise BrokenError

    return app(environ, broken)


@middleware
def in_the_body(app: WSGIApp, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    body = app(environ, start_response)
    try:
        for part in body:
            yield part
            raise BrokenError
    finally:
        close = getattr(body, "close", bool)
        close()


def serve_and_fail(app: WSGIApp) -> list[int]:
    """What is committed after a request that raised."""
    with pytest.raises(BrokenError):
        call(app)
    assert Database.status().in_use == 0
    return committed()


def writes() -> WSGIApp:
    return whole(200, lambda: write(1))


def streams() -> WSGIApp:
    return produced(lambda: write(1), lambda: write(2), bool)


@pytest.mark.parametrize(
    ("broken", "kept"),
    # The sessions have ended when the response starts: a commit is not taken back.
    [(before, []), (at_the_start, [1]), (in_the_body, [1]), (after, [1])],
    ids=["before", "at the start", "in the body", "after"],
)
@pytest.mark.parametrize("app", [writes, streams])
def test_a_middleware_above_that_raises(app: Any, broken: Wrap, kept: list[int]) -> None:
    assert serve_and_fail(broken(DatabaseMiddleware(app()))) == kept


@pytest.mark.parametrize(
    ("broken", "kept"),
    # Its body is produced, so what the handler did is settled before the first part, and what the
    # body did is undone. Before that nothing has reached us yet, so the sessions are open.
    [(before, []), (at_the_start, []), (in_the_body, [1]), (after, [])],
    ids=["before", "at the start", "in the body", "after"],
)
@pytest.mark.parametrize("app", [writes, streams])
def test_a_middleware_below_that_raises(app: Any, broken: Wrap, kept: list[int]) -> None:
    if broken is in_the_body and app is streams:
        kept = [1, 2]  # the first part is made before the response starts: it counts as handler
    assert serve_and_fail(DatabaseMiddleware(broken(app()))) == kept


def test_what_a_middleware_below_wrote_before_it_raised_is_undone() -> None:
    @middleware
    def broken(app: WSGIApp, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write(1)
        raise BrokenError

    assert serve_and_fail(DatabaseMiddleware(broken(writes()))) == []


def answering(status: str) -> Wrap:
    """A middleware that answers every exception with one status."""

    @middleware
    def answer(app: WSGIApp, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except Exception:
            start_response(status, [])
            return [b"sorry"]

    return answer


def fail() -> None:
    write(1)
    raise BrokenError


def test_an_exception_that_a_middleware_above_answers_is_rolled_back() -> None:
    app = answering("500 Oh")(DatabaseMiddleware(whole(200, fail)))
    assert call(app).status == 500
    assert (Database.status().in_use, committed()) == (0, [])


def test_a_commit_that_fails_is_answered_by_a_middleware_above() -> None:
    def twice() -> None:
        write(1)
        write(1)

    answer = call(answering("500 Oh")(DatabaseMiddleware(whole(200, twice))))
    assert (answer.status, answer.body) == (500, b"sorry")
    assert (Database.status().in_use, committed()) == (0, [])


@pytest.mark.parametrize(("status", "kept"), [("500 Oh", []), ("409 No", []), ("200 OK", [1])])
def test_an_exception_that_a_middleware_below_answers_is_what_its_answer_says(
    status: str, kept: list[int]
) -> None:
    app = DatabaseMiddleware(answering(status)(whole(200, fail)))
    assert call(app).status == int(status[:3])
    assert (Database.status().in_use, committed()) == (0, kept)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_base_exception_of_a_middleware_below_rolls_back(error: type[BaseException]) -> None:
    @middleware
    def broken(app: WSGIApp, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        app(environ, start_response)
        raise error

    with pytest.raises(error):
        call(DatabaseMiddleware(broken(writes())))
    assert (Database.status().in_use, committed()) == (0, [])


def test_a_signal_handler_that_raises_in_a_query_rolls_back() -> None:
    """What gunicorn does to a worker that takes too long, or is told to end."""

    def leave(*_: object) -> None:
        raise SystemExit(1)

    def slow() -> None:
        write(1).execute("SELECT pg_sleep(30)")

    before = signal.signal(signal.SIGUSR2, leave)
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGUSR2))
    timer.start()
    answer = Answer()
    try:
        with pytest.raises(SystemExit):
            call(DatabaseMiddleware(whole(200, slow)), answer=answer)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR2, before)
    assert answer == Answer()
    assert (Database.status().in_use, committed()) == (0, [])


def test_a_generator_application_that_is_closed_between_its_parts_rolls_back() -> None:
    states: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        session = write(1)
        try:
            yield b"two"
        except GeneratorExit:
            states.append(session.state)
            assert db() is session
            raise

    answer = call(DatabaseMiddleware(app), parts=2)
    assert answer.body == b"onetwo"
    assert states == ["in_transaction"]
    assert (Database.status().in_use, committed()) == (0, [])
