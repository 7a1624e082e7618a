"""The configured aliases of this process: their settings and pools.

The registry is a dict and each change of it one operation, so it needs no lock, and a forked child
inherits it whole: the pools in it are empty shells until their first use in that process.
"""

from __future__ import annotations

import atexit
import json
import time
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from hypern import _native, _observer
from hypern._config import PoolConfig, Settings, make_settings
from hypern._observer import observer
from hypern._session import DbSession
from hypern._status import PoolStatus
from hypern.errors import ConfigurationError, CoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypern._observer import StatementHook

_CLOSE_SECS = 5.0  # the longest that closing one pool may take
_EXIT_SECS = 2.0  # the longest that all pools together may delay the interpreter's exit


class _Configured(NamedTuple):
    settings: Settings
    pool: _native.Pool


_configured: dict[str, _Configured] = {}
_at_exit_registered = False


def configure(alias: str, given: PoolConfig) -> None:
    """Configure an alias; the same settings again change nothing, others raise."""
    settings = make_settings(alias, given)
    existing = _configured.get(alias)
    if existing is None:
        pool = _native.Pool(
            alias,
            settings.to_core(),
            session_type=DbSession,
            json_loads=settings.json_loads,
            json_dumps=settings.json_dumps,
            infinity_minmax=settings.infinity == "minmax",
            password=settings.password,
        )
        pool.observer = observer(alias, settings.slow_query_secs)
        existing = _configured.setdefault(alias, _Configured(settings, pool))
    if existing.settings != settings:
        raise ConfigurationError(
            f'database "{alias}" is configured already, with other settings; '
            f'call Database.close("{alias}") first'
        )


def settings_of(alias: str) -> Settings | None:
    """The alias's settings; None where it is not configured."""
    entry = _configured.get(alias)
    return None if entry is None else entry.settings


def is_configured(alias: str) -> bool:
    """Whether the alias has settings."""
    return alias in _configured


def open_session(alias: str, request_id: str) -> DbSession:
    """The session of a request on an alias; loads the core at the first call in a process."""
    entry = _configured.get(alias)
    if entry is None:
        raise _unknown(alias)
    if not _at_exit_registered:
        _register_at_exit()
    session: DbSession = entry.pool.open(request_id)
    return session


def status(alias: str) -> PoolStatus:
    """The pool's status; loads and connects nothing."""
    entry = _configured.get(alias)
    if entry is None:
        raise _unknown(alias)
    data = entry.pool.status()
    if data is None:
        return PoolStatus(size=0, available=0, max_size=entry.settings.max_size)
    return PoolStatus.from_core(data)


def close(alias: str | None) -> None:
    """Close one pool, or with None all, and forget the settings; then raise the first failure."""
    aliases = list(_configured) if alias is None else [alias]
    first: Exception | None = None
    for name in aliases:
        entry = _configured.pop(name, None)
        if entry is None:
            continue
        try:
            entry.pool.close(_CLOSE_SECS)
        except Exception as error:
            first = first or error
    if first is not None:
        raise first


def disconnect(seconds: float) -> None:
    """Close every pool's connections, in so many seconds at most; then raise the first failure.
    The settings stay, so that the next session connects again.
    """
    deadline = time.monotonic() + seconds
    first: Exception | None = None
    for entry in list(_configured.values()):
        try:
            entry.pool.disconnect(max(deadline - time.monotonic(), 0.0))
        except Exception as error:
            first = first or error
    if first is not None:
        raise first


def largest() -> int:
    """The most connections that any one alias may have; 0 where none is configured."""
    return max((entry.settings.max_size for entry in list(_configured.values())), default=0)


def register_type(
    alias: str,
    name: str,
    loads: Callable[[str], object] | None,
    dumps: Callable[[Any], str] | None,
) -> None:
    """Tell an alias's pool how a type's text is read and written."""
    entry = _configured.get(alias)
    if entry is None:
        raise _unknown(alias)
    entry.pool.register_type(name, loads, dumps)


def set_hook(hook: StatementHook | None) -> None:
    """Make `hook` what every pool, present and to come, tells of its statements."""
    _observer.set_hook(hook)
    for alias, entry in list(_configured.items()):
        entry.pool.observer = observer(alias, entry.settings.slow_query_secs)


def _unknown(alias: str) -> ConfigurationError:
    known = ", ".join(f'"{name}"' for name in sorted(_configured)) or "none"
    return ConfigurationError(
        f'no database is configured under the alias "{alias}" (configured: {known}); '
        "call Database.configure() first"
    )


def _register_at_exit() -> None:
    global _at_exit_registered
    _at_exit_registered = True
    atexit.register(_at_exit)


def _at_exit() -> None:
    """Warn of sessions that nobody finalized, and give the connections back to the server."""
    try:
        left_open = json.loads(_native.left_open())
    except CoreUnavailable:
        return  # it stopped with an error that a caller has seen; nothing of it can be asked now
    for left in left_open:
        warnings.warn(
            f'the database session of request "{left["request_id"]}" on "{left["alias"]}" was '
            f"never finalized (open for {left['age_secs']:.0f} s); what it had not committed is "
            "lost. Use scope(), the middleware or finalize_db()",
            ResourceWarning,
            stacklevel=1,
        )
    disconnect(_EXIT_SECS)
