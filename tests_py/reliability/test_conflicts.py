"""Transactions that the server gives up for others: the error has its class, and run() repeats."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from reliability.own_server import OwnServer
from reliability.tally import Tally

from hypern import errors
from hypern._literals import Isolation
from hypern.database import AsyncDbSession, DbSession, adb, db, scope

_ACCOUNTS = 4
_START = 1000
_UPDATE = "UPDATE accounts SET balance = balance + $1 WHERE id = $2"


@pytest.fixture
def accounts(default: OwnServer) -> Iterator[None]:
    """A table of accounts with money in it; deadlocks are found quickly."""
    with scope():
        admin = db(alias="admin")
        admin.execute("ALTER ROLE alice SET deadlock_timeout = '20ms'")
        admin.execute("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)")
        admin.execute_many(
            "INSERT INTO accounts VALUES ($1, $2)", [[n, _START] for n in range(_ACCOUNTS)]
        )
    yield
    with scope():
        db(alias="admin").execute("DROP TABLE accounts")
        db(alias="admin").execute("ALTER ROLE alice RESET deadlock_timeout")


def _money() -> int:
    with scope():
        total: int = db(alias="admin").query_value("SELECT sum(balance)::int FROM accounts")
        return total


def _collide(
    first: Callable[[DbSession, int], None], isolation: Isolation | None
) -> list[errors.Error | None]:
    """Two transactions do the same to each other's account; what became of each."""
    met = threading.Barrier(2)

    def side(n: int) -> errors.Error | None:
        try:
            with scope(), db().transaction(isolation=isolation) as session:
                first(session, n)
                met.wait(10)
                session.execute(_UPDATE, [1, 1 - n])
        except errors.Error as error:
            return error
        return None

    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(side, (0, 1)))


def _update(session: DbSession, n: int) -> None:
    session.execute(_UPDATE, [1, n])


def _read(session: DbSession, n: int) -> None:
    session.query("SELECT balance FROM accounts WHERE id = $1", [n])


@pytest.mark.parametrize(
    ("first", "isolation", "error", "sqlstate"),
    [
        (_update, None, errors.DeadlockDetected, "40P01"),
        (_read, "serializable", errors.SerializationFailure, "40001"),
    ],
)
def test_one_of_two_is_given_up_with_its_class(
    accounts: None,
    tally: Tally,
    full: bool,
    first: Callable[[DbSession, int], None],
    isolation: Isolation | None,
    error: type[errors.Error],
    sqlstate: str,
) -> None:
    times = 20 if full else 2
    for _ in range(times):
        told = [one for one in _collide(first, isolation) if one is not None]
        assert [type(one) for one in told] == [error], told
        assert isinstance(told[0], errors.OperationalError)
        assert told[0].sqlstate == sqlstate
    tally.add(f"two transactions, {error.__name__}", times, "one commits, one is told")


def _transfers(threads: int, each: int) -> Iterator[tuple[int, int, int]]:
    """Who pays whom how much: in opposite directions at the same time."""
    for n in range(threads * each):
        yield n % _ACCOUNTS, (n + 1 + n // _ACCOUNTS % (_ACCOUNTS - 1)) % _ACCOUNTS, n % 7


@pytest.mark.parametrize("isolation", [None, "serializable"])
def test_run_repeats_until_all_transfers_are_done(
    accounts: None, tally: Tally, full: bool, isolation: Isolation | None
) -> None:
    each = 40 if full else 5
    calls = []

    def transfer(job: tuple[int, int, int]) -> None:
        payer, payee, amount = job

        def work(session: DbSession) -> None:
            calls.append(job)
            if isolation is not None:
                session.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
            session.execute(_UPDATE, [-amount, payer])
            session.execute("SELECT pg_sleep(0.002)")  # time for another to come in between
            session.execute(_UPDATE, [amount, payee])

        with scope():
            db().run(work, retries=50)

    jobs = list(_transfers(8, each))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(transfer, jobs))
    assert _money() == _ACCOUNTS * _START
    assert len(calls) > len(jobs), "nothing collided"
    tally.add("`session.run` of transfers that collide", len(jobs), "all done, the sum is kept")


@pytest.mark.parametrize("isolation", [None, "serializable"])
def test_awaited_run_repeats_too(
    accounts: None, tally: Tally, full: bool, isolation: Isolation | None
) -> None:
    each = 40 if full else 5
    calls = []
    few = asyncio.Semaphore(8)  # at a time, or the others would wait for a connection too long

    async def transfer(job: tuple[int, int, int]) -> None:
        payer, payee, amount = job

        async def work(session: AsyncDbSession) -> None:
            calls.append(job)
            if isolation is not None:
                await session.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
            await session.execute(_UPDATE, [-amount, payer])
            await session.execute("SELECT pg_sleep(0.002)")
            await session.execute(_UPDATE, [amount, payee])

        async with few, scope():
            await adb().run(work, retries=50)

    async def all_of_them() -> None:
        await asyncio.gather(*map(transfer, jobs))

    jobs = list(_transfers(8, each))
    asyncio.run(all_of_them())
    assert _money() == _ACCOUNTS * _START
    assert len(calls) > len(jobs), "nothing collided"
    tally.add(
        "`await session.run` of transfers that collide", len(jobs), "all done, the sum is kept"
    )
