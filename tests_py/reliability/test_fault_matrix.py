"""A connection breaks at every message and in the middle of each, in every way: nothing is lost."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from reliability.fault_proxy import (
    BLACK_HOLE,
    FAULTS,
    SLOW,
    TO_CLIENT,
    TO_SERVER,
    Fault,
    FaultProxy,
    Message,
)
from reliability.own_server import PASSWORD, OwnServer
from reliability.requests_script import broken_promises, configure, run_requests
from reliability.tally import Tally
from support import wait_until

from hypern import errors
from hypern.database import Database, db, scope

_RESULT = "nothing wrong, nothing lost, nothing left open; the next request is served"


@pytest.fixture(scope="module")
def conversation(own_server: OwnServer) -> list[Message]:
    """Every message of the requests when nothing breaks."""
    with FaultProxy(own_server.port) as proxy:
        configure(own_server.url(proxy.port), "rehearsal", PASSWORD)
        outcomes = run_requests("rehearsal", "rehearsal")
        Database.close("rehearsal")
    assert [o.error for o in outcomes] == [None] * len(outcomes)
    assert broken_promises(outcomes, "rehearsal", "admin") == []
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


def _try(server: OwnServer, fault: Fault, run: str) -> str | None:
    """Run the requests with one fault; None where the conversation did not come to it."""
    with FaultProxy(server.port, fault) as proxy:
        configure(server.url(proxy.port), run, PASSWORD)
        outcomes = run_requests(run, run)
        met = proxy.fired.is_set()
        again = run_requests(run, run + " again")
        status = Database.status(run)
        if fault.what != BLACK_HOLE:  # there the server does not know yet
            wait_until(lambda: _connections(run) == Database.status(run).size)
        Database.close(run)
    wait_until(lambda: _connections(run) == 0)
    broken = broken_promises(outcomes, run, "admin")
    broken += broken_promises(again, run + " again", "admin")
    errors_seen = [o.error for o in outcomes if o.error is not None]
    if fault.what == SLOW:
        # On a busy machine a call's own time may run out.
        late = (errors.QueryCanceled, errors.PoolTimeout)
        errors_seen = [e for e in errors_seen if not isinstance(e, late)]
        broken += [f"slowness alone is an error: {e!r}" for e in errors_seen]
    if met:
        broken += [f"not restored: {o.request}: {o.error!r}" for o in again if o.error is not None]
    if status.in_use or status.waiting:
        broken.append(f"left behind: {status}")
    assert not broken, f"{fault}: " + "; ".join(broken)
    return fault.message.kind if proxy.fired.is_set() else None


def _sockets() -> int:
    """Open sockets of this process; events that the core keeps for the next use do not count."""
    links = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return sum(link.startswith("socket:") for link in links)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
@pytest.mark.parametrize("what", FAULTS)
def test_no_fault_makes_a_wrong_answer_or_leaves_anything_behind(
    own_server: OwnServer,
    conversation: list[Message],
    full: bool,
    tally: Tally,
    what: str,
    direction: str,
) -> None:
    faults = list(_faults(what, [m for m in conversation if m.direction == direction]))
    if not full and (what, direction) == (BLACK_HOLE, TO_CLIENT):
        pytest.skip("make test/reliability tries it")
    if not full:
        faults = faults[3 :: len(faults) // 4]
    before = _sockets() - Database.status("admin").size
    with ThreadPoolExecutor(24 if what == BLACK_HOLE else 8) as executor:
        runs = [
            executor.submit(_try, own_server, fault, f"{what} {direction} {n}")
            for n, fault in enumerate(faults)
        ]
        met = Counter(kind for run in runs if (kind := run.result()) is not None)
    wait_until(lambda: _sockets() - Database.status("admin").size == before)
    assert met.total() >= 0.8 * len(faults), "the conversation did not repeat itself"
    tally.add(f"{what}, {direction}, before and within each message", met.total(), _RESULT)
