"""A copy of the test database for one test, in which commits are real."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from hypern.errors import Error
from hypern.pool import registry
from hypern.session.blocking import DbSession
from hypern.testing.pools import TestPools

if TYPE_CHECKING:
    from hypern.config.settings import Settings

_CLOSE_SECS = 5.0


class CopyPools(TestPools):
    """Pools that lead to a copy of a database, which `close` drops."""

    def __init__(self, settings: Settings) -> None:
        original = settings.database
        self._original = settings
        self._name = f"{original[:40]}_copy_{secrets.token_hex(4)}"
        super().__init__(replace(settings, conninfo={**settings.conninfo, "dbname": self._name}))
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

    def close(self) -> None:
        """Drop the copy, with what the test has left open."""
        try:
            super().close()
        finally:
            administer(self._original, f"DROP DATABASE {quoted(self._name)} WITH (FORCE)")


def administer(settings: Settings, *statements: str) -> None:
    """Run statements that concern the settings' database, connected to another one."""
    elsewhere = "template1" if settings.database == "postgres" else "postgres"
    conninfo = {**settings.conninfo, "dbname": elsewhere}
    settings = replace(
        settings, alias="hypern test admin", conninfo=conninfo, max_size=1, min_idle=0
    )
    pool = registry.make_pool(settings, DbSession, settings.alias)
    try:
        session: DbSession = pool.open("administration")
        try:
            for statement in statements:
                session.execute(statement)
        finally:
            session._finalize(0.0)
    finally:
        registry.close_pool(pool)


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'
