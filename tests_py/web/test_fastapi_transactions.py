"""FastAPI's dependencies with yield: a transaction() block around the handler, in every usual form.

FastAPI resumes such a dependency after the response has been sent (scope "request", the default
since 0.118) or before it is (scope "function", and versions up to 0.117).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware
from support import wait_until
from web.asgi_client import Answer, call, http_scope
from web.ledger import committed
from web.serving import Client, serving

from hypern.database import AsyncDbSession, Database, DbSession, adb, db, scope
from hypern.errors import InterfaceError, UniqueViolation
from hypern.middleware.fastapi import (
    AsyncSession,
    DatabaseMiddleware,
    Session,
    async_transaction,
    transaction,
)

pytestmark = pytest.mark.usefixtures("ledger")


def usual(session: Session) -> Iterator[DbSession]:
    with session.transaction():
        yield session


async def usual_awaited(session: AsyncSession) -> AsyncIterator[AsyncDbSession]:
    async with session.transaction():
        yield session


async def blocking_on_the_loop(session: Session) -> AsyncIterator[DbSession]:
    with session.transaction() as inside:
        yield inside


@contextmanager
def _helper(session: DbSession) -> Iterator[None]:
    with session.transaction(isolation="serializable"):
        yield


def by_a_helper(session: Session) -> Iterator[DbSession]:
    with _helper(session):
        yield session


@asynccontextmanager
async def _async_helper(session: AsyncDbSession) -> AsyncIterator[None]:
    async with session.transaction():
        yield


async def by_an_awaited_helper(session: AsyncSession) -> AsyncIterator[AsyncDbSession]:
    async with _async_helper(session):
        yield session


def by_a_stack(session: Session) -> Iterator[DbSession]:
    with ExitStack() as stack:
        yield stack.enter_context(session.transaction())


def nested(session: Session) -> Iterator[DbSession]:
    with session.transaction(), session.transaction():
        yield session


FORMS: list[Callable[..., Any]] = [
    transaction(),
    async_transaction(),
    usual,
    usual_awaited,
    blocking_on_the_loop,
    by_a_helper,
    by_an_awaited_helper,
    by_a_stack,
    nested,
]
NAMES = ["Transaction", "AsyncTransaction", *(form.__name__ for form in FORMS[2:])]


@pytest.fixture(params=["request", "function"])
def resumed(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=FORMS, ids=NAMES)
def form(request: pytest.FixtureRequest, resumed: Any) -> Any:
    """A dependency, resumed after the response or before it."""
    return Depends(request.param, scope=resumed)


async def _pass_on(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    return await call_next(request)


@pytest.fixture(params=["alone", "with a function middleware"])
def app(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[FastAPI]:
    """An application. No test of this file may leave a line in the log, or a held connection."""
    app = FastAPI()
    if request.param != "alone":
        app.add_middleware(BaseHTTPMiddleware, dispatch=_pass_on)
    app.add_middleware(DatabaseMiddleware)
    caplog.set_level(logging.DEBUG, logger="hypern")
    yield app
    assert [record.getMessage() for record in caplog.records if record.name == "hypern"] == []
    wait_until(lambda: Database.status().in_use == 0)


async def write(session: Any, *numbers: int) -> None:
    """Insert numbers through a session of either kind."""
    for n in numbers:
        done = session.execute("INSERT INTO ledger VALUES ($1)", [n])
        if not isinstance(done, int):
            await done


def get(app: FastAPI, answer: Answer | None = None) -> Answer:
    """Make a request; what others see when the response starts must be all that there will be."""
    seen: list[list[int]] = []

    def look(message: Any) -> None:
        if message["type"] == "http.response.start":
            seen.append(committed())

    answered = asyncio.run(call(app, http_scope("/"), look, answer))
    assert seen == [committed()]
    return answered


def test_it_is_committed_before_the_response(app: FastAPI, form: Any) -> None:
    @app.get("/")
    async def handler(session: Any = form) -> str:
        assert session.is_in_transaction
        await write(session, 1, 2)
        return str(session.alias)

    for _ in range(2):
        assert get(app).status == 200
        assert committed() == [1, 2]
        with scope():
            db().execute("DELETE FROM ledger")


def test_a_handler_that_raises_after_two_inserts_leaves_none(app: FastAPI, form: Any) -> None:
    @app.get("/")
    async def handler(session: Any = form) -> None:
        await write(session, 1, 2)
        raise LookupError("undone")

    with pytest.raises(LookupError):
        asyncio.run(call(app, http_scope("/")))
    assert committed() == []


def test_an_http_exception_leaves_none(app: FastAPI, form: Any) -> None:
    @app.get("/")
    async def handler(session: Any = form) -> None:
        await write(session, 1, 2)
        raise HTTPException(409)

    assert get(app).status == 409
    assert committed() == []


def test_an_exception_that_is_answered_with_a_success_leaves_none(app: FastAPI, form: Any) -> None:
    @app.exception_handler(LookupError)
    def answer(request: Request, error: LookupError) -> JSONResponse:
        return JSONResponse("all is well", 200)

    @app.get("/")
    async def handler(session: Any = form) -> None:
        await write(session, 1, 2)
        raise LookupError

    assert get(app).status == 200
    assert committed() == []


def test_a_failed_commit_is_a_500(app: FastAPI, form: Any) -> None:
    @app.get("/")
    async def handler(session: Any = form) -> None:
        await write(session, 1, 1)

    answer = Answer()
    with pytest.raises(UniqueViolation):
        get(app, answer)
    assert answer.status == 500
    assert committed() == []


def test_a_savepoint_inside_is_rolled_back_alone(app: FastAPI, form: Any) -> None:
    @app.get("/")
    async def handler(session: Any = form) -> None:
        await write(session, 1)
        try:
            async with adb().transaction():
                await write(session, 2)
                raise LookupError
        except LookupError:
            pass

    assert get(app).status == 200
    assert committed() == [1]


READY = [Depends(f, scope="function") for f in FORMS[:2]]


@pytest.mark.parametrize(
    "form",
    [*(Depends(f) for f in FORMS), *READY],
    ids=[*NAMES, *(f"{name}, resumed early" for name in NAMES[:2])],
)
def test_a_status_that_stands_for_a_failure_rolls_back(app: FastAPI, form: Any) -> None:
    @app.get("/")
    async def handler(session: Any = form) -> JSONResponse:
        await write(session, 1, 2)
        return JSONResponse({}, 422)

    assert get(app).status == 422
    assert committed() == []


@pytest.mark.parametrize("form", [Depends(f) for f in FORMS], ids=NAMES)
def test_a_session_that_is_marked_rolls_back(app: FastAPI, form: Any) -> None:
    @app.get("/")
    async def handler(session: Any = form) -> None:
        await write(session, 1)
        session.set_error()

    assert get(app).status == 200
    assert committed() == []


@pytest.mark.parametrize("form", [Depends(f) for f in FORMS], ids=NAMES)
def test_what_the_handler_wrote_is_committed_before_its_stream(app: FastAPI, form: Any) -> None:
    @app.get("/")
    async def handler(session: Any = form) -> StreamingResponse:
        await write(session, 1)

        async def body() -> AsyncIterator[str]:
            # A function middleware lets the body begin while it passes the response's head on.
            await asyncio.to_thread(wait_until, lambda: committed() == [1])
            yield str(committed())
            await write(session, 2)

        return StreamingResponse(body())

    assert asyncio.run(call(app, http_scope("/"))).body == b"[1]"
    assert committed() == [1, 2]


@pytest.mark.parametrize("form", [Depends(f) for f in FORMS], ids=NAMES)
def test_a_background_task_runs_after_the_commit(app: FastAPI, form: Any) -> None:
    seen: list[object] = []

    async def later() -> None:
        seen.extend(committed())
        await write(adb(), 2)

    @app.get("/")
    async def handler(tasks: BackgroundTasks, session: Any = form) -> None:
        await write(session, 1)
        tasks.add_task(later)

    assert asyncio.run(call(app, http_scope("/"))).status == 200
    assert (seen, committed()) == ([1], [1, 2])


@pytest.mark.parametrize("fails", [False, True])
def test_a_websocket_is_one_block(app: FastAPI, form: Any, fails: bool) -> None:
    @app.websocket("/")
    async def handler(socket: WebSocket, session: Any = form) -> None:
        await write(session, 1)
        if fails:
            raise LookupError

    async def run() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None: ...

        scope = {**http_scope("/"), "type": "websocket", "subprotocols": []}
        await app(scope, receive, send)

    if fails:
        with pytest.raises(LookupError):
            asyncio.run(run())
    else:
        asyncio.run(run())
    assert committed() == ([] if fails else [1])


def test_a_block_inside_the_dependencys_that_is_still_open_is_a_500(ledger: str) -> None:
    app = FastAPI()
    app.add_middleware(DatabaseMiddleware)
    left: list[Any] = []

    @app.get("/")
    async def handler(session: Annotated[Any, Depends(usual_awaited)]) -> None:
        block = session.transaction()
        left.append(block)
        await block.__aenter__()
        await write(session, 1)

    answer = Answer()
    with pytest.raises(InterfaceError, match="ended while the one entered at"):
        asyncio.run(call(app, http_scope("/"), answer=answer))
    assert (answer.status, committed()) == (500, [])


def test_a_block_of_a_handlers_own_task_is_not_left_in_its_place(ledger: str) -> None:
    """Its code is running: half of its work must not be committed."""
    app = FastAPI()
    app.add_middleware(DatabaseMiddleware)
    tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def block() -> AsyncIterator[AsyncDbSession]:
        async with adb().transaction():
            yield adb()

    @app.get("/")
    async def handler() -> None:
        begun = asyncio.Event()

        async def work() -> None:
            async with block() as session:
                await write(session, 1)
                begun.set()
                await asyncio.sleep(3600)

        tasks.append(asyncio.create_task(work()))
        await begun.wait()

    async def run() -> None:
        answer = Answer()
        try:
            with pytest.raises(InterfaceError, match="ended inside the transaction"):
                await call(app, http_scope("/"), answer=answer)
        finally:
            tasks[0].cancel()
            await asyncio.wait(tasks)
        assert answer.status == 500

    asyncio.run(run())
    assert committed() == []


def test_commit_inside_the_block_is_refused(ledger: str) -> None:
    app = FastAPI()
    app.add_middleware(DatabaseMiddleware)

    @app.get("/")
    async def handler(session: Annotated[Any, Depends(async_transaction())]) -> None:
        await write(session, 1)
        with pytest.raises(InterfaceError, match=r"commit\(\) inside the transaction\(\) block"):
            await session.commit()

    assert get(app).status == 200
    assert committed() == [1]


def test_the_transactions_options_and_alias(ledger: str) -> None:
    Database.configure(ledger, alias="other")
    app = FastAPI()
    app.add_middleware(DatabaseMiddleware)
    serializable = Depends(transaction("other", "serializable", read_only=True))

    @app.get("/")
    def handler(session: DbSession = serializable) -> list[str]:
        return [
            session.alias,
            session.query_value("SHOW transaction_isolation"),
            session.query_value("SHOW transaction_read_only"),
        ]

    assert get(app).body == b'["other","serializable","on"]'
    Database.close("other")


@pytest.mark.parametrize(
    "command",
    ["-m uvicorn --port {port}", "-m hypercorn -b 127.0.0.1:{port}"],
    ids=["uvicorn", "hypercorn"],
)
def test_over_a_real_server(ledger: str, tmp_path: Path, command: str) -> None:
    statuses = {
        "succeed": 200,
        "raise": 500,
        "refuse": 409,
        "return 409": 409,
        "break the commit": 500,
    }
    succeeded: list[int] = []
    log = tmp_path / "log"
    with serving(f"{command} web.served.fastapi_transactions:app", ledger, log) as server:
        for n, form in enumerate(["ready", "ready awaited", "usual", "usual awaited"], 1):
            for how, status in statuses.items():
                with Client(server.port) as client:  # a server may close it after an exception
                    assert client.request("GET", quote(f"/{form}/{n}/{how}"))[0] == status
                if how == "succeed":
                    succeeded += [-n, n]
                assert committed() == sorted(succeeded)
    text = log.read_text()
    for word in ("SessionClosed", "InterfaceError", "never finalized"):
        assert word not in text
