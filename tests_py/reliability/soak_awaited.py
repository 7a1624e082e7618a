"""The awaited requests of the soak: tasks of one event loop, some of which are cancelled."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable

from reliability.soak_report import ACCOUNTS, ALIAS, OPENING, Ledger

from hypern import errors
from hypern.database import adb, scope

TASKS = 4

Kind = Callable[[Ledger, random.Random, str], Awaitable[None]]


async def serve_awaited(ledger: Ledger) -> None:
    """Serve requests in some tasks at once until the end."""
    await asyncio.gather(*(_serve(ledger, task) for task in range(TASKS)))


async def _serve(ledger: Ledger, task: int) -> None:
    chance = random.Random(task)
    kinds: list[Kind] = [*[_transfer] * 3, *[_read] * 3, _stream, _time_out, _cancelled]
    n = 0
    while not ledger.stop.is_set():
        n += 1
        kind, name = chance.choice(kinds), f"{os.getpid()}-awaited-{task}-{n}"
        failure: Exception | None = None
        try:
            async with scope(name):
                await kind(ledger, chance, name)
        except Exception as error:
            failure = error
        ledger.served(f"awaited{kind.__name__}", failure)


async def _transfer(ledger: Ledger, chance: random.Random, name: str) -> None:
    source, target = chance.sample(range(1, ACCOUNTS + 1), 2)
    amount = chance.randint(1, 100)
    session = adb(alias=ALIAS)
    await session.begin()
    await session.execute("INSERT INTO transfers VALUES ($1, $2)", [name, amount])
    for account, change in sorted([(source, -amount), (target, amount)]):
        moved = await session.execute(
            "UPDATE accounts SET balance = balance + $2 WHERE id = $1", [account, change]
        )
        assert moved == 1
    try:
        await session.commit()
    except errors.ConnectionLost:
        ledger.lost_in_commit()
        raise
    ledger.committed()


async def _read(ledger: Ledger, chance: random.Random, name: str) -> None:
    money = await adb(alias=ALIAS).query_value("SELECT sum(balance)::bigint FROM accounts")
    assert money == ACCOUNTS * OPENING, money


async def _stream(ledger: Ledger, chance: random.Random, name: str) -> None:
    """Read some of a long result, and leave."""
    wanted = chance.randint(1, 1500)
    seen = 0
    sql = "SELECT n FROM generate_series(1, 100000) n"
    async with adb(alias=ALIAS).stream(sql, chunk_rows=500) as rows:
        async for row in rows:
            seen += 1
            assert row == {"n": seen}
            if seen == wanted:
                break
    assert seen == wanted


async def _time_out(ledger: Ledger, chance: random.Random, name: str) -> None:
    try:
        await adb(alias=ALIAS).query("SELECT pg_sleep(30)", timeout=0.05)
    except (errors.QueryCanceled, errors.PoolTimeout):
        return
    raise AssertionError("it slept for half a minute in no time")


async def _cancelled(ledger: Ledger, chance: random.Random, name: str) -> None:
    """A task that is cancelled in the middle of a transaction, which is undone."""

    async def abandoned() -> None:
        async with scope(f"{name}-abandoned"), adb(alias=ALIAS).transaction() as session:
            await session.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 1")
            await session.query("SELECT pg_sleep(30)")

    task = asyncio.create_task(abandoned())
    await asyncio.sleep(chance.uniform(0, 0.1))
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
    raise AssertionError("a cancelled task has ended well")
