"""`listen()`: which notifications a listener gets, and in which order."""

from __future__ import annotations

import either
from listening.listeners import Events, notify, pids
from support import wait_until

from hypern.database import Database, Notification, scope


def test_notifications_arrive_in_order(kind: str) -> None:
    with Events("orders", "odd \"name\" of 'it'") as events:
        with scope():
            session = either.db()
            sender = session.query_value("SELECT pg_backend_pid()")
            session.notify("orders", "1")
            session.notify("odd \"name\" of 'it'")
            session.execute("NOTIFY orders, '2'")
            session.notify("another", "3")
            session.notify("orders", "grüße")
        assert [events.get(), events.get(), next(events), next(events)] == [
            Notification("orders", "1", sender),
            Notification("odd \"name\" of 'it'", "", sender),
            Notification("orders", "2", sender),
            Notification("orders", "grüße", sender),
        ]
        assert events.get(timeout=0.05) is None


def test_a_notification_is_delivered_at_commit(kind: str) -> None:
    with Events("orders") as events:
        session = either.db("r")
        session.begin()
        session.notify("orders", "rolled back")
        session.rollback()
        session.begin()
        session.notify("orders", "committed")
        assert events.get(timeout=0.1) is None
        session.commit()
        event = events.get()
        assert isinstance(event, Notification)
        assert event.payload == "committed"
        either.finalize_db("r")


def test_all_listeners_share_one_connection(kind: str) -> None:
    with Events("orders") as one, Events("orders", "others") as two:
        assert len(pids()) == 1
        assert Database.status().size == 1  # it is none of the pool's
        notify("orders", "both")
        assert one.get() == two.get()
        notify("others", "two")
        assert isinstance(two.get(), Notification)
        assert one.get(timeout=0.05) is None
    wait_until(lambda: pids() == [])


def test_each_listener_hears_what_is_sent_after_its_block_was_entered(kind: str) -> None:
    for n in range(20):
        with Events("orders") as events:
            notify("orders", str(n))
            event = events.get()
            assert isinstance(event, Notification)
            assert event.payload == str(n)
