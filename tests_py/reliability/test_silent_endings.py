"""Over a connection that has fallen silent, the end of a transaction or session is bounded: COMMIT
by `commit_timeout_secs`, a rollback by five seconds, a release by nothing at all to wait for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
from either import db, finalize_db, scope
from reliability.fault_proxy import allowed_delay
from reliability.own_server import PASSWORD, OwnServer
from reliability.stalling_proxy import StallingProxy
from reliability.tally import Tally
from support import wait_until

from hypern import errors
from hypern.database import Database, DbSession

pytestmark = pytest.mark.usefixtures("kind")

_COMMIT_LIMIT = 0.7
_UNDO_LIMIT = 5.0


@pytest.fixture(params=["plain", "tls"])
def proxy(
    request: pytest.FixtureRequest, own_server: OwnServer, kind: str
) -> Iterator[StallingProxy]:
    """A proxy, and the alias "far" that goes through it."""
    server = own_server
    if request.param == "tls":
        server = request.getfixturevalue("tls_server")
    with StallingProxy(server.port) as proxy:
        Database.configure(
            server.url(proxy.port, sslmode="require" if request.param == "tls" else "disable"),
            alias="far",
            password=PASSWORD,
            max_size=2,
            acquire_timeout_secs=10,
            commit_timeout_secs=_COMMIT_LIMIT,
        )
        with scope():
            session = db(alias="far")
            session.execute("CREATE TABLE IF NOT EXISTS endings (n int)")
            session.execute("TRUNCATE endings")
        yield proxy
        proxy.resume()
        with contextlib.suppress(errors.Error):
            finalize_db("r")
        Database.close("far")


@contextlib.contextmanager
def _within(limit: float, least: float | None = None) -> Iterator[None]:
    """The block takes at most the limit and a bit, and at least `least`, by default the limit."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert (limit if least is None else least) <= took < limit + 0.35 + allowed_delay(began), took


def _begun() -> DbSession:
    session = db("r", alias="far")
    session.begin()
    session.execute("INSERT INTO endings VALUES (1)")
    return session


def _served(proxy: StallingProxy, rows: int) -> None:
    proxy.resume()
    wait_until(lambda: Database.status("far").in_use == 0)
    with scope():
        wait_until(lambda: db(alias="far").query_value("SELECT count(*) FROM endings") == rows)
    wait_until(lambda: Database.status("far").size <= 1)


def test_commit(proxy: StallingProxy, tally: Tally) -> None:
    session = _begun()
    proxy.stall()
    with (
        _within(_COMMIT_LIMIT),
        pytest.raises(errors.ConnectionLost, match=r"commit_timeout_secs=0\.7 s") as caught,
    ):
        session.commit()
    assert not caught.value.safe_to_retry
    assert Database.status("far").in_use == 0
    with pytest.raises(errors.TransactionAborted, match="not known"):
        finalize_db("r")
    _served(proxy, 1)  # the server had the COMMIT in its buffers
    tally.add("silence in place of COMMIT's answer", 1, "ConnectionLost within commit_timeout_secs")


def test_a_block_that_commits(proxy: StallingProxy) -> None:
    session = db("r", alias="far")
    with _within(_COMMIT_LIMIT), pytest.raises(errors.ConnectionLost, match="commit_timeout_secs"):  # noqa: PT012, SIM117
        with session.transaction():
            session.execute("INSERT INTO endings VALUES (1)")
            proxy.stall()
    _served(proxy, 1)


def test_a_scope_that_commits(proxy: StallingProxy) -> None:
    with _within(_COMMIT_LIMIT), pytest.raises(errors.ConnectionLost, match="commit_timeout_secs"):  # noqa: PT012, SIM117
        with scope():
            session = db(alias="far")
            session.begin()
            session.execute("INSERT INTO endings VALUES (1)")
            proxy.stall()
    _served(proxy, 1)


def test_a_stream_of_its_own_transaction(proxy: StallingProxy) -> None:
    session = db("r", alias="far")
    rows = iter(
        session.stream(
            "INSERT INTO endings SELECT 1 FROM generate_series(1, 3) RETURNING n", chunk_rows=2
        )
    )
    next(rows)
    proxy.stall()
    with _within(_COMMIT_LIMIT), pytest.raises(errors.ConnectionLost, match="commit_timeout_secs"):
        finalize_db("r")
    proxy.resume()
    _served(proxy, 3)


def test_a_scope_left_by_an_exception_waits_for_nothing(proxy: StallingProxy, tally: Tally) -> None:
    with _within(0.5, 0), pytest.raises(KeyError):  # noqa: PT012, SIM117
        with scope():
            session = db(alias="far")
            session.begin()
            session.execute("INSERT INTO endings VALUES (1)")
            proxy.stall()
            raise KeyError
    with _within(0.5, 0), pytest.raises(KeyError):  # noqa: PT012, SIM117
        with scope():  # nothing but a reset
            proxy.resume()
            session = db(alias="far")
            session.execute("SELECT 1")
            proxy.stall()
            raise KeyError
    _served(proxy, 0)
    tally.add("silence at the end of a scope that rolls back", 2, "it waits for nothing")


def test_no_limit(proxy: StallingProxy, own_server: OwnServer) -> None:
    """`commit_timeout_secs=None`: the COMMIT is waited for."""
    Database.configure(
        own_server.url(sslmode="disable"),
        alias="patient",
        password=PASSWORD,
        commit_timeout_secs=None,
    )
    _slow_commit("patient")
    Database.close("patient")


def _slow_commit(alias: str) -> None:
    """A COMMIT takes 1.5 s: a deferred trigger sleeps."""
    with scope():
        session = db(alias=alias)
        session.execute("CREATE TABLE IF NOT EXISTS slow (n int)")
        session.execute(
            "CREATE OR REPLACE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END'"
        )
        session.execute("DROP TRIGGER IF EXISTS nap ON slow")
        session.execute(
            "CREATE CONSTRAINT TRIGGER nap AFTER INSERT ON slow INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION nap()"
        )
        session.begin()
        session.execute("INSERT INTO slow VALUES (1)")
        with _within(1.5):
            session.commit()
        assert session.state == "committed"
        session.execute("DROP TABLE slow")


@pytest.mark.parametrize("proxy", ["plain"], indirect=True)
def test_rollback(proxy: StallingProxy, tally: Tally) -> None:
    session = _begun()
    proxy.stall()
    with (
        _within(_UNDO_LIMIT),
        pytest.raises(errors.ConnectionLost, match="rollback was not answered within 5 s"),
    ):
        session.rollback()
    assert session.state == "rolled_back"
    finalize_db("r")
    _served(proxy, 0)
    tally.add(
        "silence in place of ROLLBACK's answer", 1, "ConnectionLost within 5 s; nothing is there"
    )


@pytest.mark.parametrize("proxy", ["plain"], indirect=True)
def test_nested_blocks_left_by_an_exception(proxy: StallingProxy) -> None:
    """The exception in flight is what is raised, and the outer block waits for nothing more."""
    session = db("r", alias="far")
    with _within(_UNDO_LIMIT), pytest.raises(KeyError):  # noqa: PT012, SIM117
        with session.transaction():
            session.execute("INSERT INTO endings VALUES (1)")
            with session.transaction():
                session.execute("INSERT INTO endings VALUES (2)")
                proxy.stall()
                raise KeyError
    finalize_db("r")
    _served(proxy, 0)


@pytest.mark.parametrize("proxy", ["plain"], indirect=True)
def test_a_probe(own_server: OwnServer, proxy: StallingProxy) -> None:
    """`test_before_acquire` does not wait for as long as TCP does."""
    Database.configure(
        own_server.url(proxy.port, sslmode="disable"),
        alias="probed",
        password=PASSWORD,
        test_before_acquire=True,
        acquire_timeout_secs=2,
    )
    for stalled in (False, True):
        with _within(float(stalled)), scope():
            assert db(alias="probed").query_value("SELECT 1") == 1
        time.sleep(0.2)
        proxy.stall()
    Database.close("probed")
