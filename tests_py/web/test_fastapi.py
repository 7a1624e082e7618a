"""FastAPI and Starlette: errors that they answer, dependencies, background tasks, websockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware
from support import wait_until
from web.asgi_client import Answer, call, http_scope
from web.ledger import abort, committed, write

from hypern.database import AsyncDbSession, Database, DbSession, adb, db, scope
from hypern.errors import SessionClosed, TransactionAborted, UniqueViolation
from hypern.middleware.fastapi import (
    AsyncSession,
    DatabaseMiddleware,
    Session,
    async_session,
    session,
)

pytestmark = pytest.mark.usefixtures("ledger")


def as_it_is(session: Session) -> DbSession:
    """A dependency of a dependency."""
    return session


async def _pass_on(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    return await call_next(request)


@pytest.fixture(params=["alone", "with a function middleware inside", "with one outside"])
def app(request: pytest.FixtureRequest) -> FastAPI:
    app = FastAPI()
    if "inside" in request.param:
        app.add_middleware(BaseHTTPMiddleware, dispatch=_pass_on)
    app.add_middleware(DatabaseMiddleware)
    if "outside" in request.param:
        app.add_middleware(BaseHTTPMiddleware, dispatch=_pass_on)
    return app


def get(app: Any) -> Any:
    return asyncio.run(call(app, http_scope("/")))


def test_the_session_is_the_same_in_dependencies_handlers_and_what_they_call(app: FastAPI) -> None:
    @app.get("/")
    def handler(
        request: Request,
        session: Session,
        other: Annotated[DbSession, Depends(as_it_is)],
    ) -> None:
        assert write(1) is session is other is db() is db(request)

    @app.get("/async")
    async def coroutine(request: Request, session: Session) -> None:
        assert session is db() is db(request)

    assert get(app).status == 200
    assert asyncio.run(call(app, http_scope("/async"))).status == 200
    assert committed() == [1]


def test_a_dependency_may_name_another_alias(app: FastAPI, configured: str) -> None:
    Database.configure(configured, max_size=1, alias="other")

    @app.get("/")
    def handler(other: Annotated[DbSession, Depends(session("other"))]) -> str:
        return str(other.alias)

    assert get(app).body == b'"other"'


def test_coroutines_have_dependencies_that_are_awaited(app: FastAPI, configured: str) -> None:
    Database.configure(configured, max_size=1, alias="other")

    @app.get("/")
    async def handler(
        session: AsyncSession,
        other: Annotated[AsyncDbSession, Depends(async_session("other"))],
        fail: bool = False,
    ) -> list[str]:
        await session.begin()
        await session.execute("INSERT INTO ledger VALUES (1)")
        assert await adb().query_value("SELECT count(*) FROM ledger") == 1
        assert db().is_in_transaction
        if fail:
            raise HTTPException(409)
        return [session.alias, await other.query_value("SELECT 'answered'")]

    scope = http_scope("/")
    scope["query_string"] = b"fail=true"
    assert asyncio.run(call(app, scope)).status == 409
    assert committed() == []
    assert get(app).body == b'["default","answered"]'
    assert committed() == [1]


@pytest.mark.parametrize("status", [400, 404, 409])
def test_an_http_exception_rolls_back(app: FastAPI, status: int) -> None:
    @app.get("/")
    def handler() -> None:
        write(1)
        raise HTTPException(status)

    assert get(app).status == status
    assert committed() == []


def test_an_exception_with_a_handler_of_its_own_rolls_back(app: FastAPI) -> None:
    @app.exception_handler(LookupError)
    def answer(request: Request, error: LookupError) -> JSONResponse:
        return JSONResponse({}, 422)

    @app.get("/")
    def handler() -> None:
        write(1)
        raise LookupError

    assert get(app).status == 422
    assert committed() == []


def test_a_commit_that_fails_is_a_500_of_the_application(app: FastAPI) -> None:
    told: list[Exception] = []
    ran: list[int] = []

    @app.exception_handler(500)
    def answer(request: Request, error: Exception) -> JSONResponse:
        told.append(error)
        return JSONResponse({"error": "sorry"}, 500)

    @app.get("/")
    def handler(tasks: BackgroundTasks) -> None:
        write(1)
        write(1)
        tasks.add_task(ran.append, 1)

    async def run() -> list[Any]:
        messages: list[Any] = []
        with pytest.raises(UniqueViolation):  # Starlette raises it for the server's log too
            await call(app, http_scope("/"), messages.append)
        return messages

    messages = asyncio.run(run())
    assert [m.get("status") for m in messages] == [500, None]
    assert messages[1]["body"] == b'{"error":"sorry"}'
    assert [type(error) for error in told] == [UniqueViolation]
    assert (committed(), ran) == ([], [])


@pytest.mark.parametrize("status", [400, 409, 500, 503])
@pytest.mark.parametrize("raises", [True, False], ids=["raised", "returned"])
def test_an_error_over_an_aborted_transaction_is_passed_on_as_it_is(
    app: FastAPI, status: int, raises: bool
) -> None:
    @app.get("/")
    def handler() -> JSONResponse:
        abort()
        if raises:
            raise HTTPException(status, "why")
        return JSONResponse({"detail": "why"}, status)

    answer = get(app)
    assert (answer.status, answer.body) == (status, b'{"detail":"why"}')
    assert (Database.status().in_use, committed()) == (0, [])


@pytest.mark.parametrize("status", [200, 201, 302])
def test_a_success_over_an_aborted_transaction_is_a_500(app: FastAPI, status: int) -> None:
    @app.get("/")
    def handler() -> JSONResponse:
        abort()
        return JSONResponse("done", status)

    answer = Answer()
    with pytest.raises(TransactionAborted):  # Starlette raises it for the server's log too
        asyncio.run(call(app, http_scope("/"), answer=answer))
    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    assert (Database.status().in_use, committed()) == (0, [])


def test_background_tasks_have_a_scope_of_their_own(app: FastAPI) -> None:
    ids: list[str] = []
    seen: list[list[int]] = []

    def later(request: Request) -> None:
        seen.append(committed())
        assert db(request) is db()
        ids.append(write(2).request_id)

    @app.get("/")
    def handler(request: Request, tasks: BackgroundTasks) -> None:
        ids.append(write(1).request_id)
        tasks.add_task(later, request)

    assert get(app).status == 200
    assert (seen, committed(), len(set(ids))) == ([[1]], [1, 2], 2)


def test_a_session_object_that_a_background_task_kept_is_closed(app: FastAPI) -> None:
    outcome: list[object] = []

    def later(session: DbSession) -> None:
        try:
            session.execute("SELECT 1")
        except SessionClosed as error:
            outcome.append(error)

    @app.get("/")
    def handler(session: Session, tasks: BackgroundTasks) -> None:
        tasks.add_task(later, session)

    get(app)
    assert len(outcome) == 1


def test_a_stream_may_query_after_the_commit(app: FastAPI) -> None:
    @app.get("/")
    def handler(session: Session) -> StreamingResponse:
        write(1)

        def body() -> Iterator[str]:
            assert db() is session
            # A function middleware lets the body begin while it passes the response's head on.
            wait_until(lambda: committed() == [1])
            yield str(committed())
            write(2)

        return StreamingResponse(body())

    assert get(app).body == b"[1]"
    assert committed() == [1, 2]


def test_the_specifications_dependency_arguments_are_not_the_clients(app: FastAPI) -> None:
    @app.get("/")
    def handler(session: Session) -> str:
        return str(session.alias)

    scope = http_scope("/")
    scope["query_string"] = b"alias=other&ctx_or_request_id=someone"
    assert asyncio.run(call(app, scope)).body == b'"default"'


def test_server_sent_events_that_open_a_scope_for_each_look(app: FastAPI) -> None:
    """The stream of docs/frameworks/fastapi.md: it holds no connection between two looks."""

    @app.get("/")
    async def events(session: AsyncSession) -> StreamingResponse:
        await session.execute("INSERT INTO ledger VALUES (0)")
        await session.release()
        assert Database.status().in_use == 0

        async def body() -> AsyncIterator[str]:
            last = -1
            while last < 3:
                async with scope():
                    rows = await adb().query("SELECT n FROM ledger WHERE n > $1 ORDER BY n", [last])
                assert Database.status().in_use == 0
                for row in rows:
                    last = row["n"]
                    yield f"data: {last}\n\n"
                async with scope():
                    await adb().execute("INSERT INTO ledger VALUES ($1)", [last + 1])

        return StreamingResponse(body(), media_type="text/event-stream")

    assert get(app).body == b"data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\n"
