"""A copy of the test database for one test, in which commits are real."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from hypern import _native
from hypern._testing.connection import make_pool
from hypern.errors import Error
from hypern.pool import registry
from hypern.session.blocking import DbSession

if TYPE_CHECKING:
    from hypern.config.settings import Settings

_CLOSE_SECS = 5.0
_SUFFIX = " (copy)"


class CopySession(DbSession):
    """A session on a copy. It tells the alias's name; in the core the alias's own pool has that."""

    __slots__ = ()

    @property
    def alias(self) -> str:
        return super().alias.removesuffix(_SUFFIX)


class DatabaseCopy:
    """A copy of a database, dropped by `close`. Every alias leads to it."""

    def __init__(self, settings: Settings) -> None:
        original = database_name(settings)
        self._name = f"{original[:40]}_copy_{secrets.token_hex(4)}"
        self._settings = settings
        self._pools: dict[str, _native.Pool] = {}
        self._find = _native.sessions
        self._request_ids: set[str] = set()
        # The server copies only what nobody is connected to.
        registry.disconnect(_CLOSE_SECS)
        try:
            administer(
                settings, f"CREATE DATABASE {quoted(self._name)} TEMPLATE {quoted(original)}"
            )
        except Error as error:
            raise RuntimeError(
                f'a test marked hypern_commits needs a copy of the database "{original}", which '
                "cannot be made; no other connection to it may be open, and the user must have the "
                f"right to create databases: {error}"
            ) from error

    def session(self, alias: str, request_id: str) -> DbSession:
        """The session of a request on an alias."""
        pool = self._pools.get(alias)
        if pool is None:
            own = registry.settings_of(alias) or self._settings
            conninfo = {**self._settings.conninfo, "dbname": self._name}
            settings = replace(
                own, alias=alias + _SUFFIX, conninfo=conninfo, password=self._settings.password
            )
            pool = self._pools[alias] = make_pool(settings, CopySession)
        session: DbSession = pool.open(request_id)
        self._request_ids.add(request_id)
        return session

    def find(self, request_id: str, alias: str | None) -> list[DbSession]:
        """The open sessions of a request, as `_native.sessions` has them."""
        return self._find(request_id, None if alias is None else alias + _SUFFIX)

    def close(self) -> None:
        """Drop the copy, with what the test has left open."""
        for alias, pool in self._pools.items():
            for session in (s for i in self._request_ids for s in self.find(i, alias)):
                session.set_error()
                session._finalize(0.0)
            pool.close(_CLOSE_SECS)
        administer(self._settings, f"DROP DATABASE {quoted(self._name)} WITH (FORCE)")


def administer(settings: Settings, *statements: str) -> None:
    """Run statements that concern the settings' database, connected to another one."""
    elsewhere = "template1" if database_name(settings) == "postgres" else "postgres"
    conninfo = {**settings.conninfo, "dbname": elsewhere}
    pool = make_pool(
        replace(settings, alias="hypern test admin", conninfo=conninfo, max_size=1, min_idle=0)
    )
    try:
        session: DbSession = pool.open("administration")
        try:
            for statement in statements:
                session.execute(statement)
        finally:
            session._finalize(0.0)
    finally:
        pool.close(_CLOSE_SECS)


def database_name(settings: Settings) -> str:
    """The database that the settings lead to."""
    return settings.conninfo.get("dbname") or settings.conninfo["user"]


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'
