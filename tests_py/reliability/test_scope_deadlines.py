"""A scope's deadline holds on a connection that has gone silent, too."""

from __future__ import annotations

import time
from collections.abc import Iterator

import either
import pytest
from either import db, scope
from reliability.fault_proxy import allowed_delay
from reliability.own_server import PASSWORD, OwnServer
from reliability.stalling_proxy import StallingProxy

from hypern import errors
from hypern.database import Database

pytestmark = pytest.mark.usefixtures("kind")

_DEADLINE = 0.4
_GRACE = 0.5
_COMMIT = r"COMMIT .* deadline_secs=0\.4 s"


@pytest.fixture
def proxy(own_server: OwnServer) -> Iterator[StallingProxy]:
    """A proxy, and the alias "far" that goes through it."""
    with StallingProxy(own_server.port) as proxy:
        Database.configure(
            own_server.url(proxy.port, sslmode="disable"),
            alias="far",
            password=PASSWORD,
            max_size=2,
            acquire_timeout_secs=30,
        )
        yield proxy
        proxy.resume()
        either.close("far")


def _assert_in_time(began: float) -> None:
    assert time.monotonic() - began < _DEADLINE + _GRACE + allowed_delay(began)


def test_a_statement_ends_in_time(proxy: StallingProxy) -> None:
    began = time.monotonic()
    with scope(deadline_secs=_DEADLINE):
        db(alias="far").execute("SELECT 1")
        proxy.stall()
        with pytest.raises(errors.ConnectionLost, match=r"deadline_secs=0\.4 s"):
            db(alias="far").execute("SELECT 2")
    _assert_in_time(began)


def test_a_commit_ends_in_time_and_its_outcome_is_unknown(proxy: StallingProxy) -> None:
    began = time.monotonic()
    left = scope(deadline_secs=_DEADLINE)
    left.__enter__()
    block = db(alias="far").transaction()
    block.__enter__()
    db(alias="far").execute("SELECT 1")
    proxy.stall()
    with pytest.raises(errors.ConnectionLost, match=_COMMIT) as raised:
        block.__exit__(None, None, None)
    with pytest.raises(errors.TransactionAborted, match="is not known"):  # it went on
        left.__exit__(None, None, None)
    assert raised.value.safe_to_retry is False
    _assert_in_time(began)


def test_a_scope_ends_in_time(proxy: StallingProxy) -> None:
    began = time.monotonic()
    left = scope(deadline_secs=_DEADLINE)
    left.__enter__()
    db(alias="far").begin()
    db(alias="far").execute("SELECT 1")
    proxy.stall()
    with pytest.raises(errors.ConnectionLost, match=_COMMIT):
        left.__exit__(None, None, None)
    _assert_in_time(began)


def test_a_connect_ends_in_time(proxy: StallingProxy) -> None:
    proxy.is_deaf = True
    began = time.monotonic()
    with (
        scope(deadline_secs=_DEADLINE),
        pytest.raises(errors.PoolTimeout, match=r"deadline_secs=0\.4 s"),
    ):
        db(alias="far").execute("SELECT 1")
    _assert_in_time(began)
