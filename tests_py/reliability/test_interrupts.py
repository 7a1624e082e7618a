"""Ctrl-C, SIGTERM, a time limit or another thread ends whatever a request waits for, and promptly.

Afterwards the server has what the caller was told, and the connection serves the next request.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from reliability.fault_proxy import BLACK_HOLE, Fault, FaultProxy
from reliability.messages import TO_CLIENT, Message
from reliability.own_server import PASSWORD, OwnServer
from reliability.tally import Tally
from support import wait_until

from hypern import errors
from hypern.database import Database, DbSession, db, finalize_db, scope

_PROMPTLY = 1.0  # seconds, on a busy machine
_LONG = 20  # seconds: what is waited for would take

# COMMIT takes as long as the deferred trigger sleeps.
_SLOW_COMMIT = (
    "CREATE TABLE slow (n int)",
    f"""CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(new.n * {_LONG}); RETURN NULL; END $$""",
    """CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION sleep()""",
)


@pytest.fixture
def one(own_server: OwnServer) -> Iterator[DbSession]:
    """A session on the only connection of "one", with a table `slow` whose COMMIT takes long."""
    with scope():
        for statement in _SLOW_COMMIT:
            db(alias="admin").execute(statement)
    Database.configure(own_server.admin, alias="one", max_size=1, application_name="one")
    yield db("the request", alias="one")
    with suppress(errors.TransactionAborted):  # where its COMMIT was ended
        finalize_db("the request")
    with scope():
        db(alias="admin").execute("DROP TABLE slow")
        db(alias="admin").execute("DROP FUNCTION sleep")
    Database.close("one")


def _acquire(session: DbSession) -> None:
    holder = db("holder", alias="one")
    holder.query_value("SELECT 1")
    try:
        session.query_value("SELECT 1")
    finally:
        finalize_db("holder")


def _query(session: DbSession) -> None:
    session.query(f"SELECT pg_sleep({_LONG})")


def _stream(session: DbSession) -> None:
    rows = session.stream("SELECT n, pg_sleep(n / 20 * 20) FROM generate_series(0, 20) n")
    for _ in rows:
        pass


def _many(session: DbSession) -> None:
    session.execute_many("INSERT INTO slow SELECT $1::int FROM pg_sleep($1)", [[0], [_LONG]])


def _commit(session: DbSession) -> None:
    session.begin()
    session.execute("INSERT INTO slow VALUES (1)")
    session.commit()


def _finalize(session: DbSession) -> None:
    session.begin()
    session.execute("INSERT INTO slow VALUES (1)")
    finalize_db("the request")


_WAITS: dict[str, Callable[[DbSession], None]] = {
    "acquire": _acquire,
    "query": _query,
    "row stream": _stream,
    "execute_many": _many,
    "commit": _commit,
    "finalize": _finalize,
}


class _Terminated(BaseException):
    """What the handler of SIGTERM raises, as servers for WSGI do with SystemExit."""


def _handler(number: int, frame: object) -> None:
    raise _Terminated


@pytest.fixture(params=["Ctrl-C", "SIGTERM"])
def interrupt(request: pytest.FixtureRequest) -> Iterator[tuple[int, type[BaseException]]]:
    """A signal for the main thread, and what it raises there."""
    previous = signal.signal(signal.SIGTERM, _handler)
    ctrl_c = request.param == "Ctrl-C"
    yield (signal.SIGINT, KeyboardInterrupt) if ctrl_c else (signal.SIGTERM, _Terminated)
    signal.signal(signal.SIGTERM, previous)


def _when_waiting(act: Callable[[], None]) -> tuple[threading.Thread, list[float]]:
    """Act in a thread once the main one waits for the pool or the server; and when that was."""
    began: list[float] = []
    busy = """SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'one'
        AND wait_event = 'PgSleep'"""

    def work() -> None:
        with scope():
            admin = db(alias="admin")
            wait_until(lambda: Database.status("one").waiting == 1 or admin.query_value(busy))
        began.append(time.monotonic())
        act()

    thread = threading.Thread(target=work)
    thread.start()
    return thread, began


def _rows() -> int:
    with scope():
        count: int = db(alias="admin").query_value("SELECT count(*) FROM slow")
        return count


@pytest.mark.parametrize("what", _WAITS)
def test_a_signal_ends_every_wait(
    one: DbSession, tally: Tally, interrupt: tuple[int, type[BaseException]], what: str
) -> None:
    number, raises = interrupt
    pid = one.query_value("SELECT pg_backend_pid()")
    if what == "acquire":
        finalize_db("the request")
        one = db("the request", alias="one")
    main = threading.main_thread().ident or 0
    thread, began = _when_waiting(lambda: signal.pthread_kill(main, number))
    with pytest.raises(raises):
        _WAITS[what](one)
    assert time.monotonic() - began[0] < _PROMPTLY
    thread.join()
    assert _rows() == 0
    if what == "commit":
        assert one.state == "rolled_back"
    finalize_db("the request")
    with scope():
        same = db(alias="one").query_value("SELECT pg_backend_pid()") == pid
    assert same or what == "finalize"  # which gives up a connection that is still to be cancelled
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM with a handler that raises"
    tally.add(f"{name} in acquire, connect, query, stream, commit", 1, "at once; nothing is kept")


def test_a_signal_ends_a_connect(
    own_server: OwnServer, tally: Tally, interrupt: tuple[int, type[BaseException]]
) -> None:
    number, raises = interrupt
    nothing_answers = Fault(BLACK_HOLE, Message(0, TO_CLIENT, 0, "?", 0), 0)
    with FaultProxy(own_server.port, nothing_answers) as proxy:
        Database.configure(own_server.url(proxy.port), alias="silent", password=PASSWORD)
        main = threading.main_thread().ident or 0
        began: list[float] = []

        def act() -> None:
            proxy.fired.wait(5)
            began.append(time.monotonic())
            signal.pthread_kill(main, number)

        thread = threading.Thread(target=act)
        thread.start()
        with scope(), pytest.raises(raises):
            db(alias="silent").query_value("SELECT 1")
        assert time.monotonic() - began[0] < _PROMPTLY
        thread.join()
        began = [time.monotonic()]
        Database.close("silent")
        assert time.monotonic() - began[0] < _PROMPTLY
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM with a handler that raises"
    tally.add(f"{name} in acquire, connect, query, stream, commit", 1, "at once; nothing is kept")


def _canceled_by_the_server() -> None:
    with scope():
        db(alias="admin").query(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'one'"
        )


_ENDS: dict[str, tuple[Callable[[], None], type[errors.Error]]] = {
    "`pg_cancel_backend`": (_canceled_by_the_server, errors.QueryCanceled),
    "`Database.close`": (lambda: Database.close("one"), errors.PoolClosed),
    "`finalize_db`": (lambda: finalize_db("the request"), errors.QueryCanceled),
}


@pytest.mark.parametrize("how", _ENDS)
@pytest.mark.parametrize("what", ["query", "row stream", "execute_many", "commit"])
def test_another_thread_ends_every_wait(
    one: DbSession, full: bool, tally: Tally, what: str, how: str
) -> None:
    if not full and how == "`finalize_db`" and what != "commit":  # it waits for a second
        pytest.skip("make test/reliability tries it")
    act, error = _ENDS[how]
    one.query_value("SELECT 1")
    thread, began = _when_waiting(act)
    with pytest.raises(error):
        _WAITS[what](one)
    assert time.monotonic() - began[0] < _PROMPTLY + 1  # finalize waits for a second
    thread.join()
    assert _rows() == 0
    tally.add(f"{how} by another thread while a statement runs", 1, error.__name__)


@pytest.mark.parametrize("what", ["query", "row stream", "execute_many"])
def test_the_servers_own_limit_ends_every_wait(
    own_server: OwnServer, one: DbSession, tally: Tally, what: str
) -> None:
    """Not that of a COMMIT, whose triggers PostgreSQL lets run on."""
    Database.configure(own_server.admin, alias="brief", statement_timeout_secs=0.1, max_size=1)
    with scope():
        session = db(alias="brief")
        pid = session.query_value("SELECT pg_backend_pid()")
        began = time.monotonic()
        with pytest.raises(errors.QueryCanceled):
            _WAITS[what](session)
        assert time.monotonic() - began < 0.1 + _PROMPTLY
    assert _rows() == 0
    with scope():
        assert db(alias="brief").query_value("SELECT pg_backend_pid()") == pid
    Database.close("brief")
    tally.add("`statement_timeout_secs`", 1, "QueryCanceled; the connection stays")
