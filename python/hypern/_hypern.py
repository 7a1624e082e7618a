"""The low-level names of the specification's "Low-Level API", on the pools of `Database`."""

from __future__ import annotations

from hypern.config.settings import PoolConfig
from hypern.database import DbSession, PoolStatus, finalize_db
from hypern.database import db as get_db
from hypern.pool import registry

__all__ = ["ConnectionPool", "DbSession", "PoolConfig", "PoolStatus", "finalize_db", "get_db"]


class ConnectionPool:
    """Static methods on the pools of this process, one per alias."""

    @staticmethod
    def initialize(config: PoolConfig) -> None:
        """Configure the alias "default". The errors are those of `Database.configure`."""
        registry.configure("default", config)

    @staticmethod
    def initialize_with_alias(config: PoolConfig, alias: str) -> None:
        """Configure an alias."""
        registry.configure(alias, config)

    @staticmethod
    def is_initialized() -> bool:
        """Whether the alias "default" is configured."""
        return registry.is_configured("default")

    @staticmethod
    def status() -> PoolStatus | None:
        """The status of the alias "default"; None if it is not configured."""
        return ConnectionPool.status_for_alias("default")

    @staticmethod
    def status_for_alias(alias: str) -> PoolStatus | None:
        """The status of an alias; None if it is not configured."""
        return registry.status(alias) if registry.is_configured(alias) else None

    @staticmethod
    def close_alias(alias: str) -> None:
        """Close an alias's pool and forget its settings; an unknown alias is ignored."""
        registry.close(alias)

    @staticmethod
    def close_all() -> None:
        """Close every pool and forget the settings."""
        registry.close(None)


PoolConfig.__module__ = __name__  # where users import it
