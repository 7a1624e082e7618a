"""The databases of a Django project: aliases that nobody has configured are found in its settings.

    HYPERN = {"default": {**DATABASES["default"], "max_size": 32}}

Without an entry of its own, an alias is that of DATABASES. Where Django's test runner has put the
name of a test database in DATABASES, that is the database. See docs/frameworks/django.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from hypern.config.parse import known
from hypern.config.settings import PoolConfig
from hypern.errors import ConfigurationError
from hypern.pool import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEYWORDS: Final = frozenset(field.name for field in fields(PoolConfig)) - {"url", "timezone"}
_PARTS: Final = {
    "NAME": "dbname",
    "USER": "user",
    "PASSWORD": "password",
    "HOST": "host",
    "PORT": "port",
}
# What OPTIONS has for Django itself and for psycopg's Python side; the rest is libpq's.
_NOT_LIBPQS: Final = frozenset(
    (
        "assume_role",
        "client_encoding",
        "connection_factory",
        "context",
        "cursor_factory",
        "isolation_level",
        "pool",
        "prepare_threshold",
        "row_factory",
        "server_side_binding",
    )
)
# OPTIONS["pool"], in psycopg_pool's words.
_POOL: Final = {
    "max_size": "max_size",
    "min_size": "min_idle",
    "timeout": "acquire_timeout_secs",
    "max_idle": "idle_timeout_secs",
    "max_lifetime": "max_lifetime_secs",
}
# OPTIONS["isolation_level"], in psycopg's numbers.
_ISOLATION: Final = ("read uncommitted", "read committed", "repeatable read", "serializable")
# The numbers of Django's driver, if one is loaded: psycopg2 has others.
_DRIVER: Final = "django.db.backends.postgresql.psycopg_any"

_ENGINE: Final = "hypern.django"

# The aliases that were found here, each with the name of the database that it was found with.
_found: dict[str, str] = {}


def find(alias: str) -> PoolConfig | None:
    """The settings of an alias in a Django project; None if it has none, or this is none.

    Raises ConfigurationError for an entry of HYPERN that cannot work. `django.db` is imported.
    """
    from django.conf import settings

    if not settings.configured:
        return None
    from django.db import connections

    if connections.settings.get(alias, {}).get("ENGINE") == _ENGINE:
        wrapper: Any = connections[alias]  # which makes db() borrow its connection
        config: PoolConfig = wrapper.pool_config()
        return config
    entry = _own_entry(alias)
    if entry is None and (entry := _of_databases(alias)) is None:
        return None
    given = config_of(alias, {**entry, "NAME": _database_of(alias, entry)})
    from django.db.backends.signals import connection_created

    connection_created.connect(_connected, dispatch_uid=__name__)
    _found[alias] = _database_of(alias, entry)
    return given


def extra_of(alias: str) -> dict[str, Any]:
    """What HYPERN has for an alias besides what DATABASES has."""
    entry = _own_entry(alias)
    return {} if entry is None else {name: entry[name] for name in entry if not name.isupper()}


def _own_entry(alias: str) -> Mapping[str, Any] | None:
    from django.conf import settings

    entry = getattr(settings, "HYPERN", {}).get(alias)
    if entry is not None and not isinstance(entry, Mapping):
        raise ConfigurationError(
            f'HYPERN["{alias}"] must be a dict such as DATABASES["{alias}"], not '
            f"{type(entry).__name__}"
        )
    if entry is not None and not _is_postgresql(entry):
        raise ConfigurationError(
            f'HYPERN["{alias}"] is not a PostgreSQL database: ENGINE is "{entry.get("ENGINE")}"'
        )
    return entry


def _of_databases(alias: str) -> Mapping[str, Any] | None:
    from django.db import connections

    entry = connections.settings.get(alias)
    return entry if entry is not None and _is_postgresql(entry) else None


def _is_postgresql(entry: Mapping[str, Any]) -> bool:
    engine = entry.get("ENGINE", "postgresql")
    return any(name in engine for name in ("postgresql", "postgis", "hypern"))


def _database_of(alias: str, entry: Mapping[str, Any]) -> str:
    """The database's name: that of DATABASES at this moment if both lead to the same server, since
    the test runner puts that of the test database there.
    """
    its = _of_databases(alias)
    if its is not None and all(entry.get(k, "") == its.get(k, "") for k in ("HOST", "PORT")):
        entry = its
    return str(entry.get("NAME") or "")


def config_of(alias: str, entry: Mapping[str, Any]) -> PoolConfig:
    """The settings for an entry as DATABASES has, with the keywords of Database.configure()."""
    options = dict(entry.get("OPTIONS") or {})
    given = _pool_options(options.get("pool"))
    given |= {name: value for name, value in entry.items() if name in _KEYWORDS}
    unknown = [name for name in entry if not name.isupper() and name not in _KEYWORDS]
    if unknown:
        raise ConfigurationError(
            f'HYPERN["{alias}"] has an unknown option, "{unknown[0]}"; besides what DATABASES has, '
            "it takes the keywords of Database.configure()"
        )
    keywords = {name: value for name, value in options.items() if name not in _NOT_LIBPQS}
    for name in keywords:
        known(name)
    keywords |= {word: entry[part] for part, word in _PARTS.items() if entry.get(part)}
    startup = list(_startup(options))
    if startup:
        keywords["options"] = " ".join([*filter(None, [keywords.get("options")]), *startup])
    url = " ".join(f"{name}={_quoted(str(value))}" for name, value in keywords.items())
    return PoolConfig(url, **given)


def _pool_options(pool: object) -> dict[str, Any]:
    if not isinstance(pool, Mapping):
        return {}
    return {ours: pool[theirs] for theirs, ours in _POOL.items() if pool.get(theirs) is not None}


def _startup(options: Mapping[str, Any]) -> Iterator[str]:
    role, isolation = options.get("assume_role"), options.get("isolation_level")
    if role:
        yield f"-c role={_escaped(str(role))}"
    if isolation is not None and (level := _level(isolation)) is not None:
        yield f"-c default_transaction_isolation={_escaped(level)}"


def _level(isolation: Any) -> str | None:
    """The isolation level's name; None if it is unknown, which Django itself refuses."""
    driver: Any = sys.modules.get(_DRIVER)
    if driver is not None and isolation in list(driver.IsolationLevel):
        name: str = driver.IsolationLevel(isolation).name
        return name.replace("_", " ").lower()
    return _ISOLATION[isolation - 1] if isolation in range(1, 5) else None


def _escaped(value: str) -> str:
    """A value within the keyword `options`, whose parts spaces separate."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def _quoted(value: str) -> str:
    """A value of a connection string of libpq."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _connected(connection: Any, **_: object) -> None:
    """Django has made a connection. Pools on a database that is not that of DATABASES any more are
    closed, so that the next session finds the other one. A connection to no database in particular
    is made to create, copy or drop one, to which nobody may be connected then: all are closed.
    """
    from django.db.backends.base.base import NO_DB_ALIAS

    stale = [
        alias
        for alias, database in list(_found.items())
        if connection.alias == NO_DB_ALIAS or _now(alias) != database
    ]
    for alias in stale:
        _found.pop(alias, None)
    registry.look_again(stale)


def _now(alias: str) -> str | None:
    entry = _own_entry(alias) or _of_databases(alias)
    return None if entry is None else _database_of(alias, entry)
