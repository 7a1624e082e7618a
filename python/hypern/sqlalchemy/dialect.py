"""SQLAlchemy's dialect `postgresql+hypern://`, blocking and asynchronous."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import util
from sqlalchemy.dialects.postgresql.base import PGDialect, PGExecutionContext

from hypern import dbapi
from hypern.dbapi.pools import pool_for, request_id
from hypern.errors import ConnectionLost, PoolClosed
from hypern.session.awaited import AsyncDbSession
from hypern.sqlalchemy.adapted import GreenConnection, await_, green
from hypern.sqlalchemy.pool import HypernPool
from hypern.sqlalchemy.types import COLSPECS

if TYPE_CHECKING:
    from hypern.dbapi.pools import SharedPool
    from hypern.session.blocking import DbSession

    Pools = dict[Any, SharedPool]

_LEVELS = ("READ COMMITTED", "READ UNCOMMITTED", "REPEATABLE READ", "SERIALIZABLE")

_cursor_number = util.counter()


class _Module:
    """`hypern.dbapi` as engines use it: with `$1`, which the server reads as it is."""

    paramstyle = "numeric_dollar"

    def __getattr__(self, name: str) -> Any:
        return getattr(dbapi, name)

    def connect(
        self,
        url: str | None = None,
        *,
        alias: str | None = None,
        autocommit: bool = False,
        pools: Pools | None = None,
        **settings: Any,
    ) -> Any:
        """A connection. pools: what the engine's settings have been resolved to before."""
        pool, session = _session_of({} if pools is None else pools, url, alias, settings)
        return _connected(self._make(session, pool, autocommit))

    def _make(self, session: DbSession, pool: SharedPool, autocommit: bool) -> dbapi.Connection:
        return dbapi.Connection(session, pool, autocommit=autocommit, paramstyle=self.paramstyle)


class _AsyncModule(_Module):
    """The same for an async engine, whose `async_creator` may make the connection."""

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        creator = kwargs.pop("async_creator_fn", None)
        if creator is None:
            return super().connect(*args, **kwargs)
        return green(await_(creator(*args, **kwargs)), self.paramstyle)

    def _make(self, session: DbSession, pool: SharedPool, autocommit: bool) -> dbapi.Connection:
        view = AsyncDbSession(session)
        return GreenConnection(view, pool, autocommit=autocommit, paramstyle=self.paramstyle)


def _session_of(
    pools: Pools, url: str | None, alias: str | None, settings: dict[str, Any]
) -> tuple[SharedPool, DbSession]:
    key = (url, alias, *settings.items())
    while True:  # until the pool is one that nobody gives up meanwhile
        pool = pools.get(key)
        if pool is None:
            pool = pools[key] = pool_for(url, alias, settings)
        session = pool.open(request_id())
        if session is not None:
            return pool, session
        pools.pop(key, None)


def _connected(connection: Any) -> Any:
    """The connection, connected, or closed again."""
    try:
        connection._run(connection._connecting())
    except BaseException:
        connection.close()
        raise
    return connection


class HypernExecutionContext(PGExecutionContext):
    """Makes a cursor of the server's for each result that is streamed."""

    def create_server_side_cursor(self) -> Any:
        connection: Any = self._dbapi_connection
        # With autocommit there is no transaction to hold it.
        withhold = connection.autocommit and not connection.in_transaction
        return connection.cursor(f"hypern_{_cursor_number()}", withhold=withhold)


class HypernDialect(PGDialect):
    """`create_engine("postgresql+hypern://...")`."""

    driver = "hypern"
    default_paramstyle = "numeric_dollar"
    supports_statement_cache = True
    supports_server_side_cursors = True
    supports_sane_multi_rowcount = True
    supports_native_json_serialization = False
    supports_native_json_deserialization = True
    dialect_injects_custom_json_deserializer = True
    render_bind_cast = True
    execution_ctx_cls = HypernExecutionContext
    colspecs = util.update_copy(PGDialect.colspecs, COLSPECS)

    def __init__(self, max_size: int | None = None, **kwargs: Any) -> None:
        """max_size: the size of hypern's pool. The other settings of `Database.configure` go with
        connect_args.
        """
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self._max_size = max_size
        self._shared: Pools = {}

    @classmethod
    def import_dbapi(cls) -> Any:
        return _Module()

    @classmethod
    def load_provisioning(cls) -> None:
        """Load what SQLAlchemy's own tests make of any PostgreSQL."""
        importlib.import_module("sqlalchemy.dialects.postgresql.provision")

    @classmethod
    def get_pool_class(cls, url: Any) -> Any:
        return HypernPool

    @classmethod
    def get_async_dialect_cls(cls, url: Any) -> Any:
        return HypernAsyncDialect

    def retrieve_dbapi_version(self, dbapi: Any) -> Any:
        return None

    # Connections

    def create_connect_args(self, url: Any) -> Any:
        keywords = url.translate_connect_args(username="user", database="dbname")
        hosts, ports = self._split_multihost_from_url(url)
        keywords.update(url.query)
        if hosts:
            keywords["host"] = ",".join(host or "" for host in hosts)
            if ports and any(ports):
                keywords["port"] = ",".join(str(port or "") for port in ports)
        settings: dict[str, Any] = {}
        if self._max_size is not None:
            settings["max_size"] = self._max_size
        if self._json_deserializer is not None:
            settings["json_loads"] = self._json_loads
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in keywords.items())
        return [f"postgresql:///?{query}" if query else "postgresql://"], settings

    def connect(self, *cargs: Any, **cparams: Any) -> Any:
        return self.loaded_dbapi.connect(*cargs, pools=self._shared, **cparams)

    def retire_pools(self) -> None:
        """Close the pools of this engine once their last connection is closed."""
        while self._shared:
            self._shared.popitem()[1].retire()

    @util.memoized_property
    def _json_loads(self) -> Any:
        deserializer: Any = self._json_deserializer
        return lambda text: deserializer(text if isinstance(text, str) else text.decode())

    def do_ping(self, dbapi_connection: Any) -> bool:
        dbapi_connection.ping()
        return True

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        if isinstance(e, (ConnectionLost, PoolClosed)):
            return True
        return connection is not None and bool(getattr(connection, "closed", False))

    # Options of transactions

    def get_isolation_level_values(self, dbapi_conn: Any) -> Any:
        return ("AUTOCOMMIT", *_LEVELS)

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        was_idle = not dbapi_connection.in_transaction
        level = super().get_isolation_level(dbapi_connection)  # type: ignore[no-untyped-call]
        if was_idle:
            dbapi_connection.rollback()
        return level

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        dbapi_connection.autocommit = level == "AUTOCOMMIT"
        dbapi_connection.isolation_level = None if level == "AUTOCOMMIT" else level

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        return bool(dbapi_conn.autocommit)

    def set_readonly(self, connection: Any, value: Any) -> None:
        connection.read_only = value

    def get_readonly(self, connection: Any) -> Any:
        return connection.read_only

    def set_deferrable(self, connection: Any, value: Any) -> None:
        connection.deferrable = value

    def get_deferrable(self, connection: Any) -> Any:
        return connection.deferrable

    # Two phases

    def do_begin_twophase(self, connection: Any, xid: Any) -> None:
        connection.connection.tpc_begin(xid)

    def do_prepare_twophase(self, connection: Any, xid: Any) -> None:
        connection.connection.tpc_prepare()

    def do_rollback_twophase(
        self, connection: Any, xid: Any, is_prepared: bool = True, recover: bool = False
    ) -> None:
        _end_twophase(connection, "tpc_rollback", xid, recover)

    def do_commit_twophase(
        self, connection: Any, xid: Any, is_prepared: bool = True, recover: bool = False
    ) -> None:
        _end_twophase(connection, "tpc_commit", xid, recover)

    def do_recover_twophase(self, connection: Any) -> list[Any]:
        return [str(xid) for xid in connection.connection.tpc_recover()]


def _end_twophase(connection: Any, method: str, xid: Any, recover: bool) -> None:
    raw = connection.connection.dbapi_connection
    if recover:
        if raw.in_transaction:
            raw.rollback()
        getattr(raw, method)(xid)
    else:
        getattr(raw, method)()


class HypernAsyncDialect(HypernDialect):
    """`create_async_engine("postgresql+hypern://...")`."""

    is_async = True
    has_terminate = True
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        return _AsyncModule()

    def do_terminate(self, dbapi_connection: Any) -> None:
        dbapi_connection.terminate()

    def get_driver_connection(self, connection: Any) -> Any:
        return connection.driver_connection
