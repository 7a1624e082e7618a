"""`DatabaseWrapper`: what Django loads for `ENGINE = "hypern.django"`."""

from __future__ import annotations

import asyncio
import atexit
import copy
import os
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as WrappedError
from django.db import connections
from django.db.backends.base.base import NO_DB_ALIAS, BaseDatabaseWrapper
from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
from django.db.backends.utils import CursorDebugWrapper
from django.utils.asyncio import async_unsafe

from hypern import dbapi
from hypern.django.connection import Connection
from hypern.django.driver import IsolationLevel
from hypern.django.operations import (
    DatabaseCreation,
    DatabaseFeatures,
    DatabaseOperations,
    DatabaseSchemaEditor,
)
from hypern.django.pools import found, pool_of
from hypern.django.results import Zone
from hypern.django.session import LentSession
from hypern.errors import Error
from hypern.pool import registry
from hypern.session.blocking import DbSession
from hypern.web.django_databases import extra_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypern.config.settings import PoolConfig

UTC_NAMES = frozenset({"UTC", "Etc/UTC"})


_open: weakref.WeakSet[Connection] = weakref.WeakSet()


def _close_at_exit(connection: Connection) -> None:
    if not _open:  # at the exit, the last that was registered is called first
        atexit.unregister(_close_all)
        atexit.register(_close_all)
    _open.add(connection)


def _close_all() -> None:
    """Give back what Django leaves open at the exit."""
    for connection in list(_open):
        with suppress(Error):
            connection.close()


def _after_fork() -> None:
    """Forget the connections that the parent has: a child makes its own."""
    for wrapper in connections.all(initialized_only=True):
        connection: Any = wrapper.connection
        if isinstance(connection, Connection):
            connection._is_closed = True  # closing is the parent's
            wrapper.connection = None
            wrapper.in_atomic_block = False
            wrapper.savepoint_ids = []
            wrapper.run_on_commit = []
    _open.clear()


os.register_at_fork(after_in_child=_after_fork)


class DatabaseWrapper(PostgresWrapper):
    """Django's PostgreSQL backend on a connection of hypern's pool."""

    Database: Any = dbapi
    SchemaEditorClass = DatabaseSchemaEditor
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures
    ops_class = DatabaseOperations
    connection: Any
    isolation_level: Any

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        super().__init__(settings_dict, alias)
        if alias != NO_DB_ALIAS:
            registry.lend(alias, Lender(alias))

    # The connection

    @property
    def pool(self) -> Any:
        """Django's own pool, which there is none of: hypern's is below each connection."""
        return None

    def close_pool(self) -> None:
        """Close the pool of the alias. It is opened anew when it is needed."""
        if self.alias != NO_DB_ALIAS:
            registry.look_again([self.alias])

    def get_connection_params(self) -> dict[str, Any]:
        options = self.settings_dict["OPTIONS"]
        # Django checks the name, on a copy, since there it takes options away; it makes nothing
        # of the pool's, which only psycopg 3 has there.
        checked = copy.copy(self)
        checked.settings_dict = {**self.settings_dict, "OPTIONS": {**options, "pool": None}}
        PostgresWrapper.get_connection_params(checked)
        level = options.get("isolation_level")
        if level is not None and level not in iter(IsolationLevel):
            raise ImproperlyConfigured(
                f"Invalid transaction isolation level {level} specified. "
                "Use one of the psycopg.IsolationLevel values."
            )
        entry = {**extra_of(self.alias), **self.settings_dict}
        if entry["NAME"] is None:  # to create and drop databases
            entry["NAME"] = "postgres"
            entry["OPTIONS"] = {key: value for key, value in options.items() if key != "service"}
        entry["TIME_ZONE"] = self.timezone_name
        return entry

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        pool, session = pool_of(self.alias, self.settings_dict, conn_params)
        connection = Connection(session, pool, autocommit=True, paramstyle="pyformat")
        try:
            connection._run(connection._connecting())
        except BaseException:
            connection.close()
            raise
        lent: Any = session
        lent._lender = weakref.ref(self)
        level = self.settings_dict["OPTIONS"].get("isolation_level")
        connection.isolation_level = None if level is None else IsolationLevel(level)
        self.isolation_level = connection.isolation_level or IsolationLevel.READ_COMMITTED
        self._set_zone(connection)
        _close_at_exit(connection)
        return connection

    def _set_zone(self, connection: Connection) -> None:
        connection.zone = self._zone(connection)
        connection.zone_name = self.timezone_name

    def _zone(self, connection: Connection) -> Zone | None:
        zone: Any = self.timezone
        if zone is not None:
            return None if str(zone) in UTC_NAMES else Zone(zone, zone)
        name: Any = self.timezone_name or connection.info.parameter_status("TimeZone")
        return Zone(None, ZoneInfo(name))

    def pool_config(self) -> PoolConfig:
        """The settings of the alias's pool."""
        return found(self.alias, self.get_connection_params())

    def ensure_timezone(self) -> bool:
        if self.connection is None:
            return False
        self._set_zone(self.connection)
        return bool(self._configure_timezone(self.connection))  # type: ignore[attr-defined]

    def init_connection_state(self) -> None:
        BaseDatabaseWrapper.init_connection_state(self)

    @async_unsafe
    def create_cursor(self, name: str | None = None) -> Any:
        connection = self.connection
        if connection.zone_name != self.timezone_name:
            self._set_zone(connection)
        if name is None:
            return connection.cursor()
        return connection.cursor(name, scrollable=False, withhold=connection.autocommit)

    def _close(self) -> None:
        connection = self.connection
        if connection is not None:
            connection._session.of._lender = None
            with self.wrap_database_errors:
                connection.close()

    def is_usable(self) -> bool:
        if self.connection is None:
            return False
        try:
            self.connection.ping()
        except Error:
            return False
        return True

    def make_debug_cursor(self, cursor: Any) -> Any:
        return CursorDebugWrapper(cursor, self)

    # Transactions: the session knows what is open, whoever has begun it

    def _session(self) -> Any:
        return None if self.connection is None else self.connection._session

    def get_autocommit(self) -> bool:
        """Whether each statement commits by itself. It does not while `db().begin()` or BEGIN has
        opened a transaction, so that atomic() is a savepoint in it.
        """
        self.ensure_connection()
        return self.autocommit and not self._is_begun_elsewhere()

    def _is_begun_elsewhere(self) -> bool:
        session = self._session()
        return (
            session is not None
            and self.autocommit
            and not self.connection.closed
            and session.is_in_transaction
        )

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self._begin_next()

    def _rollback(self) -> None:
        super()._rollback()  # type: ignore[misc]
        self._begin_next()

    def _begin_next(self) -> None:
        if self.connection is not None and not self.connection.closed:
            self.connection.begin_next()

    def on_commit(self, func: Callable[[], object], robust: bool = False) -> None:
        """In a transaction that `db().begin()` has opened, the session calls the function."""
        session = self._session()
        if session is not None and callable(func):
            is_pretended = self.in_atomic_block and not self.commit_on_exit and self.autocommit
            if is_pretended or self._is_begun_elsewhere():
                DbSession.on_commit(session.of, func)
                return
        super().on_commit(func, robust)


class Lender:
    """Lends `db()` the session of the Django connection of its thread."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    session_type: type[DbSession] = LentSession

    def __call__(self) -> DbSession | None:
        """The session; None in a thread that runs an event loop, where the ORM cannot be used."""
        if asyncio._get_running_loop() is not None:
            return None
        wrapper: Any = connections[self._alias]
        if not isinstance(wrapper, DatabaseWrapper):
            return None
        try:
            wrapper.ensure_connection()
        except WrappedError as error:
            if isinstance(error.__cause__, Error):
                raise error.__cause__ from error.__cause__.__cause__  # as every db() raises it
            raise
        wrapper._begin_next()
        session: DbSession = wrapper.connection._session.of
        return session
