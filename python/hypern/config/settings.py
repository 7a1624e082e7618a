"""The settings of one alias: validated at once, immutable, compared as a whole."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hypern.config.conninfo import resolve
from hypern.config.parse import parse
from hypern.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from hypern._literals import Infinity, Pooler, Reset, StatementCache

    Password = Callable[[], str | Awaitable[str]]
    JsonLoads = Callable[[bytes | str], object]
    JsonDumps = Callable[[object], str | bytes]

_MAX_CONNECTIONS = 262_143  # the maximum of PostgreSQL's max_connections
_MAX_SECONDS = 2_147_483  # a server's time limits are int32 milliseconds
_DEFAULT_CONNECT_SECS = 30


@dataclass(frozen=True)
class PoolConfig:
    """The settings as a user gives them, not validated; `Database.configure` explains each."""

    url: str = field(repr=False)  # may contain a password
    max_size: int = 16
    min_idle: int | None = None
    connect_timeout_secs: float = _DEFAULT_CONNECT_SECS
    idle_timeout_secs: float | None = None
    max_lifetime_secs: float | None = None
    test_before_acquire: bool = False
    keepalive_secs: int | None = None
    acquire_timeout_secs: float | None = field(default=None, kw_only=True)
    statement_timeout_secs: float | None = field(default=None, kw_only=True)
    commit_timeout_secs: float | None = field(default=60.0, kw_only=True)
    application_name: str | None = field(default=None, kw_only=True)
    statement_cache: StatementCache = field(default="auto", kw_only=True)
    reset: Reset = field(default="full", kw_only=True)
    password: str | Password | None = field(default=None, kw_only=True, repr=False)
    infinity: Infinity = field(default="error", kw_only=True)
    json_loads: JsonLoads | None = field(default=None, kw_only=True)
    json_dumps: JsonDumps | None = field(default=None, kw_only=True)
    slow_query_secs: float | None = field(default=None, kw_only=True)
    statement_max_age_secs: float | None = field(default=60.0, kw_only=True)
    atomic: bool = field(default=False, kw_only=True)
    settings: str | None = field(default=None, kw_only=True)
    replica: str | None = field(default=None, kw_only=True, repr=False)  # may contain a password
    replica_wait_secs: float = field(default=0.1, kw_only=True)
    sql_comments: bool = field(default=False, kw_only=True)
    pooler: Pooler = field(default="auto", kw_only=True)
    listen_url: str | None = field(default=None, kw_only=True, repr=False)
    timezone: str | None = field(default=None, kw_only=True)  # a startup parameter, as of PGTZ


@dataclass(frozen=True)
class Settings:
    """The resolved settings of one alias. The repr omits what may contain a password.

    Times are milliseconds, None is no limit; only `keepalive_secs` is seconds.
    """

    alias: str
    conninfo: dict[str, str] = field(repr=False)
    password: Password | None = field(repr=False)
    max_size: int
    min_idle: int
    connect_timeout_ms: int | None
    acquire_timeout_ms: int | None
    idle_timeout_ms: int | None
    max_lifetime_ms: int | None
    test_before_acquire: bool
    keepalive_secs: int | None
    statement_timeout_ms: int | None
    commit_timeout_ms: int | None
    statement_cache: str
    statement_max_age_ms: int | None
    reset: str
    infinity: str
    json_loads: JsonLoads | None
    json_dumps: JsonDumps | None
    slow_query_secs: float | None
    atomic: bool = False
    requires_settings: bool = False
    sql_comments: bool = False
    # The pool of the sessions that only read, with the same limits as this one.
    replica: Settings | None = None
    replica_wait_ms: int = 0
    pooler: str = "auto"
    # How the connection that listens is made, if it is made otherwise.
    listen_conninfo: dict[str, str] | None = field(default=None, repr=False)
    # The process in which all pools with this setting share one connection, inside one transaction
    # that is never committed (hypern.testing); 0: an ordinary pool.
    nested: int = 0

    @property
    def database(self) -> str:
        """The name of the database that they lead to."""
        return self.conninfo.get("dbname") or self.conninfo["user"]

    def to_core(self) -> bytes:
        """The settings for the core, as JSON (bytes, UTF-8)."""
        return json.dumps(self._fields()).encode()

    def _fields(self) -> dict[str, Any]:
        return {
            "alias": self.alias,
            "conninfo": self.conninfo,
            "pooler": self.pooler,
            "listen": self._listen_to_core(),
            "callable_password": self.password is not None,
            "max_size": self.max_size,
            "min_idle": self.min_idle,
            "connect_timeout_ms": self.connect_timeout_ms or 0,
            "acquire_timeout_ms": self.acquire_timeout_ms or 0,
            "idle_timeout_ms": self.idle_timeout_ms or 0,
            "max_lifetime_ms": self.max_lifetime_ms or 0,
            "test_before_acquire": self.test_before_acquire,
            "keepalive_secs": self.keepalive_secs or 0,
            "statement_timeout_ms": self.statement_timeout_ms or 0,
            "commit_timeout_ms": self.commit_timeout_ms or 0,
            "statement_cache": self.statement_cache,
            "statement_max_age_ms": self.statement_max_age_ms or 0,
            "reset": self.reset,
            "atomic": self.atomic,
            "requires_settings": self.requires_settings,
            "nested": self.nested,
            "sql_comments": self.sql_comments,
            "replica": None if self.replica is None else self.replica._fields(),
            "replica_wait_ms": self.replica_wait_ms,
        }

    def _listen_to_core(self) -> dict[str, object] | None:
        if self.listen_conninfo is None:
            return None
        return {
            "conninfo": self.listen_conninfo,
            "connect_timeout_ms": self.connect_timeout_ms or 0,
            "keepalive_secs": self.keepalive_secs or 0,
        }


def make_settings(alias: str, given: PoolConfig) -> Settings:
    """Validate and resolve the settings that a user has given.

    Reads the environment and libpq's files, and does not connect. Raises ConfigurationError.
    """
    _text("alias", alias)
    _text("url", given.url)
    password = given.password
    overrides: dict[str, str] = {}
    if given.application_name is not None:
        overrides["application_name"] = _text("application_name", given.application_name)
    if isinstance(password, str):
        overrides["password"] = _text("password", password)
    elif password is not None and not callable(password):
        raise ConfigurationError("password must be a str or a callable that returns one")
    conninfo = resolve(given.url, overrides)
    if given.timezone:
        conninfo["timezone"] = given.timezone
    if callable(password):
        conninfo.pop("password", None)
    if getattr(password, "requires_tls", False):
        _require_tls(conninfo)

    connect_ms = _milliseconds("connect_timeout_secs", given.connect_timeout_secs)
    url_connect_secs = conninfo.pop("connect_timeout", None)
    if url_connect_secs is not None and given.connect_timeout_secs == _DEFAULT_CONNECT_SECS:
        # As in libpq, zero and negative mean no limit.
        connect_ms = min(max(int(url_connect_secs), 0), _MAX_SECONDS) * 1000 or None
    keepalive = _whole("keepalive_secs", given.keepalive_secs, 1, 32_767)  # the kernel's limit
    url_keepalive = conninfo.pop("keepalives_idle", None)
    if keepalive is None and url_keepalive is not None:
        keepalive = _whole("keepalives_idle", int(url_keepalive), 0, 32_767) or None

    size = _whole("max_size", given.max_size, 1, _MAX_CONNECTIONS)
    idle = _whole("min_idle", given.min_idle, 0, _MAX_CONNECTIONS) or 0
    if size is None:
        raise ConfigurationError("max_size must be a whole number, not None")
    if idle > size:
        raise ConfigurationError(f"min_idle ({idle}) is above max_size ({size})")
    acquire_ms = _milliseconds("acquire_timeout_secs", given.acquire_timeout_secs)
    return Settings(
        alias=alias,
        conninfo=conninfo,
        password=None if isinstance(password, str) else password,
        max_size=size,
        min_idle=idle,
        connect_timeout_ms=connect_ms,
        acquire_timeout_ms=connect_ms if given.acquire_timeout_secs is None else acquire_ms,
        idle_timeout_ms=_milliseconds("idle_timeout_secs", given.idle_timeout_secs),
        max_lifetime_ms=_milliseconds("max_lifetime_secs", given.max_lifetime_secs),
        test_before_acquire=_flag("test_before_acquire", given.test_before_acquire),
        keepalive_secs=keepalive,
        statement_timeout_ms=_milliseconds("statement_timeout_secs", given.statement_timeout_secs),
        commit_timeout_ms=_milliseconds("commit_timeout_secs", given.commit_timeout_secs),
        statement_cache=_choice(
            "statement_cache", given.statement_cache, ("auto", "named", "describe", "off")
        ),
        statement_max_age_ms=_milliseconds("statement_max_age_secs", given.statement_max_age_secs),
        reset=_choice("reset", given.reset, ("full", "transaction", "off")),
        infinity=_choice("infinity", given.infinity, ("error", "minmax")),
        json_loads=_hook("json_loads", given.json_loads),
        json_dumps=_hook("json_dumps", given.json_dumps),
        slow_query_secs=_seconds("slow_query_secs", given.slow_query_secs, least=0),
        atomic=_flag("atomic", given.atomic),
        pooler=_choice("pooler", given.pooler, ("auto", "none", "session", "shared")),
        listen_conninfo=_listen_conninfo(given, password),
        requires_settings=given.settings is not None
        and _choice("settings", given.settings, ("required",)) == "required",
        sql_comments=_flag("sql_comments", given.sql_comments),
        replica=_replica_settings(alias, given),
        replica_wait_ms=math.ceil(
            (_seconds("replica_wait_secs", given.replica_wait_secs, least=0) or 0) * 1000
        ),
    )


def _replica_settings(alias: str, given: PoolConfig) -> Settings | None:
    """The settings of an alias's replica: its own servers, and the alias's limits."""
    if given.replica is None:
        return None
    url = _text("replica", given.replica)
    if not url:
        raise ConfigurationError("replica is empty; None is no replica")
    try:
        own = replace(given, url=url, replica=None, listen_url=None)
        settings = make_settings(f"{alias} (replica)", own)
        # That of the environment is meant for the primary.
        attributes = parse(url).get("target_session_attrs", "standby")
    except ConfigurationError as error:
        raise ConfigurationError(f"replica: {error}") from None
    return replace(settings, conninfo={**settings.conninfo, "target_session_attrs": attributes})


def _listen_conninfo(given: PoolConfig, password: object) -> dict[str, str] | None:
    if given.listen_url is None:
        return None
    overrides = {"password": password} if isinstance(password, str) else {}
    conninfo = resolve(_text("listen_url", given.listen_url), overrides)
    for name in ("connect_timeout", "keepalives_idle"):
        conninfo.pop(name, None)
    if callable(password):
        conninfo.pop("password", None)
    if getattr(password, "requires_tls", False):
        _require_tls(conninfo)
    return conninfo


def _require_tls(conninfo: dict[str, str]) -> None:
    """The password is a cloud's token, which must not be sent unencrypted."""
    if conninfo["sslmode"] in ("disable", "allow"):
        raise ConfigurationError(
            f"password= requires TLS, and sslmode={conninfo['sslmode']} may connect without; "
            "use verify-full"
        )
    if any(host.startswith(("/", "@")) for host in conninfo["host"].split(",")):
        raise ConfigurationError("password= requires TLS, which a unix socket does not have")
    if conninfo["sslmode"] == "prefer":
        conninfo["sslmode"] = "require"


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a str, not {type(value).__name__}")
    if "\0" in value:
        raise ConfigurationError(f"{name} cannot contain a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ConfigurationError(f"{name} cannot be sent as UTF-8: it contains a lone surrogate")
    if name == "alias" and not value:
        raise ConfigurationError("alias must not be empty")
    return value


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {type(value).__name__}")
    return value


def _whole(name: str, value: object, least: int, most: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"{name} must be a whole number, not {type(value).__name__}")
    if not least <= value <= most:
        raise ConfigurationError(f"{name} must be from {least} to {most}, not {value}")
    return value


def _seconds(name: str, value: object, *, least: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not least <= value <= _MAX_SECONDS:  # false for a NaN
        raise ConfigurationError(f"{name} must be from {least:g} to {_MAX_SECONDS}, not {value}")
    return float(value)


def _milliseconds(name: str, value: object) -> int | None:
    seconds = _seconds(name, value, least=0.001)
    return None if seconds is None else math.ceil(seconds * 1000)


def _choice(name: str, value: Any, choices: Collection[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise ConfigurationError(f"{name} must be one of: {', '.join(choices)}")
    return value


def _hook(name: str, value: Any) -> Any:
    if value is not None and not callable(value):
        raise ConfigurationError(f"{name} must be callable, not {type(value).__name__}")
    return value
