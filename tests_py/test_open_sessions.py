"""Which open session a request id and an alias mean. No server needed: sessions never connect."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Iterator

import pytest

from hypern import _native
from hypern.database import Database, DbSession, db, finalize_db, scope

ALIASES = ("default", "second", "third")


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    Database.close()
    for alias in ALIASES:
        Database.configure("postgresql://nobody@/nowhere?host=/nonexistent", alias=alias)
    yield
    Database.close()


def open_of(request_id: str, alias: str | None = None) -> list[DbSession]:
    return _native.sessions(request_id, alias)


@pytest.mark.parametrize("order", list(itertools.permutations(ALIASES)))
def test_whichever_session_of_a_request_ends_the_others_are_found(order: tuple[str, ...]) -> None:
    sessions = {alias: db("several", alias) for alias in ALIASES}
    assert open_of("several") == list(sessions.values())
    for alias in order:
        assert open_of("several", alias) == [sessions[alias]]
        finalize_db("several", alias)
        del sessions[alias]
        assert open_of("several") == list(sessions.values())
        assert open_of("several", alias) == []
        assert all(db("several", other) is session for other, session in sessions.items())


def test_a_session_that_is_finalized_twice_takes_no_other_with_it() -> None:
    first, second = db("twice"), db("twice", "second")
    first._finalize(0.0)
    fresh = db("twice")
    first._finalize(0.0)
    assert fresh is not first
    assert open_of("twice") == [second, fresh]
    finalize_db("twice")


def test_ids_are_compared_by_their_text_whatever_a_subclass_says() -> None:
    class Odd(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            return False

    class Unhashable(str):
        __hash__ = None  # type: ignore[assignment]

    assert db(Odd("text")) is db("text") is db(Unhashable("text"))
    assert db(Unhashable("other")) is not db("text")
    finalize_db(Odd("text"))
    finalize_db("other")
    assert open_of("text") == open_of("other") == []


def test_a_session_opened_by_a_finalizer_while_the_same_is_being_opened_is_the_one() -> None:
    opened: list[DbSession] = []

    def collect(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and not opened:
            opened.append(db("collected"))

    enough = 100  # objects, to have a collection begin where one of a session is made
    for allocations in range(enough):
        opened.clear()
        gc.collect()
        gc.callbacks.append(collect)
        threshold = gc.get_threshold()
        gc.set_threshold(allocations + 1)
        try:
            session = db("collected")
        finally:
            gc.set_threshold(*threshold)
            gc.callbacks.remove(collect)
        assert opened in ([], [session])
        assert open_of("collected") == [session]
        finalize_db("collected")


def test_a_forked_child_knows_none_of_its_parents_sessions() -> None:
    with scope("forked"):
        sessions = [db(), db(alias="second")]
        pid = os.fork()
        if pid == 0:
            fine = open_of("forked") == [] and db() not in sessions
            os._exit(0 if fine and len(open_of("forked")) == 1 else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert open_of("forked") == sessions


def test_what_is_no_id_and_no_alias_is_refused() -> None:
    for arguments in ((), ("id",), (b"id", None), ("id", b"alias"), ("id", None, None)):
        with pytest.raises(TypeError):
            _native.sessions(*arguments)
