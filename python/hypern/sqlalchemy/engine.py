"""`engine()` and `async_engine()`: SQLAlchemy on the request's session and transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy.engine import Connection, Engine, RootTransaction
from sqlalchemy.engine.base import OptionEngineMixin
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from hypern.dbapi.pools import alias_pool
from hypern.pool import registry
from hypern.scope.identify import CURRENT, identify
from hypern.scope.scope import current_scope
from hypern.session.awaited import AsyncDbSession
from hypern.sqlalchemy.request import GreenRequestConnection, RequestConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypern.dbapi.pools import SharedPool
    from hypern.scope.options import Kept

_URL = "postgresql+hypern://"


class _RequestTransaction(RootTransaction):
    """Tells `close()` from `rollback()`, which are one to a DB-API connection."""

    def _do_close(self) -> None:
        raw: Any = None
        if not self.connection.closed and not self.connection.invalidated:
            raw = self.connection.connection.dbapi_connection
        if not isinstance(raw, (RequestConnection, GreenRequestConnection)):
            super()._do_close()
            return
        raw.is_leaving = True
        try:
            super()._do_close()
        finally:
            raw.is_leaving = False


class _RequestConnection(Connection):
    def begin(self) -> RootTransaction:
        if self._transaction is None:
            self._transaction = _RequestTransaction(self)
            return self._transaction
        return super().begin()


class RequestEngine(Engine):
    """An engine whose connections are on the request's session, inside a request."""

    _connection_cls = _RequestConnection


class _RequestOptionEngine(OptionEngineMixin, RequestEngine):
    """The same with execution options."""

    def update_execution_options(self, **opt: Any) -> None:
        Engine.update_execution_options(self, **opt)


RequestEngine._option_cls = _RequestOptionEngine  # type: ignore[assignment]


def engine(alias: str = "default", **options: Any) -> Engine:
    """An engine on a configured database: in a request its connections and ORM sessions share the
    connection and the transaction of `db()`; elsewhere each has a connection of its own.

    alias: str, as for `db()`. options: those of `create_engine`, without the ones of its pool. Keep
    the engine: it caches what it compiles.
    """
    made = sqlalchemy.create_engine(_URL, **_checked(options), **_creator(alias, lambda: made))
    made.__class__ = RequestEngine
    return made


def async_engine(alias: str = "default", **options: Any) -> AsyncEngine:
    """As `engine`, for coroutines: it shares the session of `adb()`."""
    made = create_async_engine(
        _URL, **_checked(options), **_creator(alias, lambda: made.sync_engine)
    )
    made.sync_engine.__class__ = RequestEngine
    return made


_REFUSED = frozenset(
    {
        "async_creator",
        "connect_args",
        "creator",
        "json_deserializer",
        "max_size",
        "pool",
        "poolclass",
    }
)


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    refused = sorted(_REFUSED & options.keys())
    if refused:
        raise TypeError(
            f"{', '.join(refused)}: the pool of an alias is set with Database.configure()"
        )
    return options


def _scope_begin(kept: Kept | None, pool: SharedPool) -> str:
    """The BEGIN of the scope's transactions; "" if it is not atomic."""
    begin = None if kept is None else kept.options.begin
    if begin is None:
        return "BEGIN" if pool.settings.atomic else ""
    return begin


def _creator(alias: str, engine_of: Callable[[], Engine]) -> dict[str, Any]:
    """The options that have an engine's connections made here."""

    def connect() -> Any:
        dialect: Any = engine_of().dialect
        if current_scope.get() is None:
            return dialect.connect(alias=alias)
        request_id, owner = identify(CURRENT)
        kept = None if owner is None else owner.kept(alias)
        session = registry.open_session(
            alias, request_id, None if kept is None else kept.of(alias, None)
        )
        pool = alias_pool(alias)
        style = dialect.paramstyle
        made: RequestConnection | GreenRequestConnection
        if dialect.is_async:
            view = AsyncDbSession(session)
            made = GreenRequestConnection(view, pool, autocommit=False, paramstyle=style)
        else:
            made = RequestConnection(session, pool, autocommit=False, paramstyle=style)
        made._raw = session
        made._scope_begin = _scope_begin(kept, pool)
        return made

    return {"creator": connect, "pool_reset_on_return": None}
