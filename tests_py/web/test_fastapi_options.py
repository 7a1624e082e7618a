"""FastAPI's session dependency with the options of a scope."""

import asyncio
import time
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI
from web.asgi_client import Answer, call, http_scope
from web.ledger import committed

from hypern.database import AsyncDbSession, Database, DbSession, adb, db
from hypern.errors import ConfigurationError, InterfaceError, QueryCanceled
from hypern.middleware.fastapi import DatabaseMiddleware, Session, async_session, session

pytestmark = pytest.mark.usefixtures("ledger")

SHOW = "SELECT current_setting('app.tenant', true)"
INSERT = "INSERT INTO ledger VALUES ($1)"


def tenant(request: Any) -> dict[str, str]:
    return {"app.tenant": request.headers["x-tenant"]}


@pytest.fixture(params=["blocking", "awaited"])
def make(request: pytest.FixtureRequest) -> Any:
    """Make an application of a handler that is given the session, with options for both."""

    def app(handler: Any, alias: str = "default", *, over: Any = None, **options: Any) -> FastAPI:
        made = FastAPI()
        made.add_middleware(DatabaseMiddleware, **(over or {}))

        @made.get("/orders/{n}")
        def blocking(
            background: BackgroundTasks,
            given: Annotated[DbSession, Depends(session(alias, **options))],
        ) -> Any:
            assert given is db(alias=alias)
            return handler(given, background)

        @made.get("/awaited/{n}")
        async def awaited(
            background: BackgroundTasks,
            given: Annotated[AsyncDbSession, Depends(async_session(alias, **options))],
        ) -> Any:
            assert given.request_id == adb(alias=alias).request_id
            # The same session underneath, whose calls drive themselves.
            return handler(db(alias=alias), background)

        made.state.path = "/orders/7" if request.param == "blocking" else "/awaited/7"
        return made

    return app


def get(app: FastAPI, **headers: str) -> Answer:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(call(app, http_scope(app.state.path, given)))


def test_an_atomic_route_that_raises_after_two_inserts_leaves_none(make: Any) -> None:
    def fail(session: DbSession, _: Any) -> None:
        session.execute(INSERT, [1])
        session.execute(INSERT, [2])
        raise LookupError("a bug")

    with pytest.raises(LookupError):
        get(make(fail, atomic=True))
    assert committed() == []
    with pytest.raises(LookupError):
        get(make(fail))
    assert committed() == [1, 2]


def test_options_are_callables_of_the_request_and_hold_after_the_response(make: Any) -> None:
    seen: list[Any] = []

    def handler(session: DbSession, background: BackgroundTasks) -> Any:
        def later() -> None:
            time.sleep(0.25)
            seen.append(db().query_value(SHOW))

        background.add_task(later)
        return [session.query_value(SHOW), session.label]

    app = make(handler, settings=tenant, deadline_secs=0.2)
    assert get(app, x_tenant="t7").body == f'["t7","{app.state.path[:-1]}{{n}}"]'.encode()
    assert seen == ["t7"]


def test_they_are_on_top_of_the_middlewares(make: Any) -> None:
    def handler(session: DbSession, _: Any) -> Any:
        read_only = session.query_value("SHOW transaction_read_only")
        return [session.query_value(SHOW), read_only, session.label]

    over = {"settings": tenant, "label": "of all"}
    app = make(handler, over=over, read_only=True, label="mine")
    assert get(app, x_tenant="t7").body == b'["t7","on","mine"]'


def test_they_hold_for_their_alias_only(make: Any, configured: str) -> None:
    Database.configure(configured, max_size=1, alias="other")

    def handler(session: DbSession, _: Any) -> Any:
        return [session.query_value("SHOW transaction_read_only"), session.label, db().label]

    app = make(handler, "other", over={"label": "of all"}, read_only=True, label="mine")
    assert get(app).body == b'["on","mine","of all"]'


def test_a_middleware_without_options_gives_none_to_other_aliases(
    make: Any, configured: str
) -> None:
    Database.configure(configured, max_size=1, alias="other")

    def handler(session: DbSession, background: BackgroundTasks) -> Any:
        background.add_task(lambda: seen.append((db().label, db(alias="other").label)))
        db().execute(INSERT, [1])
        assert not db().is_in_transaction
        return db().query_value("SHOW transaction_read_only")

    seen: list[Any] = []
    app = make(handler, "other", read_only=True, label="mine")
    assert get(app).body == b'"off"'
    assert seen == [(app.state.path[:-1] + "{n}", "mine")]


def test_a_deadline_counts_from_the_requests_arrival(make: Any) -> None:
    def handler(session: DbSession, _: Any) -> str:
        with pytest.raises(QueryCanceled, match=r"deadline_secs=0\.2 s"):
            session.execute("SELECT pg_sleep(60)")
        return "in time"

    assert get(make(handler, deadline_secs=0.2)).body == b'"in time"'


def test_options_that_cannot_work_are_refused_where_the_dependency_is_made() -> None:
    for make in (session, async_session):
        with pytest.raises(ConfigurationError, match="unknown option 'isolation'"):
            make(isolation="serializable")  # type: ignore[call-arg]
        with pytest.raises(ConfigurationError, match="settings= with atomic=False"):
            make(settings={"a.b": "c"}, atomic=False)


def test_options_that_contradict_the_middlewares_are_refused(make: Any) -> None:
    app = make(lambda *_: None, over={"settings": tenant}, atomic=False)
    with pytest.raises(ConfigurationError, match="settings= with atomic=False"):
        get(app, x_tenant="t7")


def test_a_callable_that_raises_raises_in_the_request(make: Any) -> None:
    with pytest.raises(KeyError):
        get(make(lambda *_: None, settings=tenant))


@pytest.mark.parametrize("options", [{"label": "other"}, {"atomic": True}])
def test_a_session_that_is_open_with_other_options_is_refused(options: Any) -> None:
    app = FastAPI()
    app.add_middleware(DatabaseMiddleware)
    app.state.path = "/"

    @app.get("/")
    def handler(
        first: Session, second: Annotated[DbSession, Depends(session(**options))]
    ) -> None: ...

    with pytest.raises(InterfaceError, match="is open with other options"):
        get(app)


def test_the_same_options_twice_are_one_session() -> None:
    app = FastAPI()
    app.add_middleware(DatabaseMiddleware)
    app.state.path = "/"

    @app.get("/")
    def handler(
        first: Annotated[DbSession, Depends(session(atomic=True))],
        second: Annotated[DbSession, Depends(session(atomic=True))],
        third: Session,
    ) -> bool:
        return first is second is third

    assert get(app).body == b"true"


def test_without_the_middleware_the_request_is_none_of_ours() -> None:
    app = FastAPI()
    app.state.path = "/"

    @app.get("/")
    def handler(given: Annotated[DbSession, Depends(session(atomic=True))]) -> None: ...

    with pytest.raises(TypeError, match="a request that DatabaseMiddleware has seen"):
        get(app)


def test_a_usual_dependency_of_ones_own_is_a_savepoint_in_it() -> None:
    app = FastAPI()
    app.add_middleware(DatabaseMiddleware)
    app.state.path = "/"
    atomic = Annotated[DbSession, Depends(session(atomic=True))]

    def block(session: atomic) -> Iterator[DbSession]:
        with session.transaction():
            yield session

    @app.get("/")
    def handler(session: Annotated[DbSession, Depends(block)], fail: bool = False) -> None:
        session.execute(INSERT, [1])
        if fail:
            raise LookupError("a bug")

    failing = {**http_scope("/"), "query_string": b"fail=true"}
    with pytest.raises(LookupError):
        asyncio.run(call(app, failing))
    assert committed() == []
    assert get(app).status == 200
    assert committed() == [1]
