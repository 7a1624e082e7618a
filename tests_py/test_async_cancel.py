"""Cancelled tasks: the statement ends on the server, the connection is kept or dropped, never lost,
and CancelledError arrives promptly."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass

import pytest
import uvloop
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support import numbers_seen_by_others, wait_until

from hypern import errors
from hypern.database import Database, adb, afinalize_db, db, scope

PROMPTLY = 2.0  # seconds, on a busy machine; what is left behind takes longer


@pytest.fixture(autouse=True)
def marks(configured: str) -> Iterator[None]:
    """A table whose commits take half a second where a row says so; afterwards nothing is held."""
    with scope():
        db().execute("CREATE TABLE numbers (n int PRIMARY KEY, slow bool DEFAULT false)")
        db().execute(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN IF NEW.slow THEN PERFORM pg_sleep(3); END IF; RETURN NULL; END'"
        )
        db().execute(
            "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON numbers DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION hold()"
        )
    yield
    wait_until(lambda: Database.status().in_use == 0)
    assert Database.status().waiting == 0
    with scope():
        db().execute("DROP TABLE numbers")
        db().execute("DROP FUNCTION hold")


def sleepers() -> int:
    """How many backends run pg_sleep."""
    with scope():
        count: int = db().query_value(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
            "AND query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()"
        )
    return count


async def cancel_amid(work: Awaitable[object], after: float = 0.15) -> None:
    """Cancel a task in the middle of its work; the error must come at once."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(after)
    assert not task.done()
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < PROMPTLY


def test_in_a_query_the_server_is_told_and_the_session_stays_usable() -> None:
    async def main() -> None:
        session = adb("r")
        pid = await session.query_value("SELECT pg_backend_pid()")
        await cancel_amid(session.query("SELECT pg_sleep(30)"))
        assert await session.query_value("SELECT pg_backend_pid()") == pid
        await asyncio.to_thread(wait_until, lambda: sleepers() == 0)
        await afinalize_db("r")

    asyncio.run(main())


def test_in_a_transaction_it_is_aborted_and_the_block_rolls_back() -> None:
    async def block() -> None:
        async with scope(), adb().transaction() as session:
            await session.execute("INSERT INTO numbers VALUES (1)")
            await session.query("SELECT pg_sleep(30)")

    async def main() -> None:
        await cancel_amid(block())

    asyncio.run(main())
    assert numbers_seen_by_others() == []


def test_while_it_waits_for_a_connection(configured: str) -> None:
    Database.configure(configured, max_size=1, alias="one")

    async def main() -> None:
        holder = adb("holder", "one")
        await holder.query("SELECT 1")
        await cancel_amid(adb("waiter", "one").query("SELECT 1"))
        assert Database.status("one").waiting == 0
        await afinalize_db("holder")
        assert await adb("waiter", "one").query_value("SELECT 1") == 1
        await afinalize_db("waiter")
        assert (Database.status("one").size, Database.status("one").in_use) == (1, 0)

    asyncio.run(main())
    Database.close("one")


def test_while_it_connects() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        Database.configure(f"postgresql://u@127.0.0.1:{port}/d?sslmode=disable", alias="silent")

        async def main() -> None:
            await cancel_amid(adb("r", "silent").query("SELECT 1"))
            await afinalize_db("r")

        asyncio.run(main())
        assert Database.status("silent").waiting == 0
        Database.close("silent")


def test_in_a_commit_the_outcome_is_seen_to() -> None:
    async def main() -> None:
        session = await adb("r").begin()
        await session.execute("INSERT INTO numbers VALUES (1, true)")
        await cancel_amid(session.commit())
        await afinalize_db("r")

    asyncio.run(main())
    assert numbers_seen_by_others() in ([], [1])


@pytest.mark.parametrize("slow", [True, False])
def test_the_state_is_true_at_once_after_a_cancelled_commit(slow: bool) -> None:
    """It waits for what the COMMIT comes to, however soon it is looked at."""

    async def main(n: int) -> None:
        session = await adb("r").begin()
        await session.execute("INSERT INTO numbers VALUES ($1, $2)", [n, slow])
        await cancel_amid(session.commit(), after=0.1 * slow)
        state, is_open = session.state, session.is_in_transaction
        there = n in numbers_seen_by_others()
        assert (state, is_open) in (
            [("committed", False)] if there else [("rolled_back", False), ("in_transaction", True)]
        )
        assert is_open is (state == "in_transaction")
        if is_open:  # the task has left before the COMMIT began
            await session.rollback()
        assert session.state == ("committed" if there else "rolled_back")
        await afinalize_db("r")

    for n in range(5):
        asyncio.run(main(n))


def test_finalizing_goes_on_in_the_background() -> None:
    async def work() -> None:
        async with scope("r"):
            await (await adb().begin()).execute("INSERT INTO numbers VALUES (1, true)")

    async def main() -> None:
        await cancel_amid(work(), after=0.3)
        while Database.status().in_use:
            await asyncio.sleep(0.01)

    asyncio.run(main())
    assert numbers_seen_by_others() == [1]


def test_in_a_stream_and_in_execute_many() -> None:
    async def read() -> None:
        async with adb("r").stream(
            "SELECT n, pg_sleep(CASE n WHEN 5 THEN 30 ELSE 0 END) FROM generate_series(1, 9) n",
            chunk_rows=2,
        ) as rows:
            async for _ in rows:
                pass

    async def endless() -> AsyncIterator[list[int]]:
        n = 0
        while True:
            n += 1
            await asyncio.sleep(0.001)
            yield [n]

    async def main() -> None:
        await cancel_amid(read())
        assert await adb("r").query_value("SELECT 1") == 1
        await cancel_amid(adb("r").execute_many("INSERT INTO numbers VALUES ($1)", endless()))
        assert await adb("r").query_value("SELECT count(*) FROM numbers") == 0
        many = adb("r").execute_many(
            "INSERT INTO numbers SELECT $1 FROM pg_sleep(0.01)", ([n] for n in range(10_000))
        )
        await cancel_amid(many)
        assert await adb("r").query_value("SELECT count(*) FROM numbers") == 0
        await afinalize_db("r")

    asyncio.run(main())


def test_while_it_waits_for_its_turn() -> None:
    async def main() -> None:
        first = asyncio.ensure_future(adb("r").query_value("SELECT 1 FROM pg_sleep(3)"))
        await cancel_amid(adb("r").query_value("SELECT 2"))
        assert await first == 1
        await afinalize_db("r")

    asyncio.run(main())


def test_wait_for_cancels_as_timeout_does() -> None:
    async def main() -> None:
        async with scope():
            await adb().query("SELECT 1")  # the short times are not spent on connecting
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(adb().query("SELECT pg_sleep(30)"), 0.1)
            with pytest.raises(errors.QueryCanceled):
                await adb().query("SELECT pg_sleep(30)", timeout=0.1)
            assert await adb().query_value("SELECT 1") == 1

    asyncio.run(main())


@dataclass(frozen=True)
class Cut:
    """When a task is cancelled: after so many turns of the loop, or after some seconds."""

    turns: int | None = None
    seconds: float = 0.0

    def arrange(self, task: asyncio.Task[None]) -> None:
        if self.turns is None:
            asyncio.get_running_loop().call_later(self.seconds, task.cancel)
        else:
            _after_turns(self.turns, task)


def _after_turns(turns: int, task: asyncio.Task[None]) -> None:
    if turns == 0:
        task.cancel()
    else:
        asyncio.get_running_loop().call_soon(_after_turns, turns - 1, task)


cuts = st.one_of(
    st.builds(Cut, turns=st.integers(0, 60)),
    st.builds(Cut, seconds=st.floats(0, 0.002)),
    st.builds(Cut, seconds=st.floats(0, 0.03)),
)


class Requests:
    """Requests side by side, each cut somewhere. Who is told "committed" finds the row, nobody gets
    another's answer, and all connections are there afterwards.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._numbers = itertools.count()

    async def run(self, plan: list[Cut]) -> None:
        committed: list[int] = []
        await asyncio.gather(*(self._one(cut, committed) for cut in plan))
        while Database.status().in_use:
            await asyncio.sleep(0.001)
        assert Database.status().waiting == 0
        async with scope():
            rows = await adb().query("SELECT n FROM numbers WHERE n = ANY($1)", [committed])
        assert sorted(row["n"] for row in rows) == sorted(committed)

    async def _one(self, cut: Cut, committed: list[int]) -> None:
        task = asyncio.ensure_future(self._request(next(self._numbers), committed))
        cut.arrange(task)
        try:
            await task
            self.outcomes["finished"] += 1
        except asyncio.CancelledError:
            self.outcomes["cancelled"] += 1

    async def _request(self, n: int, committed: list[int]) -> None:
        async with scope():
            session = adb()
            async with session.transaction():
                await session.execute("INSERT INTO numbers VALUES ($1)", [n])
                assert await session.query_value("SELECT $1::int", [n]) == n
                rows = [row async for row in session.stream("SELECT $1::int n", [n], chunk_rows=1)]
                assert rows == [{"n": n}]
            committed.append(n)
            assert await session.query("SELECT n FROM numbers WHERE n = $1", [n]) == [{"n": n}]


@pytest.mark.parametrize("kind_of_loop", ["asyncio", "uvloop"])
def test_at_random_points(kind_of_loop: str) -> None:
    """`make test/reliability` cancels 5,000 tasks on each loop."""
    full = os.environ.get("HYPERN_RELIABILITY") == "full"
    requests = Requests()
    loop = uvloop.new_event_loop() if kind_of_loop == "uvloop" else asyncio.new_event_loop()

    @settings(
        max_examples=500 if full else 10,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(cuts, min_size=20, max_size=20))
    def cut_somewhere(plan: list[Cut]) -> None:
        loop.run_until_complete(requests.run(plan))

    try:
        while requests.outcomes["cancelled"] < (5000 if full else 100):
            cut_somewhere()
    finally:
        loop.close()
    print(kind_of_loop, dict(requests.outcomes))
    assert requests.outcomes["finished"] > 0
    assert Database.status().size <= 4
