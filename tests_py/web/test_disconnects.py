"""Clients that close their socket while a handler of theirs is in a query: uvicorn, Flask's server.

What becomes of the handler is the server's and the framework's decision, as docs/frameworks says;
whichever it is, its connection is released, and what it did is there or not as a whole.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from flask import Flask
from support import wait_until
from web import django_site
from web.ledger import committed
from web.waiting_apps import (
    WAIT_FOR_THE_TEST,
    django_app,
    django_awaited,
    django_plain,
    fastapi_app,
    flask_app,
    hypern_app,
    outcomes,
)
from werkzeug.serving import make_server

from hypern.database import Database, db, scope
from hypern.middleware.asgi import ASGIApp

NOTICED_SECS = 0.5  # a server on this machine has noticed by then that a client has gone


@pytest.fixture(autouse=True)
def gate(ledger: str) -> None:
    """A pool of the test's own, to hold the lock for which handlers wait."""
    Database.configure(ledger, max_size=1, alias="gate")


@contextmanager
def uvicorn_serving(app: ASGIApp) -> Iterator[int]:
    """Serve an application in a thread until the block ends; the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)
        assert not thread.is_alive()


def in_a_query() -> bool:
    """Whether a handler has come to its query."""
    with scope():
        count: int = db().query_value(
            """
            SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
            AND datname = current_database() AND query = $1
            """,
            [WAIT_FOR_THE_TEST],
        )
    return count > 0


def close(client: socket.socket) -> None:
    """Leave as a browser does."""
    client.close()


def reset(client: socket.socket) -> None:
    """Leave as a machine does that was switched off and on."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@contextmanager
def flask_serving(app: Flask) -> Iterator[int]:
    """The same with Flask's own server."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()


def leave_in_a_query(
    app: ASGIApp | Flask,
    path: str,
    how: Callable[[socket.socket], None],
    *,
    goes_on: bool = False,
) -> None:
    """Make a request, go while its handler is in its query, and wait until its connection has been
    released; goes_on: the query ends once the server has had the time to notice, else never.
    """
    outcomes.clear()
    with (
        scope(),
        flask_serving(app) if isinstance(app, Flask) else uvicorn_serving(app) as port,
    ):
        gate = db(alias="gate")
        gate.query("SELECT pg_advisory_lock(1)")
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"GET %s HTTP/1.1\r\nHost: test\r\n\r\n" % path.encode())
        wait_until(in_a_query)
        assert Database.status().in_use == 1
        how(client)
        if goes_on:
            time.sleep(NOTICED_SECS)
            gate.query("SELECT pg_advisory_unlock(1)")
        wait_until(lambda: Database.status().in_use == 0)
        # Others are served as ever.
        with socket.create_connection(("127.0.0.1", port)) as other:
            other.sendall(b"GET /nowhere HTTP/1.1\r\nHost: test\r\n\r\n")
            assert other.recv(100).split()[1] == b"404"
        wait_until(lambda: len(outcomes) == 1)


@pytest.mark.parametrize("how", [close, reset])
@pytest.mark.parametrize("path", ["/plain", "/awaited"])
@pytest.mark.parametrize("app", [fastapi_app, hypern_app])
def test_a_handler_that_nobody_interrupts_goes_on_and_is_committed(
    app: Any, path: str, how: Any
) -> None:
    leave_in_a_query(app(), path, how, goes_on=True)
    assert outcomes == ["done"]
    assert committed() == [1, 2]


@pytest.mark.parametrize("how", [close, reset])
def test_an_awaited_body_is_cancelled_and_what_it_did_is_undone(how: Any) -> None:
    leave_in_a_query(fastapi_app(), "/awaited/stream", how)
    assert outcomes == ["CancelledError"]
    assert committed() == [3]


@pytest.mark.parametrize("how", [close, reset])
def test_a_body_in_a_thread_is_not_awaited_for_ever_and_what_it_did_is_undone(how: Any) -> None:
    leave_in_a_query(fastapi_app(), "/plain/stream", how, goes_on=True)
    assert outcomes == ["done"]  # its step goes on
    assert committed() == [3]


@pytest.mark.parametrize("how", [close, reset])
@pytest.mark.parametrize(
    ("path", "view", "outcome"),
    [("/plain", django_plain, "QueryCanceled"), ("/async", django_awaited, "CancelledError")],
)
def test_django_cancels_its_view_and_what_it_did_is_undone(
    path: str, view: Any, outcome: str, how: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(django_site, "view", [view])
    leave_in_a_query(django_app(), path, how)
    assert outcomes == [outcome]
    assert committed() == []


@pytest.mark.parametrize("how", [close, reset])
def test_flasks_handler_goes_on_and_is_committed(how: Any) -> None:
    leave_in_a_query(flask_app(), "/plain", how, goes_on=True)
    assert outcomes == ["done"]
    assert committed() == [1, 2]


@pytest.mark.parametrize("how", [close, reset])
def test_flasks_body_that_cannot_be_sent_is_undone(how: Any) -> None:
    leave_in_a_query(flask_app(), "/plain/stream", how, goes_on=True)
    assert outcomes == ["done"]
    assert committed() == [3]
