"""A connection breaks while it listens, is prepared by on_connect or logs in by a callable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import either
import pytest
from listening.listeners import Events
from reliability.fault_proxy import BLACK_HOLE, CUT, FAULTS, Fault, FaultProxy
from reliability.messages import TO_CLIENT, TO_SERVER
from reliability.own_server import PASSWORD, OwnServer
from reliability.tally import Tally
from support import wait_until

from hypern import errors
from hypern.database import Database, DbSession, Reconnected, db, scope
from hypern.pool import attendant

_SETTING = "SELECT current_setting('app.prepared', true)"
_SECONDS = 30.0  # the longest time until a connection that was lost has been replaced


def _send(channel: str, payload: str) -> None:
    """By a connection that nothing breaks."""
    with scope():
        db(alias="admin").notify(channel, payload)


def _listen(alias: str) -> list[str]:
    """Enter a block and read two notifications; what is wrong."""
    wrong = []
    try:
        with Events(alias, alias=alias) as events:
            for payload in ("1", "2"):
                _send(alias, payload)
                event = events.get(_SECONDS)
                if event is None:
                    wrong.append(f"notification {payload} was lost without a word")
                elif not isinstance(event, Reconnected) and event.payload != payload:
                    wrong.append(f"{event} came instead of {payload}")
                elif isinstance(event, Reconnected):
                    while events.get(0.05) is not None:  # it may have arrived behind that
                        pass
    except errors.OperationalError:
        pass  # the block was not entered
    return wrong


def _prepare(alias: str) -> list[str]:
    """A request on a connection that an on_connect function has prepared; what is wrong."""
    try:
        with scope():
            value = either.db(alias=alias).query_value(_SETTING, timeout=5)
    except errors.Error:
        return []
    return [] if value == alias else [f"an unprepared connection was given away: {value!r}"]


def _log_in(alias: str) -> list[str]:
    """A request on a connection whose password a callable gives; what is wrong."""
    try:
        with scope():
            either.db(alias=alias).query_value("SELECT 1", timeout=5)
    except errors.Error as error:
        return [f"the password is in {error!r}"] if PASSWORD in repr(error) + str(error) else []
    return []


def _configure(url: str, alias: str, what: str) -> None:
    password: Any = (lambda: PASSWORD) if what == "password" else PASSWORD
    Database.configure(
        url,
        alias=alias,
        max_size=1,
        connect_timeout_secs=5,
        acquire_timeout_secs=10,
        application_name=alias,
        password=password,
    )
    if what == "on_connect":

        @Database.on_connect(alias=alias)
        def prepare(session: DbSession) -> None:
            session.query_value("SELECT set_config('app.prepared', $1, false)", [alias])


_WORK: dict[str, tuple[Callable[[str], list[str]], str]] = {
    "a connection that listens": (_listen, "each notification arrives, or Reconnected"),
    "a connection that on_connect prepares": (_prepare, "an error, or a prepared connection"),
    "a connection whose password a callable gives": (_log_in, "an error without it, or served"),
}
_KIND = dict(zip(_WORK, ("listen", "on_connect", "password"), strict=True))


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    yield
    attendant._hooks.clear()


def _backends(alias: str) -> int:
    """The connections of an alias, and all that listen."""
    with scope():
        count: int = db(alias="admin").query_value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name IN ($1, 'hypern listen')",
            [alias],
        )
        return count


def _try(server: OwnServer, where: str, fault: Fault | None, alias: str) -> FaultProxy:
    """Do the work with a fault, and again; it must be right both times, and leave nothing."""
    work, _ = _WORK[where]
    with FaultProxy(server.port, fault) as proxy:
        _configure(server.url(proxy.port), alias, _KIND[where])
        began = time.monotonic()
        wrong = work(alias)
        wrong += work(alias)
        while time.monotonic() - began < _SECONDS:  # service comes back by itself
            try:
                if _KIND[where] == "listen":
                    with Events(alias, alias=alias) as events:
                        _send(alias, "again")
                        assert events.get(_SECONDS) is not None
                else:
                    with scope():
                        assert db(alias=alias).query_value(f"SELECT 1 FROM ({_SETTING}) x") == 1
            except errors.OperationalError:
                continue
            break
        else:
            wrong.append("it is not served any more")
        status = Database.status(alias)
        if status.in_use or status.waiting:
            wrong.append(f"left behind: {status}")
        Database.close(alias)
    assert not wrong, f"{fault}: " + "; ".join(wrong)
    return proxy


@pytest.mark.timeout(900)
@pytest.mark.parametrize("where", _WORK)
@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_is_an_error_or_has_no_effect(
    own_server: OwnServer, full: bool, tally: Tally, kind: str, what: str, where: str
) -> None:
    if not full and (what == BLACK_HOLE or (what, kind) == (CUT, "awaited")):
        pytest.skip("make test/reliability tries it")
    rehearsal = _try(own_server, where, None, f"rehearsal of {kind} {_KIND[where]}")
    for direction in (TO_SERVER, TO_CLIENT):
        seen = [m for m in rehearsal.seen if m.connection == 0 and m.direction == direction]
        faults = [Fault(what, m, at) for m in seen for at in (0, max(1, m.length // 2))]
        if not full:
            faults = faults[1 :: max(1, len(faults) // 3)]
        met = _try_all(own_server, where, faults, f"{what} {direction} {kind} {_KIND[where]}")
        tally.add(f"{what}, {direction}, {where}, {kind}", met, _WORK[where][1])


def _try_all(server: OwnServer, where: str, faults: list[Fault], name: str) -> int:
    """Try each of the faults; how many of them were met."""

    def attempt(n: int, fault: Fault) -> bool:
        return _try(server, where, fault, f"{name} {n}").fired.is_set()

    at_once = 8
    if (faults[0].what, _KIND[where]) == (BLACK_HOLE, "on_connect"):
        # The functions of all aliases are called one after the other: a hole holds them all up.
        at_once, faults = 1, faults[::8]
    with ThreadPoolExecutor(at_once) as executor:
        met = sum(executor.map(attempt, range(len(faults)), faults))
    for n in range(len(faults)):
        wait_until(lambda alias=f"{name} {n}": _backends(alias) == 0, 20)  # type: ignore[misc]
    # One may be missed in a sample, too: a reset is not sent where the connection goes first.
    few = min(0.7 * len(faults), len(faults) - 1)
    assert met >= few, "the conversation did not repeat itself"
    return met
