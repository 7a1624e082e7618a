"""The configured aliases of this process, each with its settings and its pool.

The registry is a dict and each change of it one operation, so it needs no lock, and a forked child
inherits it whole: its pools are empty until the child uses them.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import time
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from hypern import _native
from hypern._status import PoolStatus
from hypern.config.settings import PoolConfig, Settings, make_settings
from hypern.errors import ConfigurationError, CoreUnavailable, OperationalError, PoolTimeout
from hypern.pool import attendant, observer
from hypern.session.blocking import DbSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hypern.pool.observer import EventHook, Observer, StatementHook

    _Loads = Callable[[str], object]
    _Dumps = Callable[[Any], str]

_CLOSE_SECS = 5.0  # the longest time that closing one pool may take
_READY_SECS = 0.01  # between two looks at the connections that are being made
_EXIT_SECS = 2.0  # the longest time that all pools together may delay the interpreter's exit


# What a scope's options come to: see hypern.scope.options.Kept.
OpenedWith: TypeAlias = "tuple[bytes, float, float, str | None, bool, str | None, object]"


class _Configured(NamedTuple):
    settings: Settings
    pool: _native.Pool


_configured: dict[str, _Configured] = {}
_at_exit_registered = False

# Whether any alias has had a replica, so that scopes have to know what they commit.
has_replicas = False

# By alias and name of the type: the callables of `register_type`.
_converters: dict[str, dict[str, tuple[_Loads | None, _Dumps | None]]] = {}

# Finds the settings of an alias that was not configured, once it is needed; None if there is none.
find_missing: Callable[[str], PoolConfig | None] = lambda alias: None  # noqa: E731


class Lender(Protocol):
    """Lends the sessions of another's connections, so that `db()` is in their transactions."""

    session_type: type[DbSession]

    def __call__(self) -> DbSession | None:
        """The session to use in this thread; None: one of the request's own."""


# By alias; `lend` adds to it.
lenders: dict[str, Lender] = {}


def lend(alias: str, lender: Lender) -> None:
    """Have `db()` borrow an alias's sessions, unless they are lent already."""
    _native.track_borrowed()
    lenders.setdefault(alias, lender)


def configure(alias: str, given: PoolConfig, session_type: type[DbSession] | None = None) -> None:
    """Configure an alias. The same settings again change nothing, other settings raise."""
    global has_replicas
    settings = make_settings(alias, given)
    if settings.replica is not None:
        has_replicas = True
        _native.track_written()
    existing = _configured.get(alias)
    if existing is None:
        if session_type is None:
            lender = lenders.get(alias)
            session_type = DbSession if lender is None else lender.session_type
        pool = make_pool(settings, session_type, alias)
        pool.observer = observer_of(alias, settings)
        for name, (loads, dumps) in _converters.get(alias, {}).items():
            pool.register_type(name, loads, dumps)
        existing = _configured.setdefault(alias, _Configured(settings, pool))
    if existing.settings != settings:
        raise ConfigurationError(
            f'database "{alias}" is already configured with other settings; '
            f'call Database.close("{alias}") first'
        )


def make_pool(settings: Settings, session_type: type[DbSession], hooks_of: str) -> _native.Pool:
    """A pool that no alias knows of. hooks_of: the alias whose on_connect functions it calls."""

    def attend() -> None:
        attendant.attend(pool, settings.password, hooks_of)

    pool = _native.Pool(
        settings.alias,
        settings.to_core(),
        session_type=session_type,
        json_loads=settings.json_loads,
        json_dumps=settings.json_dumps,
        infinity_minmax=settings.infinity == "minmax",
        attend=attend,
    )
    return pool


def settings_of(alias: str) -> Settings | None:
    """The alias's settings; None if it is not configured."""
    entry = _configured.get(alias)
    return None if entry is None else entry.settings


def find(alias: str) -> None:
    """Configure an alias that is not, if its settings are found."""
    if alias not in _configured and (given := find_missing(alias)) is not None:
        configure(alias, given)


def is_configured(alias: str) -> bool:
    """Whether the alias has settings."""
    return alias in _configured


def open_session(alias: str, request_id: str, kept: OpenedWith | None = None) -> DbSession:
    """The session of a request on an alias. The first call in a process loads the core.

    kept: the options of the request's scope, for a session that is not open yet.
    """
    entry = _configured.get(alias) or _entry(alias)
    if not _at_exit_registered:
        _register_at_exit()
    session: DbSession = entry.pool.open(request_id, kept)
    return session


def load(alias: str) -> None:
    """Have the core loaded, and given the alias's settings."""
    entry = _entry(alias)
    if not _at_exit_registered:
        _register_at_exit()
    entry.pool.load()


def status(alias: str) -> PoolStatus:
    """The pool's status. Neither loads the core nor connects."""
    entry = _entry(alias)
    data = entry.pool.status()
    if data is None:
        unused = PoolStatus(size=0, available=0, max_size=entry.settings.max_size)
        return unused if entry.settings.replica is None else replace(unused, replica=unused)
    return PoolStatus.from_core(data)


def close(alias: str | None) -> None:
    """Close one pool, or all if None, and forget the settings; then raise the first failure."""
    names = list(_configured) if alias is None else [alias]
    for name in names:
        _converters.pop(name, None)
    look_again(names)


def drain(alias: str) -> None:
    """Replace the pool's connections: idle ones at once, those in use as they come back."""
    _entry(alias).pool.drain()


def ready(alias: str, timeout: float | None) -> None:
    """Connect, and wait until min_idle connections are open. Raises what keeps them from that."""
    entry = _entry(alias)
    limit_ms = entry.settings.acquire_timeout_ms
    if timeout is None and limit_ms is not None:
        timeout = limit_ms / 1000
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    session = open_session(alias, f"hypern ready {os.urandom(6).hex()}")
    try:
        session.execute("SELECT 1", timeout=timeout)
    finally:
        session._finalize(0.0)
    while (now := status(alias)).size < entry.settings.min_idle:
        if now.last_error is not None:
            raise OperationalError(f'no further connection for alias "{alias}": {now.last_error}')
        if time.monotonic() > deadline:
            raise PoolTimeout(
                f'{now.size} of min_idle={entry.settings.min_idle} connections for alias "{alias}" '
                f"were made within {timeout:g} s"
            )
        time.sleep(_READY_SECS)


def look_again(names: Iterable[str]) -> None:
    """Close the pools of these aliases and forget their settings, but not the registered types;
    then raise the first failure. `find_missing` finds the settings when they are needed again.
    """
    forgotten = (_configured.pop(name, None) for name in names)  # each when its turn comes
    _each(filter(None, forgotten), close_pool)


def close_pool(pool: _native.Pool) -> None:
    """Close a pool that `make_pool` has made."""
    attendant.forget(pool.alias)
    pool.close(_CLOSE_SECS)


def disconnect(seconds: float) -> None:
    """Close every pool's connections within so many seconds; then raise the first failure.

    The settings stay, so the next session connects again.
    """
    deadline = time.monotonic() + seconds
    _each(
        list(_configured.values()),
        lambda pool: pool.disconnect(max(deadline - time.monotonic(), 0.0)),
    )


def largest() -> int:
    """The largest max_size of any alias; 0 if none is configured."""
    return max((entry.settings.max_size for entry in list(_configured.values())), default=0)


def register_type(
    alias: str,
    name: str,
    loads: _Loads | None,
    dumps: _Dumps | None,
) -> None:
    """Register converters for a type's text with an alias's pool."""
    _entry(alias).pool.register_type(name, loads, dumps)
    _converters.setdefault(alias, {})[name] = (loads, dumps)


def aliases() -> tuple[str, ...]:
    """The configured aliases, in the order in which they were configured."""
    return tuple(_configured)


def add_statement_hook(hook: StatementHook | None) -> None:
    """Add a hook that present and future pools call after each statement; None removes all."""
    observer.add_statement_hook(hook)
    _observe()


def add_event_hook(hook: EventHook | None) -> None:
    """The same for hooks that are called with an Event."""
    observer.add_event_hook(hook)
    _observe()


def observer_of(alias: str, settings: Settings) -> Observer | None:
    """The observer for a pool with these settings, whose sessions belong to the alias."""
    return observer.observer(alias, settings.database, settings.slow_query_secs)


def _observe() -> None:
    for alias, entry in list(_configured.items()):
        entry.pool.observer = observer_of(alias, entry.settings)


def _entry(alias: str) -> _Configured:
    entry = _configured.get(alias)
    if entry is None and (given := find_missing(alias)) is not None:
        configure(alias, given)
        entry = _configured.get(alias)
    if entry is None:
        known = ", ".join(f'"{name}"' for name in sorted(_configured)) or "none"
        raise ConfigurationError(
            f'no database is configured under the alias "{alias}" (configured: {known}); '
            "call Database.configure() first"
        )
    return entry


def _each(entries: Iterable[_Configured], action: Callable[[_native.Pool], None]) -> None:
    """Act on every pool, whatever happens to one of them; then raise the first failure."""
    first: Exception | None = None
    for entry in entries:
        try:
            action(entry.pool)
        except Exception as error:
            first = first or error
    if first is not None:
        raise first


def _register_at_exit() -> None:
    global _at_exit_registered
    _at_exit_registered = True
    atexit.register(_at_exit)


def _at_exit() -> None:
    """Warn of sessions that nobody finalized, and disconnect the pools."""
    try:
        left_open = json.loads(_native.left_open())
    except CoreUnavailable:
        return  # the core has failed before, with an error that its caller has seen
    for left in left_open:
        warnings.warn(
            f'the database session of request "{left["request_id"]}" on "{left["alias"]}" was '
            f"never finalized (open for {left['age_secs']:.0f} s), and its uncommitted changes are "
            "lost; use scope(), the middleware or finalize_db()",
            ResourceWarning,
            stacklevel=1,
        )
    disconnect(_EXIT_SECS)
