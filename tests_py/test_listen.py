"""`listen()`: notifications for threads and coroutines, on one connection per process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import either
import pytest
from poolers import kinds
from support import RunPython, wait_until

from hypern import errors
from hypern.database import Database, DbSession, Notification, Reconnected, adb, db, listen, scope
from hypern.listening import mailbox

LISTENING = (
    "SELECT pid FROM pg_stat_activity "
    "WHERE application_name = 'hypern listen' AND datname = current_database()"
)


@pytest.fixture(autouse=True)
def _configured(database: str) -> Iterator[None]:
    Database.close()
    Database.configure(database, max_size=4, acquire_timeout_secs=20)
    yield
    Database.close()


class Events:
    """A listener of either kind, read by blocking calls."""

    def __init__(self, *channels: str, alias: str = "default") -> None:
        self._block = listen(*channels, alias=alias)
        self._listener: Any = None

    def __enter__(self) -> Events:
        if either._loops is None:
            self._listener = self._block.__enter__()
        else:
            self._listener = either.run(self._block.__aenter__())
        return self

    def __exit__(self, *exc: Any) -> None:
        if either._loops is None:
            self._block.__exit__(*exc)
        else:
            either.run(self._block.__aexit__(*exc))

    def get(self, timeout: float | None = 20) -> Notification | Reconnected | None:
        given = self._listener.get(timeout=timeout)
        return given if either._loops is None else either.run(given)  # type: ignore[no-any-return]

    def __next__(self) -> Notification | Reconnected:
        if either._loops is None:
            return next(self._listener)  # type: ignore[no-any-return]
        return either.run(anext(self._listener))  # type: ignore[no-any-return]


def notify(channel: str, payload: str = "") -> None:
    with scope():
        either.db().notify(channel, payload)


def pids() -> list[int]:
    with scope():
        return db().query_values(LISTENING)


def lose() -> None:
    """Have the server end the connection that listens."""
    before = pids()
    assert before
    with scope():
        db().query_values("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) pid", [before])


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


def test_a_reader_that_stops_is_ended_and_told(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "QUEUE_MAX", 10)
    with Events("orders") as slow, Events("orders") as quick:
        for n in range(10):
            notify("orders", str(n))
            assert quick.get() is not None
        assert isinstance(slow.get(), Notification)  # there is room for one
        for n in range(10, 14):
            notify("orders", str(n))
            assert quick.get() is not None
        read = [slow.get() for _ in range(10)]
        assert [event.payload for event in read if isinstance(event, Notification)] == [
            str(n) for n in range(1, 11)
        ]
        for _ in range(2):
            with pytest.raises(errors.OperationalError, match="has not read 10 notifications"):
                slow.get()
        notify("orders", "goes on")
        assert quick.get() is not None


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


def test_a_listener_ends_with_its_block(kind: str) -> None:
    with Events("orders") as events:
        pass
    with pytest.raises(errors.InterfaceError, match="has ended with its block"):
        events.get()
    block = listen("orders")
    with block, pytest.raises(errors.InterfaceError, match="has a block already"):
        block.__enter__()


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


def test_many_listeners_and_many_notifications() -> None:
    async def read(n: int, ready: asyncio.Event, entered: list[int]) -> list[str]:
        async with listen("orders") as events:
            entered.append(n)
            if len(entered) == 200:
                ready.set()
            got = []
            async for event in events:
                assert isinstance(event, Notification)
                got.append(event.payload)
                if event.payload == "99":
                    return got
        raise AssertionError

    async def main() -> None:
        ready = asyncio.Event()
        entered: list[int] = []
        readers = [asyncio.create_task(read(n, ready, entered)) for n in range(200)]
        await asyncio.wait_for(ready.wait(), 30)
        async with scope(atomic=True):
            for n in range(100):
                await adb().notify("orders", str(n))
        for got in await asyncio.wait_for(asyncio.gather(*readers), 60):
            assert got == [str(n) for n in range(100)]

    asyncio.run(main())


def test_a_task_that_is_cancelled_leaves() -> None:
    async def main() -> None:
        entered = asyncio.Event()

        async def read() -> None:
            async with listen("orders") as events:
                entered.set()
                await events.get()

        task = asyncio.create_task(read())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    wait_until(lambda: pids() == [])


def test_a_thread_that_waits_is_woken_from_another() -> None:
    got: list[object] = []

    def read() -> None:
        with listen("orders") as events:
            entered.set()
            got.append(next(events))

    entered = threading.Event()
    thread = threading.Thread(target=read)
    thread.start()
    assert entered.wait(20)
    notify("orders", "x")
    thread.join(20)
    assert len(got) == 1


def test_ctrl_c_ends_the_wait(database: str, run_python: RunPython) -> None:
    run_python(
        """
        import os, signal, sys, threading
        from hypern.database import Database, listen

        Database.configure(sys.argv[1])
        try:
            with listen("orders") as events:
                threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
                events.get()
        except KeyboardInterrupt:
            sys.exit(0)
        sys.exit(1)
        """,
        database,
    )


def test_a_forked_child_has_its_own(database: str, run_python: RunPython) -> None:
    run_python(
        """
        import os, sys
        from hypern import errors
        from hypern.database import Database, Notification, db, listen, scope

        Database.configure(sys.argv[1])
        with listen("orders") as events:
            pid = os.fork()
            if pid == 0:
                try:
                    try:
                        events.get(timeout=1)
                    except errors.InterfaceError as error:
                        assert "call listen() in the forked child" in str(error)
                    else:
                        raise AssertionError
                    with listen("orders") as own, scope():
                        db().notify("orders", "from the child")
                        assert own.get(timeout=20).payload == "from the child"
                    os._exit(0)
                except BaseException:
                    import traceback
                    traceback.print_exc()
                    os._exit(1)
            assert os.waitpid(pid, 0)[1] == 0
            assert events.get(timeout=20).payload == "from the child"
            with scope():
                db().notify("orders", "from the parent")
            assert events.get(timeout=20).payload == "from the parent"
        """,
        database,
    )


def test_a_program_that_listens_ends(database: str, run_python: RunPython) -> None:
    began = time.monotonic()
    run_python(
        """
        import sys
        from hypern.database import Database, listen

        Database.configure(sys.argv[1])
        block = listen("orders")
        events = block.__enter__()
        """,
        database,
    )
    assert time.monotonic() - began < 30
    wait_until(lambda: pids() == [])
