"""An error and its ReadyForQuery that arrive apart, as they do where the server is busy."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from either import db, scope
from support import url_with

from hypern import errors
from hypern.config.parse import parse
from hypern.database import Database

pytestmark = pytest.mark.usefixtures("kind")

_READY = 6  # bytes of a ReadyForQuery
_FAILING = "SELECT 1 / (3000 - n) AS q FROM generate_series(1, 4000) n"


def _pass(source: socket.socket, to: socket.socket, split: bool) -> None:
    with contextlib.suppress(OSError):  # one side has gone
        while data := source.recv(65536):
            if split and b"C22012\0" in data and data[-_READY:-1] == b"Z\0\0\0\5":
                to.sendall(data[:-_READY])
                threading.Event().wait(0.1)
                data = data[-_READY:]
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)


def _serve(listener: socket.socket, server: str) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        behind = socket.socket(socket.AF_UNIX)
        behind.connect(server)
        for ends in ((client, behind, False), (behind, client, True)):
            threading.Thread(target=_pass, args=ends, daemon=True).start()


@pytest.fixture
def split(database: str) -> Iterator[None]:
    """An alias whose answers end apart from a division by zero."""
    given = parse(database)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = f"{given['host']}/.s.PGSQL.{given.get('port') or 5432}"
        threading.Thread(target=_serve, args=(listener, server), daemon=True).start()
        port = str(listener.getsockname()[1])
        url = url_with(database, host="127.0.0.1", port=port, sslmode="disable")
        Database.configure(url, alias="split", max_size=1)
        yield
        Database.close("split")


@pytest.mark.usefixtures("split")
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("inside", [False, True])
def test_an_error_ahead_of_its_ready_for_query_is_raised(raw: bool, inside: bool) -> None:
    with scope():
        session = db(alias="split")
        before = session.query_value("SELECT pg_backend_pid()")
        if inside:
            session.begin()
        stream = (
            session.copy_out_raw(f"COPY ({_FAILING}) TO STDOUT")
            if raw
            else session.copy_out(_FAILING)
        )
        with pytest.raises(errors.DivisionByZero):
            list(stream)
        if inside:
            session.rollback()
        assert session.query_value("SELECT pg_backend_pid()") == before
