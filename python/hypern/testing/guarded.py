"""Pools for reading only, in the place of the configured ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypern.errors import ReadOnlySqlTransaction
from hypern.testing.pools import TestPools

if TYPE_CHECKING:
    from hypern.config.settings import Settings
    from hypern.pool.observer import Observer

_READ_ONLY = "-c default_transaction_read_only=on"


class GuardedPools(TestPools):
    """Pools on the databases that the aliases are configured for. What the server refuses, since it
    would write, is added to `refused`.
    """

    def __init__(self, refused: list[str]) -> None:
        super().__init__(None)
        self._refused = refused

    def settings_for(self, own: Settings) -> Settings:
        options = f"{own.conninfo.get('options', '')} {_READ_ONLY}".strip()
        return replace(own, conninfo={**own.conninfo, "options": options}, min_idle=0)

    def observer_for(self, alias: str, settings: Settings) -> Observer:
        observe = super().observer_for(alias, settings)

        def note(*told: object) -> None:
            # (session, method, sql, ..., error), see hypern.pool.observer
            if isinstance(told[-1], ReadOnlySqlTransaction):
                self._refused.append(str(told[2]))
            if observe is not None:
                observe(*told)  # type: ignore[arg-type]

        return note
