"""Statements that take long, and an idle connection that falls silent."""

from __future__ import annotations

import time

import pytest
from reliability.fault_proxy import BLACK_HOLE, Fault, FaultProxy
from reliability.messages import TO_CLIENT, Message
from reliability.own_server import PASSWORD, OwnServer
from reliability.tally import Tally

from hypern import errors
from hypern.database import Database, db, finalize_db, scope


def test_a_timeout_cancels_and_keeps_the_connection(default: OwnServer, tally: Tally) -> None:
    times = 20
    with scope():
        pid = db().query_value("SELECT pg_backend_pid()")
        for _ in range(times):
            with pytest.raises(errors.QueryCanceled):
                db().query("SELECT pg_sleep(5)", timeout=0.01)
            assert db().query_value("SELECT pg_backend_pid()") == pid
    tally.add("`timeout=` of a running statement", times, "QueryCanceled; the connection stays")


def test_statement_timeout_secs_is_the_servers(own_server: OwnServer) -> None:
    Database.configure(own_server.admin, alias="brief", statement_timeout_secs=0.1, max_size=1)
    for _ in range(3):
        with scope():
            with pytest.raises(errors.QueryCanceled):
                db(alias="brief").query("SELECT pg_sleep(5)")
            assert db(alias="brief").query_value("SHOW statement_timeout") == "100ms"
            db(alias="brief").execute("SET statement_timeout = 0")
    Database.close("brief")


def test_an_idle_connection_that_has_gone_silent_is_replaced_in_half_the_time(
    own_server: OwnServer, tally: Tally
) -> None:
    with FaultProxy(own_server.port) as proxy:
        url = own_server.url(proxy.port)
        Database.configure(url, alias="silent", password=PASSWORD, acquire_timeout_secs=2)
        session = db("r", alias="silent")
        session.query_value("SELECT 1")
        passed = sum(m.direction == TO_CLIENT for m in proxy.seen)
        proxy.fault = Fault(BLACK_HOLE, Message(0, TO_CLIENT, passed, "?", 0), 0)
        finalize_db("r")
        assert proxy.fired.wait(2)
        began = time.monotonic()
        with scope():
            assert db(alias="silent").query_value("SELECT 1") == 1
        assert 0.8 < time.monotonic() - began < 1.8
        Database.close("silent")
    tally.add("silence in place of the answer to a reset", 1, "the next request is served")
