"""Opens the session below a connection, blocking or awaited, without waiting for anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hypern.dbapi.base import PARAMSTYLES
from hypern.dbapi.pools import SharedPool, pool_for, request_id
from hypern.errors import ConfigurationError

if TYPE_CHECKING:
    from hypern.session.blocking import DbSession

    _C = TypeVar("_C", covariant=True)

    class Maker(Protocol[_C]):
        """A class of connections."""

        def __call__(
            self, session: DbSession, pool: SharedPool, *, autocommit: bool, paramstyle: str
        ) -> _C: ...


def opened(
    make: Maker[_C],
    url: str | None,
    alias: str | None,
    autocommit: bool,
    paramstyle: str,
    settings: dict[str, Any],
) -> _C:
    """The connection that the arguments of `connect()` mean, not connected yet."""
    if paramstyle not in PARAMSTYLES:
        raise ConfigurationError(f"paramstyle must be one of: {', '.join(PARAMSTYLES)}")
    while True:  # until the pool is one that nobody gives up meanwhile
        pool = pool_for(url, alias, settings)
        session = pool.open(request_id())
        if session is not None:
            return make(session, pool, autocommit=autocommit, paramstyle=paramstyle)
