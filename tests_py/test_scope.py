"""Which request an argument of db() means, and that a scope's end is final. No server needed:
sessions are opened and never connect."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from either import db, finalize_db

from hypern import _native
from hypern.database import AsyncDbSession, Database, DbSession, adb, scope
from hypern.database import db as blocking_db
from hypern.errors import ConfigurationError, InterfaceError, SessionClosed
from hypern.scope.identify import SCOPE_KEY
from hypern.scope.scope import GENERATED, Scope, open_scope

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    Database.close()
    Database.configure("postgresql://nobody@/nowhere?host=/nonexistent")
    Database.configure("postgresql://nobody@/nowhere?host=/nonexistent", alias="other")
    yield
    Database.close()


def test_the_same_id_and_alias_give_the_same_session() -> None:
    for opens, cls in ((blocking_db, DbSession), (adb, AsyncDbSession)):
        assert isinstance(opens("r1"), cls)
        assert opens("r1") is opens("r1")
    session = db("r1")
    assert db("r1") == session
    assert db("r1", alias="default") == session
    assert db("r1", alias="other") != session
    assert db("r2") != session
    assert (session.request_id, session.alias, session.state) == ("r1", "default", "idle")
    finalize_db("r1")
    finalize_db("r2")


def test_an_object_with_a_request_id_means_that_request() -> None:
    assert db(SimpleNamespace(request_id="r3")) == db("r3")
    finalize_db(SimpleNamespace(request_id="r3"))


@pytest.mark.parametrize("attribute", ["scope", "environ", "META"])
def test_a_request_that_carries_the_key_means_that_scope_whatever_its_request_id(
    attribute: str,
) -> None:
    with scope() as current:
        request = SimpleNamespace(request_id="from a header", **{attribute: {SCOPE_KEY: current}})
        assert db(request) == db()
        assert db({SCOPE_KEY: current}) == db()
    with pytest.raises(SessionClosed):
        db(request)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        pytest.param(object(), id="an object"),
        7,
        b"r1",
        {},
        [],
        SimpleNamespace(request_id=7),
        SimpleNamespace(scope={}),
    ],
    ids=repr,
)
def test_anything_else_is_a_type_error_that_says_what_to_pass(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"request id \(str\)"):
        db(wrong)
    with pytest.raises(TypeError, match=r"request id \(str\)"):
        finalize_db(wrong)


def test_an_empty_id_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        db("")
    with pytest.raises(ValueError, match="empty"):
        scope("")
    with pytest.raises(TypeError):
        scope(7)  # type: ignore[arg-type]


def test_no_argument_outside_a_scope_names_middleware_and_scope() -> None:
    for call in (db, finalize_db):
        with pytest.raises(InterfaceError, match=r"DatabaseMiddleware.*scope\(\)"):
            call()


def test_an_unknown_alias_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match='"default", "other"'):
        db("r4", alias="missing")


def test_a_scope_is_current_inside_and_closed_after() -> None:
    with scope() as current:
        session = db()
        assert session == db(current)
        assert session == db(current.request_id)
        assert session.request_id == current.request_id
    assert session.state == "closed"
    for argument in (current, current.request_id, SimpleNamespace(request_id=current.request_id)):
        with pytest.raises(SessionClosed, match="has ended"):
            db(argument)
        finalize_db(argument)  # nothing left to do is fine


def test_an_id_that_the_user_names_opens_anew() -> None:
    with scope("job-7") as current:
        first = db()
        assert first == db("job-7")
    assert first.state == "closed"
    second = db("job-7")
    assert second != first
    finalize_db("job-7")
    with pytest.raises(SessionClosed):
        db(current)


def test_unnamed_scopes_have_ids_of_their_own() -> None:
    assert len({scope().request_id for _ in range(1000)}) == 1000


def test_scopes_nest() -> None:
    with scope("outer") as outer:
        with scope("inner"):
            assert db().request_id == "inner"
        assert db().request_id == "outer"
        assert not outer.ended


def test_a_scope_is_entered_once_and_not_within_itself() -> None:
    current = scope("once")
    with pytest.raises(InterfaceError, match="not been entered"):
        db(current)
    with current, pytest.raises(InterfaceError, match="already"), current:
        pass
    with scope("twice"), scope(), pytest.raises(InterfaceError, match="around"), scope("twice"):
        pass


def test_the_end_of_a_scope_finalizes_every_alias() -> None:
    with scope("all") as current:
        sessions = [db(), db(alias="other")]
        assert len(_native.sessions("all", None)) == 2
    assert [session.state for session in sessions] == ["closed", "closed"]
    assert _native.sessions("all", None) == []
    assert current.ended


def test_an_exception_passes_through_and_the_scope_ends() -> None:
    def fail() -> None:
        with scope("fails"):
            sessions.append(db())
            raise ZeroDivisionError

    sessions: list[DbSession] = []
    with pytest.raises(ZeroDivisionError):
        fail()
    assert sessions[0].state == "closed"


def test_finalize_without_sessions_is_fine() -> None:
    finalize_db("never seen")
    finalize_db("never seen", alias="other")
    with scope():
        finalize_db()


def test_finalize_of_one_alias_leaves_the_others() -> None:
    with scope("partly"):
        first, second = db(), db(alias="other")
        finalize_db(alias="other")
        assert second.state == "closed"
        assert db() == first


def test_a_thread_that_outlives_its_scope_cannot_open_a_session() -> None:
    ended = threading.Event()
    outcome: list[object] = []

    def late() -> None:
        ended.wait(10)
        try:
            outcome.append(db())
        except SessionClosed as error:
            outcome.append(error)

    with scope():
        thread = threading.Thread(target=contextvars.copy_context().run, args=(late,))
        thread.start()
    ended.set()
    thread.join()
    assert isinstance(outcome[0], SessionClosed)


def test_a_scope_that_ends_while_a_session_opens_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hypern.pool import registry

    real = registry.open_session
    with scope("race") as current:

        def slow(alias: str, request_id: str) -> DbSession:
            session = real(alias, request_id)
            current.ended = True  # as another thread would, at the worst moment
            return session

        monkeypatch.setattr(registry, "open_session", slow)
        with pytest.raises(SessionClosed):
            db()
        assert _native.sessions("race", None) == []


def test_an_async_scope_is_current_in_its_tasks_and_to_thread() -> None:
    async def main() -> None:
        async with scope() as current:
            session = db()
            assert await asyncio.to_thread(db) == session
            assert await asyncio.create_task(child()) == session
        assert session.state == "closed"
        with pytest.raises(SessionClosed):
            db(current)
        with pytest.raises(InterfaceError):
            db()

    async def child() -> DbSession:
        return db()

    asyncio.run(main())


def test_concurrent_tasks_have_scopes_of_their_own() -> None:
    async def one() -> tuple[str, str]:
        async with scope():
            before = db().request_id
            await asyncio.sleep(0.01)
            return before, db().request_id

    async def main() -> None:
        results = await asyncio.gather(*(one() for _ in range(20)))
        assert len({before for before, _ in results}) == 20
        assert all(before == after for before, after in results)

    asyncio.run(main())


def test_a_scope_left_in_another_context_still_ends() -> None:
    current = scope()
    contextvars.copy_context().run(current.__enter__)
    session = db(current)
    current.__exit__(None, None, None)
    assert current.ended
    assert session.state == "closed"


def test_a_forked_child_keeps_the_current_scope() -> None:
    with scope("forked") as current:
        pid = os.fork()
        if pid == 0:
            # Only Python's own state is looked at here: what the core does after a fork is tested
            # with processes of their own.
            from hypern.scope.identify import CURRENT, identify

            os._exit(0 if identify(CURRENT) == ("forked", current) else 1)
        assert os.waitpid(pid, 0)[1] == 0


def test_a_forked_child_generates_ids_of_its_own() -> None:
    Scope()  # the parent has random bytes at hand
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, " ".join(Scope().request_id for _ in range(40)).encode())
        os._exit(0)
    os.close(writing)
    mine = {Scope().request_id for _ in range(40)}
    with open(reading, "rb") as pipe:
        theirs = set(pipe.read().decode().split())
    assert os.waitpid(pid, 0)[1] == 0
    assert len(mine) == len(theirs) == 40
    assert mine.isdisjoint(theirs)


def test_the_end_of_a_scope_leaves_the_options_of_another_with_its_id() -> None:
    first, second = scope("twin", label="one"), scope("twin", label="two")
    contextvars.copy_context().run(first.__enter__)
    contextvars.copy_context().run(second.__enter__)
    first.__exit__(None, None, None)
    assert db("twin").label == "two"
    second.__exit__(None, None, None)
    assert open_scope("twin") is None


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (7, TypeError),
        ("", ValueError),
        (f"{GENERATED}x", ValueError),
        (f"{GENERATED}é", ValueError),
    ],
)
def test_a_given_id_is_a_str_that_no_scope_generates(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="request_id must"):
        scope(wrong)


def test_an_id_is_an_exact_str() -> None:
    class Named(str):
        __slots__ = ()

    assert type(scope(Named("näme")).request_id) is str
    assert scope(Named("näme")).request_id == "näme"


def test_a_scope_that_is_only_referenced_by_itself_ends() -> None:
    class Carrier(Scope):
        __slots__ = ("itself",)

    current = Carrier()
    current.itself = current  # type: ignore[attr-defined]
    current.open()
    request_id, session = current.request_id, db(current)
    del current
    gc.collect()
    assert open_scope(request_id) is None
    assert session.state == "closed"


def test_a_scope_shows_what_became_of_it() -> None:
    current = Scope("shown")
    assert repr(current) == "<hypern scope 'shown', new>"
    with current:
        assert repr(current) == "<hypern scope 'shown', open>"
    assert repr(current) == "<hypern scope 'shown', ended>"
