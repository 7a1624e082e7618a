"""A connection breaks at every message and in the middle of each, in every way: nothing is lost."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from proc import sockets
from reliability.fault_proxy import (
    BLACK_HOLE,
    CUT,
    FAULTS,
    HALF_CLOSE,
    REFUSABLE,
    REFUSED,
    RESET,
    SLOW,
    Fault,
    FaultProxy,
    longest_delay,
)
from reliability.messages import TO_CLIENT, TO_SERVER, Message
from reliability.own_server import PASSWORD, OwnServer
from reliability.requests_script import (
    Outcome,
    broken_promises,
    configure,
    run_requests,
    serving,
)
from reliability.tally import Tally
from support import wait_until

from hypern import errors
from hypern.database import Database, db, scope

_RESULT = "nothing wrong, nothing lost, nothing left open; the next request is served"
_BLOCKING, _AWAITED, _TLS = "blocking", "awaited", "TLS"

# In seconds. On a core of its own this suite has the proxies' event loop wait for 0.02 (99 of 100).
_BUSY = 0.25

# Of a TLS connection only its making is new: a record later is some messages of the matrix without.
_HANDSHAKE = 24


@pytest.fixture(scope="module", params=[_BLOCKING, _AWAITED, _TLS])
def way(request: pytest.FixtureRequest) -> str:
    """How the requests are run."""
    return str(request.param)


@pytest.fixture(scope="module")
def own_server(way: str, running_server: OwnServer) -> Iterator[OwnServer]:
    """The server behind the proxy, with a certificate where it takes one."""
    with contextlib.ExitStack() as stack:
        if way == _TLS:
            running_server = OwnServer(tls=True)
            stack.callback(running_server.remove)
        yield stack.enter_context(serving(running_server))


def _url(server: OwnServer, port: int, way: str) -> str:
    return server.url(port, sslmode="require" if way == _TLS else "disable")


@pytest.fixture(scope="module")
def conversation(own_server: OwnServer, way: str) -> list[Message]:
    """Every message of the requests when nothing breaks."""
    run = f"rehearsal {way} {secrets.token_hex(4)}"  # a worker may come back to a way
    with FaultProxy(own_server.port) as proxy:
        configure(_url(own_server, proxy.port, way), run, PASSWORD)
        outcomes = run_requests(run, run, way == _AWAITED)
        Database.close(run)
    assert [o.error for o in outcomes] == [None] * len(outcomes)
    assert broken_promises(outcomes, run, "admin") == []
    if way == _TLS:
        return [m for m in proxy.seen if m.connection == 0 and m.index < _HANDSHAKE]
    return proxy.seen


def _faults(what: str, messages: list[Message]) -> Iterator[Fault]:
    """Before each message, in its middle, and behind the last one."""
    for message in messages:
        yield Fault(what, message, 0)
        yield Fault(what, message, max(1, message.length // 2))
    yield Fault(what, messages[-1], messages[-1].length)


def _connections(alias: str) -> int:
    with scope():
        count: int = db(alias="admin").query_value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", [alias]
        )
        return count


def _late(outcomes: list[Outcome], since: float) -> bool:
    """Whether a call's own time has run out because this machine has too much to do."""
    failed = [o.error for o in outcomes if o.error is not None]
    slow = any(
        isinstance(e, (errors.QueryCanceled, errors.PoolTimeout))
        or "connect_timeout" in str(e)
        or "did not end in time" in str(e)
        for e in failed
    )
    return slow and (os.getloadavg()[0] > 2 * (os.cpu_count() or 1) or longest_delay(since) > _BUSY)


def _try(server: OwnServer, fault: Fault, run: str, way: str) -> str | None:
    """Run the requests with one fault; what it met, or None where the conversation did not come to
    it."""
    with FaultProxy(server.port, fault) as proxy:
        configure(_url(server, proxy.port, way), run, PASSWORD)
        began = time.monotonic()
        outcomes = run_requests(run, run, way == _AWAITED)
        met = proxy.fired.is_set()
        later = run + " again"
        again = run_requests(run, later, way == _AWAITED)
        if _late(again, began):
            later = run + " at last"
            again = run_requests(run, later, way == _AWAITED)
        status = Database.status(run)
        if fault.what != BLACK_HOLE:  # there the server does not know yet
            wait_until(lambda: _connections(run) == Database.status(run).size)
        Database.close(run)
    wait_until(lambda: _connections(run) == 0)
    broken = broken_promises(outcomes, run, "admin")
    broken += broken_promises(again, later, "admin")
    failed_again = [o for o in again if o.error is not None]
    if fault.what == SLOW and not _late(outcomes, began):
        broken += [f"slowness alone is an error: {o.error!r}" for o in outcomes if o.error]
    if fault.what == BLACK_HOLE and failed_again:
        # What travels right behind a reset whose answer the hole has swallowed is lost with it.
        first = failed_again[0].error
        if met and isinstance(first, errors.ConnectionLost) and again[0].error is first:
            failed_again.pop(0)
    if met:
        broken += [f"not restored: {o.request}: {o.error!r}" for o in failed_again]
    if status.in_use or status.waiting:
        broken.append(f"left behind: {status}")
    assert not broken, f"{fault}: " + "; ".join(broken)
    return f"{fault.message.phase}: {fault.message.name}" if proxy.fired.is_set() else None


def _sockets() -> int:
    """Open sockets of this process; events that the core keeps for the next use do not count."""
    return len(sockets())


@pytest.mark.timeout(900)
@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
@pytest.mark.parametrize("what", FAULTS)
def test_no_fault_makes_a_wrong_answer_or_leaves_anything_behind(
    own_server: OwnServer,
    conversation: list[Message],
    full: bool,
    tally: Tally,
    way: str,
    what: str,
    direction: str,
) -> None:
    faults = list(_faults(what, [m for m in conversation if m.direction == direction]))
    if not full and what == BLACK_HOLE and (way, direction) != (_BLOCKING, TO_SERVER):
        pytest.skip("make test/reliability tries it")
    if not full:
        faults = faults[3 :: len(faults) // 4]
    met = _try_all(own_server, faults, f"{what} {direction} {way}", way)
    tally.add(f"{what}, {direction}, before and within each message, {way}", met.total(), _RESULT)
    for where, times in sorted(met.items()):
        tally.add(f"any of these at {where}", times, _RESULT)


def _try_all(server: OwnServer, faults: list[Fault], name: str, way: str) -> Counter[str]:
    """Try each of the faults; what they met."""
    before = _sockets() - Database.status("admin").size
    with ThreadPoolExecutor(24 if faults[0].what == BLACK_HOLE else 8) as executor:
        runs = [
            executor.submit(_try, server, fault, f"{name} {n}", way)
            for n, fault in enumerate(faults)
        ]
        met = Counter(where for run in runs if (where := run.result()) is not None)
    wait_until(lambda: _sockets() - Database.status("admin").size == before)
    assert met.total() >= 0.8 * len(faults), "the conversation did not repeat itself"
    return met


@pytest.mark.timeout(900)
def test_no_step_depends_on_one_that_the_server_refuses(
    own_server: OwnServer, conversation: list[Message], full: bool, tally: Tally, way: str
) -> None:
    if way == _TLS:
        pytest.skip("TLS does not let the messages be told apart")
    faults = [
        Fault(REFUSED, m, 0)
        for m in conversation
        if m.direction == TO_SERVER and m.kind in REFUSABLE
    ]
    if not full:
        faults = faults[1 :: len(faults) // 12]
    met = _try_all(own_server, faults, f"{REFUSED} {way}", way)
    tally.add(f"{REFUSED} by the server, each message, {way}", met.total(), _RESULT)


@pytest.mark.parametrize("what", [CUT, RESET, HALF_CLOSE])
def test_a_commit_without_an_answer_is_lost_and_not_safe_to_retry(
    own_server: OwnServer, conversation: list[Message], way: str, what: str, tally: Tally
) -> None:
    if way == _TLS:
        pytest.skip("TLS does not tell which record is the answer")
    answer = next(m for m in conversation if (m.direction, m.phase) == (TO_CLIENT, "COMMIT"))
    assert answer.kind == "C"
    run = f"commit {what} {way}"
    with FaultProxy(own_server.port, Fault(what, answer, 0)) as proxy:
        configure(_url(own_server, proxy.port, way), run, PASSWORD)
        outcome = run_requests(run, run, way == _AWAITED)[0]
        Database.close(run)
    assert outcome.request == "commit"
    assert isinstance(outcome.error, errors.ConnectionLost)
    assert not outcome.error.safe_to_retry
    with scope():
        kept = db(alias="admin").query_value(
            "SELECT count(*) FROM ledger WHERE run = $1 AND request = 'commit'", [run]
        )
    assert kept == 1
    tally.add("COMMIT without an answer", 1, "ConnectionLost, `safe_to_retry` False; it is there")
