"""The pools below connections: that of an alias, or one for each set of resolved settings."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

from hypern.config.settings import PoolConfig, make_settings
from hypern.errors import ConfigurationError
from hypern.pool import registry
from hypern.scope.scope import GENERATED

if TYPE_CHECKING:
    from hypern.config.settings import Settings
    from hypern.session.blocking import DbSession

_numbers = itertools.count(1)
_pools: dict[Any, SharedPool] = {}  # by what pool_for() has resolved


class SharedPool:
    """A pool that connections with equal settings share, under an alias of its own.

    `retire` has it closed once its last connection is: those that are in use go on.
    """

    def __init__(
        self, alias: str, config: PoolConfig | None, session_type: type[DbSession] | None = None
    ) -> None:
        self.alias = alias
        self._session_type = session_type
        self._config = config  # None: the alias is the application's, and so is its end
        self._open: set[str] = set()  # request ids of the sessions
        self._is_retired = False

    def open(self, request_id: str) -> DbSession | None:
        """A session, which `release` has to follow; None if the pool has been retired."""
        self._open.add(request_id)  # before the look, so that retire() finds it or it finds that
        if self._is_retired:
            self.release(request_id)
            return None
        try:
            if self._config is not None and not registry.is_configured(self.alias):
                registry.configure(self.alias, self._config, self._session_type)
            return registry.open_session(self.alias, request_id)
        except BaseException:
            self.release(request_id)
            raise

    def release(self, request_id: str) -> None:
        """A session has been finalized."""
        self._open.discard(request_id)
        self._close_if_unused()

    def retire(self) -> None:
        """Give the pool up: nobody gets a session of it any more."""
        if self._config is None:
            return
        self._is_retired = True
        for key, pool in list(_pools.items()):
            if pool is self:
                _pools.pop(key, None)
        self._close_if_unused()

    @property
    def is_in_use(self) -> bool:
        """Whether a connection of it is open."""
        return bool(self._open)

    @property
    def settings(self) -> Settings:
        """The resolved settings."""
        settings = registry.settings_of(self.alias)
        if settings is None:
            raise ConfigurationError(f'the pool of alias "{self.alias}" has been closed')
        return settings

    def _close_if_unused(self) -> None:
        if self._is_retired and not self._open:
            registry.close(self.alias)


_prefix = f"{GENERATED}dbapi-{os.urandom(6).hex()}-"
_connections = itertools.count(1)


def request_id() -> str:
    """An id that `db()` takes from nobody."""
    return f"{_prefix}{next(_connections)}"


def pool_for(url: str | None, alias: str | None, settings: dict[str, Any]) -> SharedPool:
    """The pool that the arguments of `connect()` mean. Raises ConfigurationError."""
    if url is None:
        if settings:
            raise ConfigurationError(
                f"{', '.join(sorted(settings))}: settings go with a url; an alias has its own"
            )
        alias = "default" if alias is None else alias
        return alias_pool(alias)
    if alias is not None:
        raise ConfigurationError("give connect() a url or an alias, not both")
    try:
        config = PoolConfig(url, **settings)
    except TypeError as error:
        raise ConfigurationError(f"connect(): {str(error).partition('() ')[2]}") from None
    return pool_for_config(config)


def pool_for_config(config: PoolConfig, session_type: type[DbSession] | None = None) -> SharedPool:
    """The pool of all connections with these settings, whose sessions are of this type."""
    resolved = make_settings("dbapi", config)
    hooks = (resolved.password, resolved.json_loads, resolved.json_dumps)
    key = (
        resolved.to_core(),
        hooks,
        resolved.infinity,
        resolved.slow_query_secs,
        session_type,
    )
    found = _pools.get(key)
    if found is None:
        found = _pools.setdefault(key, SharedPool(f"dbapi-{next(_numbers)}", config, session_type))
    return found


_aliases: dict[str, SharedPool] = {}


def alias_pool(alias: str) -> SharedPool:
    """The pool of an alias that the application has configured."""
    return _aliases.get(alias) or _aliases.setdefault(alias, SharedPool(alias, None))
