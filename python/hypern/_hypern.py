"""The low-level names, as the specification's "Low-Level API" has them: the same pools, plainly."""

from __future__ import annotations

from hypern import _pools
from hypern._config import PoolConfig
from hypern._session import DbSession
from hypern._status import PoolStatus
from hypern.database import db as get_db
from hypern.database import finalize_db

__all__ = ["ConnectionPool", "DbSession", "PoolConfig", "PoolStatus", "finalize_db", "get_db"]


class ConnectionPool:
    """Static methods on the pools of this process, one per alias."""

    @staticmethod
    def initialize(config: PoolConfig) -> None:
        """Configure the alias "default"; `Database.configure` says what may be raised."""
        _pools.configure("default", config)

    @staticmethod
    def initialize_with_alias(config: PoolConfig, alias: str) -> None:
        """Configure an alias."""
        _pools.configure(alias, config)

    @staticmethod
    def is_initialized() -> bool:
        """Whether the alias "default" is configured."""
        return _pools.is_configured("default")

    @staticmethod
    def status() -> PoolStatus | None:
        """The status of the alias "default"; None where it is not configured."""
        return ConnectionPool.status_for_alias("default")

    @staticmethod
    def status_for_alias(alias: str) -> PoolStatus | None:
        """The status of an alias; None where it is not configured."""
        return _pools.status(alias) if _pools.is_configured(alias) else None

    @staticmethod
    def close_alias(alias: str) -> None:
        """Close an alias's pool and forget its settings; an unknown alias is fine."""
        _pools.close(alias)

    @staticmethod
    def close_all() -> None:
        """Close every pool and forget the settings."""
        _pools.close(None)
