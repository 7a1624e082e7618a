"""`listen()`: the connection that listens, its loss, and its end."""

from __future__ import annotations

import pytest
from listening.listeners import Events, lose, notify, pids
from poolers import kinds
from support import url_with

from hypern import errors
from hypern.database import Database, Notification, Reconnected, db, scope


def test_after_a_loss_it_listens_again_and_says_so(kind: str) -> None:
    with Events("orders") as events:
        notify("orders", "before")
        assert isinstance(events.get(), Notification)
        for n in range(2):
            lose()
            assert events.get() == Reconnected()
            notify("orders", f"after {n}")
            event = events.get()
            assert isinstance(event, Notification)
            assert event.payload == f"after {n}"


def test_closing_the_database_ends_its_listeners(kind: str, database: str) -> None:
    with Events("orders") as events:
        notify("orders", "last")
        assert events.get() is not None
        Database.close()
        with pytest.raises(errors.PoolClosed, match='database "default" was closed'):
            events.get()
        Database.configure(database, max_size=4)
        assert pids() == []
    with Events("orders") as events:
        notify("orders", "again")
        assert isinstance(events.get(), Notification)


def test_the_end_of_a_pool_does_not_end_the_listeners_of_the_next(kind: str, database: str) -> None:
    for n in range(10):
        with Events("orders"):
            Database.close()
            Database.configure(database, max_size=4)
            with Events("orders") as events:
                notify("orders", str(n))
                event = events.get()
                assert isinstance(event, Notification)
                assert event.payload == str(n)


def test_on_connect_functions_are_not_called_for_it(kind: str) -> None:
    with Events("orders"):
        assert len(pids()) == 1


def test_a_callable_password_is_asked_for_it(kind: str, password_server: str) -> None:
    asked: list[str] = []

    def ask() -> str:
        asked.append("")
        return "right one"

    Database.configure(password_server, password=ask, alias="secured")
    with Events("orders", alias="secured") as events:
        with scope():
            db(alias="secured").notify("orders", "x")
        assert isinstance(events.get(), Notification)
    assert len(asked) == 2
    Database.close("secured")


@pytest.mark.parametrize("name", kinds.chosen())
def test_behind_a_pooler(kind: str, database: str, name: str) -> None:
    with kinds.start(database, name) as pooler:
        Database.configure(pooler.url, alias="bounced")
        if pooler.mode == "session":
            with Events("orders", alias="bounced") as events, scope():
                db(alias="bounced").notify("orders", "x")
                assert isinstance(events.get(), Notification)
        else:
            with pytest.raises(errors.NotSupportedError, match="listen_url="):
                Events("orders", alias="bounced").__enter__()
        Database.close("bounced")
        Database.configure(pooler.url, alias="bounced", listen_url=database)
        with Events("orders", alias="bounced") as events:
            with scope():
                db(alias="bounced").notify("orders", "around")
            assert isinstance(events.get(), Notification)
        Database.close("bounced")


def test_a_channel_that_the_server_refuses_costs_the_others_nothing(
    kind: str, database: str
) -> None:
    """The database's encoding does not have every character."""
    with scope():
        db().execute("DROP DATABASE IF EXISTS hypern_latin")
        db().execute("CREATE DATABASE hypern_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    Database.configure(url_with(database, dbname="hypern_latin"), alias="latin")
    try:
        with Events("orders", alias="latin") as events:
            for _ in range(3):
                with pytest.raises(errors.Error, match="no equivalent in encoding"):
                    Events("\u6ce8\u6587", alias="latin").__enter__()
                with scope():
                    db(alias="latin").notify("orders", "x")
                assert isinstance(events.get(), Notification)
            with Events("gr\u00fc\u00dfe", alias="latin") as others, scope():
                db(alias="latin").notify("gr\u00fc\u00dfe", "\u00e4")
                event = others.get()
                assert isinstance(event, Notification)
                assert (event.channel, event.payload) == ("gr\u00fc\u00dfe", "\u00e4")
    finally:
        Database.close("latin")
        with scope():
            db().execute("DROP DATABASE hypern_latin WITH (FORCE)")
