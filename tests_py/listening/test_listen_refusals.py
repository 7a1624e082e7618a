"""`listen()` and `notify()`: what is refused, blocking and awaited."""

from __future__ import annotations

from typing import Any

import either
import pytest
from listening.listeners import Events, notify

from hypern import errors
from hypern.database import Database, DbSession, Notification, listen, scope


@pytest.mark.parametrize(
    ("channel", "error", "text"),
    [
        ("", errors.DataError, "cannot be empty"),
        ("x" * 64, errors.DataError, "has 64 bytes, more than 63"),
        ("ä" * 32, errors.DataError, "has 64 bytes"),
        ("a\0b", errors.DataError, "NUL character"),
        ("a\udcffb", errors.DataError, "lone surrogate"),
        (3, TypeError, "a channel is a str, not int"),
    ],
)
def test_what_cannot_be_a_channel_is_refused(
    kind: str, channel: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        listen("good", channel)
    with scope(), pytest.raises(error, match=text):
        either.db().notify(channel, "x")


def test_a_channel_of_63_bytes_is_one(kind: str) -> None:
    name = "ä" * 31 + "x"
    with Events(name) as events:
        notify(name, "y")
        event = events.get()
        assert isinstance(event, Notification)
        assert event.channel == name


def test_listen_without_a_channel_is_refused() -> None:
    with pytest.raises(errors.InterfaceError, match="requires the name of a channel"):
        listen()


def test_a_payload_of_8000_bytes_is_the_servers_error(kind: str) -> None:
    with Events("orders") as events, scope():
        session = either.db()
        session.notify("orders", "x" * 7999)
        assert isinstance(events.get(), Notification)
        with pytest.raises(errors.InvalidParameterValue, match="payload string too long"):
            session.notify("orders", "x" * 8000)
        with pytest.raises(TypeError, match="a payload is a str, not dict"):
            session.notify("orders", {"a": 1})  # type: ignore[arg-type]


def test_an_unknown_alias_is_refused(kind: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="no database is configured"):
        Events("orders", alias="nowhere").__enter__()


def test_a_server_that_cannot_be_reached_is_the_connections_error(kind: str) -> None:
    Database.configure("postgresql://u@127.0.0.1:1/d", alias="down", connect_timeout_secs=5)
    with pytest.raises(errors.OperationalError, match="refused"):
        Events("orders", alias="down").__enter__()
    Database.close("down")


def _run(session: DbSession, how: str, sql: str) -> None:
    if how != "batch":
        getattr(session, how)(sql)
        return
    with session.batch() as batch:
        batch.execute("SELECT 1")
        batch.execute(sql)


@pytest.mark.parametrize("how", ["query", "execute", "execute_script", "batch"])
@pytest.mark.parametrize("sql", ["LISTEN orders", "/* a */ listen orders;"])
def test_listen_on_a_session_names_listen(kind: str, how: str, sql: str) -> None:
    with scope():
        session = either.db()
        with pytest.raises(errors.InterfaceError, match=r"use hypern.database.listen\(\)"):
            _run(session, how, sql)
        assert session.query_value("SELECT 1") == 1
        assert session.query_values("SELECT pg_listening_channels()") == []
        session.execute("UNLISTEN *")


@pytest.mark.parametrize(
    ("payload", "error", "text"),
    [
        ("a\0b", errors.DataError, "NUL"),
        ("a\udcffb", errors.DataError, "surrogate"),
        (None, TypeError, "a payload is a str, not NoneType"),
        (b"x", TypeError, "a payload is a str, not bytes"),
    ],
)
def test_what_cannot_be_a_payload_is_refused(
    kind: str, payload: Any, error: type[Exception], text: str
) -> None:
    with scope():
        session = either.db()
        with pytest.raises(error, match=text):
            session.notify("orders", payload)
        assert session.query_value("SELECT 1") == 1


def test_a_name_in_quotes_is_taken_as_it_is(kind: str) -> None:
    """As in NOTIFY "Orders": upper and lower case differ, and nothing in it is SQL."""
    for name in ("Orders", "a;b", 'x"; DROP TABLE y; --', "\\", "'", " "):
        with Events(name) as events, Events(name.lower() + "?") as others:
            notify(name, "x")
            event = events.get()
            assert isinstance(event, Notification)
            assert event.channel == name
            assert others.get(timeout=0) is None
