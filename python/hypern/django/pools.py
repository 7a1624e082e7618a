"""The pools below Django's connections: one of each alias, which `db()` has, too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypern.config.settings import make_settings
from hypern.dbapi.pools import alias_pool, pool_for_config, request_id
from hypern.django.results import loads_for_django
from hypern.django.session import LentSession
from hypern.errors import ConfigurationError
from hypern.pool import registry
from hypern.web.django_databases import config_of

if TYPE_CHECKING:
    from hypern.config.settings import PoolConfig, Settings
    from hypern.dbapi.pools import SharedPool
    from hypern.session.blocking import DbSession

from django.db import connections
from django.db.backends.base.base import NO_DB_ALIAS

_configured: dict[str, PoolConfig] = {}  # by alias, those that were configured here
# By alias: what its latest entry came to. To find that out takes longer than a query.
_latest: dict[str, tuple[dict[str, Any], Settings | None]] = {}
_loads: dict[Any, Any] = {}  # by the json_loads given: settings are equal if these are


def config(alias: str, entry: dict[str, Any]) -> PoolConfig:
    """The settings of the pool for an entry such as DATABASES has."""
    given = config_of(alias, entry)
    if given.atomic:
        raise ConfigurationError(
            f'HYPERN["{alias}"] has atomic=True, which the ORM would not know of; set '
            f'ATOMIC_REQUESTS in DATABASES["{alias}"] instead'
        )
    loads = _loads.setdefault(given.json_loads, loads_for_django(given.json_loads))
    return replace(given, json_loads=loads, timezone=entry["TIME_ZONE"])


def found(alias: str, entry: dict[str, Any]) -> PoolConfig:
    """The settings that `db()` configures the alias with, ahead of Django's first connection."""
    given = _configured[alias] = config(alias, entry)
    return given


def pool_of(
    alias: str, settings: dict[str, Any], entry: dict[str, Any]
) -> tuple[SharedPool, DbSession]:
    """The pool of a Django connection with these settings, and a session of it.

    entry: what the settings come to. A connection that is not of the alias's settings in DATABASES,
    as those are which create and drop databases, has a pool of its own, which ends with it.
    """
    is_own = alias == NO_DB_ALIAS or settings != connections.settings.get(alias)
    latest = _latest.get(alias)
    if latest is not None and not is_own and latest == (entry, registry.settings_of(alias)):
        session = alias_pool(alias).open(request_id())
        if session is not None:
            return alias_pool(alias), session
    given = config(alias, entry)
    while True:
        if is_own or not _configure(alias, given):
            pool = pool_for_config(given, LentSession)
            session = pool.open(request_id())
            pool.retire()
        else:
            pool = alias_pool(alias)
            _latest[alias] = (_copied(entry), registry.settings_of(alias))
            session = pool.open(request_id())
        if session is not None:
            return pool, session


def _copied(value: Any) -> Any:
    """A value with the dicts in it, which an application may change, copied."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return value


def _configure(alias: str, given: PoolConfig) -> bool:
    """Configure the alias; anew if its settings have changed since. False if the pool with the
    former ones is in use.
    """
    known = _configured.get(alias)
    if (
        known is not None
        and known != given
        and registry.settings_of(alias) == make_settings(alias, known)
    ):
        if alias_pool(alias).is_in_use:
            return False
        registry.look_again([alias])
    registry.configure(alias, given)
    _configured[alias] = given
    return True
