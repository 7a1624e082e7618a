"""The ASGI middleware, without a framework: when sessions end, and what becomes of failures."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from web.asgi_client import Answer, Scope, call, http_scope, produced, respond, whole
from web.ledger import abort, committed, write

from hypern.database import Database, DbSession, db, finalize_db
from hypern.errors import InterfaceError, TransactionAborted, UniqueViolation
from hypern.middleware.asgi import ASGIApp, DatabaseMiddleware, Message, Receive, Send

pytestmark = pytest.mark.usefixtures("ledger")


def test_a_success_is_committed_and_released_before_the_first_byte() -> None:
    seen: list[Any] = []

    def look(message: Message) -> None:
        seen.append((message["type"], committed(), Database.status().in_use))

    answer = asyncio.run(call(DatabaseMiddleware(whole(200, lambda: write(1))), on_send=look))
    assert (answer.status, answer.body, answer.complete) == (200, b"done", True)
    assert seen == [("http.response.start", [1], 0), ("http.response.body", [1], 0)]


def test_an_exception_rolls_back_and_passes_on() -> None:
    def fail() -> None:
        write(1)
        raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        asyncio.run(call(DatabaseMiddleware(whole(200, fail))))
    assert committed() == []


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_base_exception_rolls_back(error: type[BaseException]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        write(1)
        raise error

    async def run() -> None:
        with pytest.raises(error):
            await call(DatabaseMiddleware(app))

    asyncio.run(run())
    assert committed() == []


@pytest.mark.parametrize(
    ("status", "kept"), [(200, [1]), (302, [1]), (400, []), (404, []), (500, [])]
)
def test_a_status_from_400_rolls_back_what_is_open(status: int, kept: list[int]) -> None:
    assert asyncio.run(call(DatabaseMiddleware(whole(status, lambda: write(1))))).status == status
    assert committed() == kept


@pytest.mark.parametrize(
    ("rollback_on", "kept"), [((), [1]), (range(500, 600), [1]), ({404}, []), (range(200, 600), [])]
)
def test_rollback_on_changes_that_rule(rollback_on: Any, kept: list[int]) -> None:
    app = DatabaseMiddleware(whole(404, lambda: write(1)), rollback_on=rollback_on)
    asyncio.run(call(app))
    assert committed() == kept


def test_an_explicit_commit_stands_whatever_the_status() -> None:
    asyncio.run(call(DatabaseMiddleware(whole(404, lambda: write(1).commit()))))
    assert committed() == [1]


def test_auto_commit_off_rolls_back() -> None:
    asyncio.run(call(DatabaseMiddleware(whole(200, lambda: write(1).set_auto_commit(False)))))
    assert committed() == []


def test_on_commit_runs_once_commit_has_succeeded_and_never_on_rollback() -> None:
    sent: list[int] = []

    def work() -> None:
        write(1).on_commit(lambda: sent.extend(committed()))

    asyncio.run(call(DatabaseMiddleware(whole(400, work))))
    assert sent == []
    asyncio.run(call(DatabaseMiddleware(whole(200, work))))
    assert sent == [1]


@pytest.mark.parametrize("app", [whole(200, lambda: write(1)), produced(lambda: write(1))])
def test_a_commit_that_fails_is_raised_before_anything_is_sent(app: Any) -> None:
    write(1, db("before")).commit()
    answer = Answer()
    with pytest.raises(UniqueViolation):
        asyncio.run(call(DatabaseMiddleware(app), answer=answer))
    assert answer.messages == []
    assert committed() == [1]
    finalize_db("before")


@pytest.mark.parametrize("app", [whole(200, abort), produced(abort)])
def test_a_success_over_an_aborted_transaction_is_a_failure(app: Any) -> None:
    answer = Answer()
    with pytest.raises(TransactionAborted):
        asyncio.run(call(DatabaseMiddleware(app), answer=answer))
    assert answer.messages == []


@pytest.mark.parametrize("rollback_on", [range(400, 600), range(500, 600), ()])
def test_an_error_over_an_aborted_transaction_is_passed_on(rollback_on: Any) -> None:
    app = DatabaseMiddleware(whole(409, abort), rollback_on=rollback_on)
    assert asyncio.run(call(app)).status == 409
    assert committed() == []


def answers_failures(status: int) -> ASGIApp:
    """An application that answers a commit that failed with a response of its own."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await whole(200, abort)(scope, receive, send)
        except TransactionAborted:
            await respond(send, status, b"sorry")

    return app


def test_the_application_may_answer_a_failed_commit_with_an_error_but_not_with_a_success() -> None:
    answer = asyncio.run(call(DatabaseMiddleware(answers_failures(500))))
    assert (answer.status, answer.body) == (500, b"sorry")
    with pytest.raises(TransactionAborted):
        asyncio.run(call(DatabaseMiddleware(answers_failures(200))))


def test_an_application_that_hides_a_failed_commit_has_it_raised_all_the_same() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await whole(200, abort)(scope, receive, send)
        except TransactionAborted as error:
            raise RuntimeError("response already started") from error

    with pytest.raises(TransactionAborted):
        asyncio.run(call(DatabaseMiddleware(app)))


def test_a_cancelled_request_rolls_back_and_the_cancellation_arrives() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        write(1)
        await asyncio.sleep(60)

    async def run() -> None:
        task = asyncio.create_task(call(DatabaseMiddleware(app)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert committed() == []


def test_a_coroutine_that_its_loop_drops_rolls_back() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        write(1)
        await asyncio.Event().wait()

    async def run() -> Any:
        coroutine = call(DatabaseMiddleware(app))
        coroutine.send(None)
        return coroutine

    asyncio.run(run()).close()
    assert committed() == []


def test_a_handler_thread_that_outlives_its_request_finds_its_scope_closed() -> None:
    outcome: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(slow)

    def slow() -> None:
        session = write(1)
        for use in (lambda: session.execute("SELECT pg_sleep(30)"), db):
            try:
                outcome.append(use())
            except Exception as error:
                outcome.append(type(error).__name__)

    async def run() -> None:
        task = asyncio.create_task(call(DatabaseMiddleware(app)))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert outcome == ["QueryCanceled", "SessionClosed"]
    assert committed() == []


def test_the_request_is_current_in_functions_tasks_and_threads() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = db()
        assert db(scope) is session
        assert db(SimpleNamespace(scope=scope, request_id="the client's")) is session
        assert await asyncio.to_thread(db) is session
        assert await asyncio.create_task(_adb()) is session
        await respond(send, 204, b"")

    async def _adb() -> DbSession:
        return db()

    asyncio.run(call(DatabaseMiddleware(app)))
    with pytest.raises(InterfaceError, match="no request is current"):
        db()


def test_ids_are_unique_whatever_the_client_sends() -> None:
    ids: list[str] = []

    def app_with(work: Callable[[], object]) -> DatabaseMiddleware:
        return DatabaseMiddleware(whole(200, work))

    async def run() -> None:
        app = app_with(lambda: ids.append(db().request_id))
        for _ in range(3):
            await call(app, http_scope(headers={"X-Request-ID": "the same"}))

    asyncio.run(run())
    assert len(set(ids)) == 3
    assert all("the same" not in request_id for request_id in ids)


def test_a_second_middleware_further_in_leaves_the_request_to_the_first() -> None:
    app = DatabaseMiddleware(DatabaseMiddleware(whole(200, lambda: write(1)), rollback_on=()))
    asyncio.run(call(app))
    assert committed() == [1]


def test_a_request_without_a_session_loads_no_core() -> None:
    code = """
import asyncio
from web.asgi_client import call, whole
from hypern import _native
from hypern.database import Database
from hypern.middleware.asgi import DatabaseMiddleware
Database.configure("postgresql://nobody@/nowhere?host=/nonexistent")
assert asyncio.run(call(DatabaseMiddleware(whole(200, bool)))).status == 200
assert not _native.core_loaded()
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)


@pytest.mark.parametrize(
    ("options", "error"), [({"rollback_on": 500}, TypeError), ({"finalize": "late"}, ValueError)]
)
def test_options_that_cannot_work_are_refused(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        DatabaseMiddleware(whole(200, bool), **options)
