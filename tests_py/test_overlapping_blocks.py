"""transaction() blocks form a stack, whatever thread or task enters them."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import ExitStack
from typing import Any

import pytest
from either import db, finalize_db, scope
from support import insert, numbers_seen_by_others

from hypern import database, errors
from hypern.database import AsyncDbSession, Database, DbSession, adb, afinalize_db
from hypern.database import scope as request_scope

pytestmark = pytest.mark.usefixtures("kind", "numbers")

# Awaited blocks are entered by either.py here.
PLACE = r"(test_overlapping_blocks|either)\.py:\d+"


def enter_two(session: DbSession) -> tuple[ExitStack, ExitStack]:
    """An outer and an inner block, each to be left by itself."""
    outer, inner = ExitStack(), ExitStack()
    outer.enter_context(session.transaction())
    insert(session, 1)
    inner.enter_context(session.transaction())
    insert(session, 2)
    return outer, inner


def test_an_outer_block_that_ends_first_rolls_back_and_names_the_inner_one(
    session: DbSession,
) -> None:
    outer, inner = enter_two(session)
    with pytest.raises(errors.InterfaceError, match=f"entered at .*{PLACE} was open"):
        outer.close()
    for call in (
        lambda: insert(session, 3),
        lambda: session.query("SELECT 1"),
        lambda: session.execute_many("INSERT INTO numbers VALUES ($1)", [[3]]),
        lambda: list(session.stream("SELECT 1")),
        session.begin,
        session.commit,
        session.rollback,
        lambda: ExitStack().enter_context(session.transaction()),
    ):
        with pytest.raises(errors.InterfaceError, match=PLACE):
            call()
    with pytest.raises(errors.InterfaceError, match="an outer transaction"):
        inner.close()
    assert numbers_seen_by_others() == []
    insert(session, 4)
    assert numbers_seen_by_others() == [4]


def test_an_outer_block_that_an_exception_leaves_first_keeps_that_exception(
    session: DbSession, caplog: pytest.LogCaptureFixture
) -> None:
    outer, inner = enter_two(session)
    with caplog.at_level(logging.ERROR, logger="hypern"), pytest.raises(KeyError), outer:
        raise KeyError
    assert "was open" in caplog.text
    with pytest.raises(errors.InterfaceError):
        insert(session, 3)
    with pytest.raises(ZeroDivisionError), inner:
        raise ZeroDivisionError
    assert numbers_seen_by_others() == []
    insert(session, 4)
    assert numbers_seen_by_others() == [4]


def test_the_block_in_the_middle_ends_first(session: DbSession) -> None:
    outer, middle = enter_two(session)
    inner = ExitStack()
    inner.enter_context(session.transaction())
    with pytest.raises(errors.InterfaceError, match="was open"):
        middle.close()
    with pytest.raises(errors.InterfaceError):
        inner.close()
    with pytest.raises(errors.InterfaceError):  # it has been undone, too
        insert(session, 3)
    with pytest.raises(errors.InterfaceError):
        outer.close()
    assert numbers_seen_by_others() == []
    insert(session, 4)
    assert numbers_seen_by_others() == [4]


def test_functions_of_blocks_that_overlapped_are_dropped(session: DbSession) -> None:
    done: list[int] = []
    outer, inner = enter_two(session)
    session.on_commit(lambda: done.append(1))
    for block in (outer, inner):
        with pytest.raises(errors.InterfaceError):
            block.close()
    session.begin().commit()
    assert done == []


def test_threads_that_nest_properly_are_one_transaction(session: DbSession) -> None:
    """As where a dependency opens the block in one thread and the handler nests in another."""

    def nest() -> None:
        with session.transaction():
            insert(session, 2)

    with session.transaction():
        insert(session, 1)
        thread = threading.Thread(target=nest)
        thread.start()
        thread.join()
        assert numbers_seen_by_others() == []
    assert numbers_seen_by_others() == [1, 2]


def test_a_scope_that_ends_inside_a_block_rolls_back_and_says_where(configured: str) -> None:
    block = ExitStack()

    def leaves_it_open() -> None:
        with scope():
            block.enter_context(db().transaction())
            insert(db(), 1)

    with pytest.raises(errors.InterfaceError, match=PLACE):
        leaves_it_open()
    assert numbers_seen_by_others() == []
    with pytest.raises(errors.SessionClosed):
        block.close()
    assert Database.status().in_use <= 1  # the fixture's own


def test_finalize_inside_a_block_rolls_back_and_says_where(configured: str) -> None:
    block = ExitStack()
    block.enter_context(db("r").transaction())
    insert(db("r"), 1)
    with pytest.raises(errors.InterfaceError, match=PLACE):
        finalize_db("r")
    with pytest.raises(KeyError), block:
        raise KeyError
    assert numbers_seen_by_others() == []


@pytest.mark.parametrize("kind", ["blocking"], indirect=True)
def test_tasks_that_overlap_by_gather_commit_nothing(configured: str) -> None:
    async def transfer(n: int, entered: asyncio.Event, leave: asyncio.Event) -> None:
        async with adb("r").transaction():
            await adb("r").execute("INSERT INTO numbers VALUES ($1)", [n])
            entered.set()
            await leave.wait()
            await adb("r").execute("INSERT INTO numbers VALUES ($1)", [n + 10])

    async def main() -> tuple[object, object]:
        first, second, never = asyncio.Event(), asyncio.Event(), asyncio.Event()
        one = asyncio.ensure_future(transfer(1, first, second))
        await first.wait()
        two = asyncio.ensure_future(transfer(2, second, never))
        await asyncio.wait([one])
        never.set()
        outcomes: tuple[object, object] = await asyncio.gather(one, two, return_exceptions=True)
        await afinalize_db("r")
        return outcomes

    outcomes = asyncio.run(main())
    assert [type(outcome) for outcome in outcomes] == [errors.InterfaceError] * 2
    assert "test_overlapping_blocks.py" in str(outcomes[0])
    assert numbers_seen_by_others() == []


@pytest.mark.parametrize("kind", ["blocking"], indirect=True)
def test_threads_that_overlap_commit_nothing(configured: str) -> None:
    failures: list[BaseException] = []
    entered, left = threading.Event(), threading.Event()

    def inner() -> None:
        try:
            with db("r").transaction():
                insert(db("r"), 2)
                entered.set()
                left.wait(5)
                insert(db("r"), 3)
        except errors.InterfaceError as error:
            failures.append(error)

    thread = threading.Thread(target=inner)

    def outer() -> None:
        with db("r").transaction():
            insert(db("r"), 1)
            thread.start()
            entered.wait(5)

    with pytest.raises(errors.InterfaceError, match=r"test_overlapping_blocks\.py"):
        outer()
    left.set()
    thread.join()
    assert len(failures) == 1
    finalize_db("r")
    assert numbers_seen_by_others() == []


@pytest.mark.parametrize("kind", ["blocking"], indirect=True)
@pytest.mark.parametrize("granted", [False, True])
def test_a_task_cancelled_as_it_enters_a_block_leaves_none(configured: str, granted: bool) -> None:
    """Also where the block is open already, and only its task has not been stepped yet."""

    async def main() -> None:
        async with request_scope(), adb().transaction():
            await adb().execute("INSERT INTO numbers VALUES (1)")
            busy = asyncio.ensure_future(adb().query("SELECT pg_sleep(0.05)"))
            await asyncio.sleep(0)
            entering = adb().transaction().__aenter__()
            waits: Any = entering.send(None)  # its turn comes after the other's statement
            if granted:
                await busy
                while not waits.done():
                    await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                entering.throw(asyncio.CancelledError())
            await busy
            await adb().execute("INSERT INTO numbers VALUES (2)")

    asyncio.run(main())
    assert numbers_seen_by_others() == [1, 2]


@pytest.mark.parametrize("kind", ["blocking"], indirect=True)
@pytest.mark.parametrize("how", ["thrown", "forgotten"])
def test_a_task_cancelled_as_its_block_waits_to_end_is_rolled_back(
    configured: str, how: str
) -> None:
    async def main() -> None:
        async with request_scope():
            block = adb().transaction()
            await block.__aenter__()
            await adb().execute("INSERT INTO numbers VALUES (1)")
            busy = asyncio.ensure_future(adb().query("SELECT pg_sleep(0.05)"))
            await asyncio.sleep(0)
            leaving = block.__aexit__(None, None, None)
            if how == "thrown":
                leaving.send(None)
                with pytest.raises(asyncio.CancelledError):
                    leaving.throw(asyncio.CancelledError())
            del leaving
            await busy
            await adb().query("SELECT 1")
            assert adb().state == "rolled_back"

    asyncio.run(main())
    assert numbers_seen_by_others() == []


@pytest.mark.parametrize("kind", ["blocking"], indirect=True)
def test_the_block_of_run_is_named_by_the_place_that_called_run(configured: str) -> None:
    async def main() -> None:
        async with request_scope():
            with pytest.raises(errors.InterfaceError, match=r"test_overlapping_blocks\.py:\d+"):
                await adb().run(AsyncDbSession.commit)

    asyncio.run(main())
    place = pytest.raises(errors.InterfaceError, match=r"test_overlapping_blocks\.py:\d+")
    with request_scope(), place:
        database.db().run(DbSession.commit)
