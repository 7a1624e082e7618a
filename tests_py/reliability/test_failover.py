"""A primary that dies under load, and the standby that takes over: writes resume, none is lost."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from reliability.own_server import PASSWORD, OwnServer
from reliability.tally import Tally
from support import wait_until

from hypern import errors
from hypern.database import Database, db, scope

_THREADS = 4

# The standby confirms each commit before the client is told: without it a primary that dies takes
# with it what it had acknowledged and not yet sent, and no client could know.
_PRIMARY = """
synchronous_commit = on
synchronous_standby_names = '*'
"""


@dataclass
class _Pair:
    primary: OwnServer
    standby: OwnServer

    @property
    def url(self) -> str:
        ports = f"{self.primary.port},{self.standby.port}"
        return f"host=127.0.0.1,127.0.0.1 port={ports} user=alice dbname=postgres sslmode=disable"


@pytest.fixture
def pair() -> Iterator[_Pair]:
    """A primary with a table `acknowledged`, and a standby that follows it synchronously."""
    with contextlib.ExitStack() as stack:
        primary = OwnServer()
        stack.callback(primary.remove)
        primary.psql("CREATE TABLE acknowledged (thread int, n int)")
        standby = OwnServer(standby_of=primary)
        stack.callback(standby.remove)
        standby.start()
        primary.write("postgresql.auto.conf", _PRIMARY.encode())
        primary.psql("SELECT pg_reload_conf()")
        pair = _Pair(primary, standby)
        for alias, attributes in (("writes", "read-write"), ("reads", "standby")):
            Database.configure(
                f"{pair.url} target_session_attrs={attributes}",
                alias=alias,
                password=PASSWORD,
                max_size=_THREADS,
                connect_timeout_secs=10,
            )
        stack.callback(Database.close)
        yield pair


@dataclass
class _Writer:
    """A thread that inserts one number after the other, and keeps what it was told."""

    number: int
    stop: threading.Event
    told: list[tuple[float, int]] = field(default_factory=list)  # committed, and when it was said
    unsure: set[int] = field(default_factory=set)  # lost in COMMIT
    failed: list[errors.Error] = field(default_factory=list)

    def run(self) -> None:
        n = 0
        while not self.stop.is_set():
            n += 1
            try:
                with scope(), db(alias="writes").transaction() as session:
                    session.execute(
                        "INSERT INTO acknowledged VALUES ($1, $2)", [self.number, n], timeout=5
                    )
            except errors.ConnectionLost as lost:
                self.failed.append(lost)
                if not lost.safe_to_retry:
                    self.unsure.add(n)
            except errors.Error as error:
                self.failed.append(error)
            else:
                self.told.append((time.monotonic(), n))


def test_writes_resume_on_the_standby_and_nothing_acknowledged_is_lost(
    pair: _Pair, tally: Tally
) -> None:
    stop = threading.Event()
    writers = [_Writer(n, stop) for n in range(_THREADS)]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: all(len(writer.told) > 20 for writer in writers), 20)
        with scope():
            assert db(alias="reads").query_value("SELECT pg_is_in_recovery()")
        pair.primary.stop("immediate")
        died = time.monotonic()
        pair.standby.promote()
        wait_until(lambda: all(w.told[-1][0] > died + 0.5 for w in writers), 20)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    resumed = max(min(at for at, _ in writer.told if at > died) for writer in writers) - died
    assert resumed < 5, resumed
    with scope():
        rows = db(alias="writes").query("SELECT thread, n FROM acknowledged")
    kept = {(row["thread"], row["n"]) for row in rows}
    told = {(writer.number, n) for writer in writers for _, n in writer.told}
    unsure = {(writer.number, n) for writer in writers for n in writer.unsure}
    assert told <= kept, f"acknowledged and lost: {told - kept}"
    assert kept <= told | unsure, f"kept, and reported as not done: {kept - told - unsure}"
    assert len(rows) == len(kept)
    # A writer may meet a second connection that is about to end, but each costs one error only.
    failed = [error for writer in writers for error in writer.failed]
    assert len(failed) <= _THREADS, failed
    assert all(isinstance(error, errors.ConnectionLost) for error in failed), failed
    tally.add(
        "failover to a synchronous standby, acknowledged writes",
        len(told),
        "all kept; an error per connection in use; resumed within 5 s",
    )
