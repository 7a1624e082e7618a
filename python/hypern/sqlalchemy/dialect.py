"""SQLAlchemy's dialect `postgresql+hypern://`, blocking and asynchronous."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import util
from sqlalchemy.dialects.postgresql.base import PGDialect, PGExecutionContext

from hypern import dbapi
from hypern.dbapi import aio
from hypern.dbapi.pools import pool_for, request_id
from hypern.errors import ConnectionLost, PoolClosed
from hypern.session.awaited import AsyncDbSession
from hypern.sqlalchemy.adapted import GreenConnection, await_, green
from hypern.sqlalchemy.pool import HypernPool
from hypern.sqlalchemy.types import COLSPECS

if TYPE_CHECKING:
    from hypern.dbapi.pools import SharedPool

_LEVELS = ("READ COMMITTED", "READ UNCOMMITTED", "REPEATABLE READ", "SERIALIZABLE")

_cursor_number = util.counter()


class _Module:
    """`hypern.dbapi` as engines use it: with `$1`, which the server reads as it is."""

    paramstyle = "numeric_dollar"

    def __getattr__(self, name: str) -> Any:
        return getattr(dbapi, name)

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        return dbapi.connect(*args, paramstyle=self.paramstyle, **kwargs)


class _AsyncModule(_Module):
    """The same for an async engine, whose `async_creator` may make the connection."""

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        creator = kwargs.pop("async_creator_fn", aio.connect)
        return green(await_(creator(*args, **kwargs)), self.paramstyle)


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
        self._shared: dict[Any, SharedPool] = {}

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
        url, alias = cargs[0] if cargs else cparams.pop("url", None), cparams.pop("alias", None)
        autocommit = cparams.pop("autocommit", False)
        pool, session = self._session_of(url, alias, cparams)
        return self._connected(session, pool, autocommit)

    def _session_of(self, url: str | None, alias: str | None, settings: dict[str, Any]) -> Any:
        key = (url, alias, *sorted(settings.items()))
        while True:
            pool = self._shared.get(key)
            if pool is None:
                pool = self._shared[key] = pool_for(url, alias, dict(settings))
            session = pool.open(request_id())
            if session is not None:
                return pool, session
            self._shared.pop(key, None)

    def _connected(self, session: Any, pool: SharedPool, autocommit: bool) -> Any:
        return _connecting(
            dbapi.Connection(
                session, pool, autocommit=autocommit, paramstyle=self.default_paramstyle
            )
        )

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


def _connecting(connection: Any) -> Any:
    """The connection, connected, or closed again."""
    try:
        connection._run(connection._connecting())
    except BaseException:
        connection.close()
        raise
    return connection


class HypernAsyncDialect(HypernDialect):
    """`create_async_engine("postgresql+hypern://...")`."""

    is_async = True
    has_terminate = True
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        return _AsyncModule()

    def _connected(self, session: Any, pool: SharedPool, autocommit: bool) -> Any:
        return _connecting(
            GreenConnection(
                AsyncDbSession(session),
                pool,
                autocommit=autocommit,
                paramstyle=self.default_paramstyle,
            )
        )

    def do_terminate(self, dbapi_connection: Any) -> None:
        dbapi_connection.terminate()

    def get_driver_connection(self, connection: Any) -> Any:
        return connection.driver_connection
