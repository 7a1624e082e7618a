"""Tenants by settings and role: no request sees another tenant's rows, whatever happens to its
connection, and tenants that alternate cost no parsing.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import either
import pytest
from either import db, scope
from reliability.fault_proxy import FaultProxy
from reliability.own_server import PASSWORD, OwnServer
from reliability.tally import Tally
from support import in_threads
from test_pgbouncer import started

from hypern import database as blocking
from hypern.database import Database
from hypern.errors import Error, OperationalError, TransactionAborted

pytestmark = pytest.mark.usefixtures("kind")

TENANTS = ("a", "b")
ROWS = 20  # of each tenant
SQL = "SELECT tenant, n FROM documents"


@pytest.fixture
def documents(configured: str) -> Iterator[str]:
    """A table whose rows only their tenant sees, and the role that must obey; the database's
    URL."""
    with blocking.scope():
        blocking.db().execute_script(
            "DROP TABLE IF EXISTS documents; CREATE TABLE documents (tenant text, n int);"
            "ALTER TABLE documents ENABLE ROW LEVEL SECURITY;"
            "CREATE POLICY own ON documents"
            " USING (tenant = nullif(current_setting('app.tenant', true), ''));"
            "DROP ROLE IF EXISTS tenants_app; CREATE ROLE tenants_app;"
            "GRANT SELECT, INSERT, DELETE ON documents TO tenants_app;"
            f"INSERT INTO documents SELECT t, n FROM unnest('{{a,b}}'::text[]) t,"
            f" generate_series(1, {ROWS}) n"
        )
    yield configured
    Database.close()
    Database.configure(configured, max_size=1)
    with blocking.scope():
        blocking.db().execute_script("DROP TABLE documents; DROP ROLE tenants_app")


def _request(tenant: str, n: int) -> None:
    """One request of a tenant: reads, and ends its transaction in one of several ways."""
    with scope(settings={"app.tenant": tenant}, role="tenants_app"):
        session = db(alias="tenants")
        for step in range(3):
            rows = session.query(SQL)
            assert {row["tenant"] for row in rows} == {tenant}
            assert len(rows) == ROWS
            if step == 0:
                end = n % 6
                if end == 1:
                    session.commit()
                elif end == 2:
                    session.execute("COMMIT AND CHAIN")
                elif end == 3:
                    session.execute("ROLLBACK")
                elif end == 4:
                    session.execute_script("COMMIT; SELECT 1", atomic=False)
                elif end == 5:
                    session.execute("COMMIT")
                    session.execute("BEGIN")
        with session.transaction():
            assert all(row["tenant"] == tenant for row in session.stream(SQL))


def _serve(threads: int, requests: int, kill: bool) -> Counter[str]:
    """Requests of two tenants in many threads, while their backends are killed."""
    outcomes: Counter[str] = Counter()
    over = threading.Event()

    def work(number: int) -> None:
        for n in range(requests):
            try:
                _request(TENANTS[(number + n) % 2], number + n)
            except (OperationalError, TransactionAborted):
                if not kill:
                    raise
                outcomes["lost"] += 1
            else:
                outcomes["served"] += 1

    def strike() -> None:
        while not over.wait(0.05):
            with contextlib.suppress(Error), blocking.scope():
                blocking.db().query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query LIKE '%documents%' AND pid <> pg_backend_pid()"
                    " ORDER BY random() LIMIT 2"
                )

    striker = threading.Thread(target=strike)
    if kill:
        striker.start()
    try:
        in_threads(threads, work)
    finally:
        over.set()
        if kill:
            striker.join()
    return outcomes


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kill", [False, True], ids=["in peace", "with killed backends"])
@pytest.mark.parametrize("way", ["direct", "transaction", "session"])
def test_no_request_sees_a_row_of_another_tenant(
    documents: str, way: str, kill: bool, full: bool, tally: Tally
) -> None:
    threads, requests = (64, 1600 if kill else 400) if full else (6, 25)
    with contextlib.ExitStack() as stack:
        url = documents
        if way != "direct":
            # In session mode each of the pool's connections keeps one of the pooler's.
            size = 12 if way == "session" else 6
            url = stack.enter_context(started(documents, way, size=size)).url
        Database.configure(
            url, alias="tenants", max_size=8, acquire_timeout_secs=60, settings="required"
        )
        outcomes = _serve(threads, requests, kill)
        assert outcomes.total() == threads * requests
        assert outcomes["served"] > outcomes["lost"]
        assert kill or not outcomes["lost"]
    through = "direct" if way == "direct" else f"through PgBouncer in {way} mode"
    what = "requests of two tenants, killed backends" if kill else "requests of two tenants"
    tally.add(f"{what}, {through}", outcomes.total(), "no row of the other tenant")


@pytest.fixture
def watched(own_server: OwnServer) -> Iterator[FaultProxy]:
    """A proxy that shows the messages of the one connection of the alias "far"."""
    with FaultProxy(own_server.port) as proxy:
        Database.configure(
            own_server.url(proxy.port, sslmode="disable"),
            alias="far",
            password=PASSWORD,
            max_size=1,
            acquire_timeout_secs=30,
        )
        yield proxy
        either.close("far")


def _sent(proxy: FaultProxy) -> str:
    """The kinds of the messages that the client has sent."""
    return "".join(m.kind for m in proxy.seen if m.direction == "to server")


def test_tenants_that_alternate_cost_no_parsing(watched: FaultProxy, full: bool) -> None:
    schemas = 100 if full else 10
    with scope():
        session = db(alias="far")
        for n in range(schemas):
            session.execute_script(
                f"DROP SCHEMA IF EXISTS t{n} CASCADE; CREATE SCHEMA t{n};"
                f"CREATE TABLE t{n}.things (n {'int' if n % 2 else 'text'});"
                f"INSERT INTO t{n}.things VALUES ({n})"
            )

    def request(n: int) -> None:
        with scope(settings={"search_path": f"t{n}"}):
            value: Any = n if n % 2 else str(n)
            assert db(alias="far").query("SELECT * FROM things") == [{"n": value}]
            assert (
                db(alias="far").query_value("SELECT n FROM things WHERE n = $1", [value]) == value
            )

    for _ in range(2):
        for n in range(schemas):
            request(n)
    before = len(watched.sql)
    for n in reversed(range(schemas)):
        request(n)
    parsed = [text for kind, text in watched.sql[before:] if kind == "P"]
    assert [text for text in parsed if "things" in text or "set_config(" in text] == []
    with scope():
        for n in range(schemas):
            db(alias="far").execute(f"DROP SCHEMA t{n} CASCADE")


def test_settings_cost_no_round_trip_and_their_values_are_in_no_text(watched: FaultProxy) -> None:
    secret = "hunter2"

    def request(**options: Any) -> str:
        before = len(watched.seen)
        with scope(**options):
            if not options:
                db(alias="far").begin()
            db(alias="far").query("SELECT 1")
            db(alias="far").query("SELECT 2")
            db(alias="far").commit()
        sent = [m.kind for m in watched.seen[before:] if m.direction == "to server"]
        return "".join(kind for kind in sent if kind in "SQ").rstrip("Q")  # COMMIT, a reset

    settings = {"app.user_id": secret, "app.other": secret}
    for _ in range(3):
        request()
        request(atomic=True)
        request(settings=settings)
    assert request(settings=settings) == request(atomic=True) == request() == "SS"
    assert not [text for _, text in watched.sql if secret in text]
