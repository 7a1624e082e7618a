"""The ASGI middleware: bodies that are produced while they are sent, and what follows them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from web.asgi_client import Answer, Scope, call, http_scope, produced, whole
from web.ledger import DUPLICATES, committed, leave_stream, write

from hypern.database import adb, db
from hypern.errors import SessionClosed, UniqueViolation
from hypern.middleware.asgi import DatabaseMiddleware, Message, Receive, Send

pytestmark = pytest.mark.usefixtures("ledger")


def test_a_produced_body_may_query_and_its_transactions_are_committed_before_the_first_byte() -> (
    None
):
    seen: list[Any] = []

    def query() -> None:
        seen.append(db().query_value("SELECT count(*) FROM ledger"))
        write(2)

    def look(message: Message) -> None:
        seen.append(committed())

    asyncio.run(call(DatabaseMiddleware(produced(lambda: write(1), query)), on_send=look))
    # start, first part, end: what the body wrote is committed before the last part.
    assert seen == [[1], 1, [1], [1, 2]]


async def awaited(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that leaves an awaited stream early and then produces its body."""
    async for _ in adb().stream(DUPLICATES, chunk_rows=1):
        break
    await produced(bool)(scope, receive, send)


@pytest.mark.parametrize(
    "app",
    [
        DatabaseMiddleware(whole(200, leave_stream)),
        DatabaseMiddleware(produced(leave_stream)),
        DatabaseMiddleware(produced(leave_stream), finalize="start"),
        DatabaseMiddleware(awaited),
    ],
)
def test_a_stream_left_early_whose_commit_fails_is_raised_before_anything_is_sent(app: Any) -> None:
    answer = Answer()
    with pytest.raises(UniqueViolation):
        asyncio.run(call(app, answer=answer))
    assert answer.messages == []
    assert committed() == []


def test_a_stream_left_early_is_committed_before_the_first_byte_of_a_produced_body() -> None:
    seen: list[Any] = []
    sql = "INSERT INTO ledger SELECT generate_series(1, 3) RETURNING n"
    app = produced(lambda: leave_stream(sql), lambda: seen.append(committed()))
    asyncio.run(call(DatabaseMiddleware(app)))
    assert seen == [[1, 2, 3]]


def test_a_body_whose_own_commit_fails_is_cut_short() -> None:
    answer = Answer()
    app = DatabaseMiddleware(produced(lambda: write(1), lambda: write(1)))
    with pytest.raises(UniqueViolation):
        asyncio.run(call(app, answer=answer))
    assert (answer.status, answer.complete) == (200, False)
    assert committed() == [1]


def test_finalize_start_ends_the_sessions_of_a_produced_body_too() -> None:
    app = produced(lambda: write(1), lambda: db())
    with pytest.raises(SessionClosed):
        asyncio.run(call(DatabaseMiddleware(app, finalize="start")))
    assert committed() == [1]


def test_finalize_end_keeps_the_transaction_until_the_body_has_been_produced() -> None:
    seen: list[Any] = []
    app = produced(lambda: write(1), lambda: seen.append((committed(), db().is_in_transaction)))
    asyncio.run(call(DatabaseMiddleware(app, finalize="end")))
    assert seen == [([], True)]
    assert committed() == [1]


def test_an_exception_in_a_produced_body_rolls_back_what_the_body_did() -> None:
    def fail() -> None:
        write(2)
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(call(DatabaseMiddleware(produced(lambda: write(1), fail))))
    assert committed() == [1]


def test_a_response_that_is_not_completed_rolls_back() -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        write(1)

    asyncio.run(call(DatabaseMiddleware(silent)))
    assert committed() == []


def test_a_client_that_goes_away_while_the_body_is_sent_rolls_back() -> None:
    def gone(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError("the client has gone")

    app = DatabaseMiddleware(produced(lambda: write(1), lambda: write(2)))
    with pytest.raises(OSError, match="gone"):
        asyncio.run(call(app, on_send=gone))
    assert committed() == [1]


def test_what_runs_after_the_response_has_a_scope_of_its_own() -> None:
    seen: list[Any] = []
    scope = http_scope()
    ids: list[str] = []

    def handler() -> None:
        ids.append(write(1).request_id)

    def after() -> None:
        seen.append(committed())
        session = write(2)
        ids.append(session.request_id)
        assert db(scope) is session

    asyncio.run(call(DatabaseMiddleware(produced(handler, after=after)), scope))
    assert (seen, committed()) == ([[1]], [1, 2])
    assert ids[0] != ids[1]
    for request_id in ids:
        with pytest.raises(SessionClosed):
            db(request_id)
    with pytest.raises(SessionClosed):
        db(scope)


def test_what_runs_after_the_response_and_raises_rolls_back_only_its_own() -> None:
    def after() -> None:
        write(2)
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(call(DatabaseMiddleware(produced(lambda: write(1), after=after))))
    assert committed() == [1]
