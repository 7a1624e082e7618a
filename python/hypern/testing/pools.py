"""The pools that a test has in the place of the configured ones: one for each alias."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from hypern import _native
from hypern.errors import Error
from hypern.pool import registry
from hypern.session.blocking import DbSession

if TYPE_CHECKING:
    from hypern.config.settings import Settings
    from hypern.pool.observer import Observer

_SUFFIX = " (test)"


class TestSession(DbSession):
    """A session of such a pool, under the alias's name; in the core the alias's own pool has it."""

    __slots__ = ()

    @property
    def alias(self) -> str:
        return super().alias.removesuffix(_SUFFIX)


class TestPools:
    """Pools of their own: the code under test may configure, close and disconnect as it likes.

    All of them lead to the database of `settings`; what else is set for an alias stays. None: to
    the database of each alias.
    """

    session_type: ClassVar[type[TestSession]] = TestSession

    def __init__(self, settings: Settings | None) -> None:
        self._settings = settings
        self._pools: dict[str, _native.Pool] = {}
        self._find = _native.sessions
        self._request_ids: set[str] = set()

    def settings_for(self, own: Settings) -> Settings:
        """The settings of an alias's pool. own: what the alias is configured with."""
        if self._settings is None:
            return own
        return replace(
            own,
            conninfo=self._settings.conninfo,
            password=self._settings.password,
            replica=None,
        )

    def observer_for(self, alias: str, settings: Settings) -> Observer | None:
        """What an alias's pool calls after each statement."""
        return registry.observer_of(alias, settings)

    def session(
        self, alias: str, request_id: str, kept: registry.OpenedWith | None = None
    ) -> DbSession:
        """The session of a request on an alias; the same one until it is finalized."""
        pool = self._pools.get(alias)
        if pool is None:
            own = registry.settings_of(alias) or self._settings
            if own is None:
                raise AssertionError(f'"{alias}" is not configured')
            settings = self.settings_for(own)
            test_settings = replace(settings, alias=alias + _SUFFIX)
            made = registry.make_pool(test_settings, self.session_type, alias)
            made.observer = self.observer_for(alias, settings)
            pool = self._pools.setdefault(alias, made)
        self._request_ids.add(request_id)
        session: DbSession = pool.open(request_id, kept)
        return session

    def find(self, request_id: str, alias: str | None) -> list[DbSession]:
        """The open sessions of a request, as `_native.sessions` has them."""
        if alias is not None and not alias.endswith(_SUFFIX):
            alias += _SUFFIX
        return self._find(request_id, alias)

    def close(self) -> None:
        """End what the test has left open, and close the pools."""
        with ExitStack() as stack:
            for alias, pool in self._pools.items():
                stack.callback(registry.close_pool, pool)
                for request_id in self._request_ids:
                    for session in self.find(request_id, alias):
                        session.set_error()
                        with suppress(Error):  # such as an open block: none of it is kept
                            session._finalize(0.0)
