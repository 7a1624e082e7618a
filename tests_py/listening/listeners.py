"""Listeners of either kind, and the connection that they share."""

from __future__ import annotations

from typing import Any

import either

from hypern.database import Notification, Reconnected, db, listen, scope

LISTENING = (
    "SELECT pid FROM pg_stat_activity "
    "WHERE application_name = 'hypern listen' AND datname = current_database()"
)


class Events:
    """A listener of either kind, read by blocking calls."""

    def __init__(self, *channels: str, alias: str = "default") -> None:
        self._block = listen(*channels, alias=alias)
        self._listener: Any = None

    def __enter__(self) -> Events:
        if either._loops is None:
            self._listener = self._block.__enter__()
        else:
            self._listener = either.run(self._block.__aenter__())
        return self

    def __exit__(self, *exc: Any) -> None:
        if either._loops is None:
            self._block.__exit__(*exc)
        else:
            either.run(self._block.__aexit__(*exc))

    def get(self, timeout: float | None = 20) -> Notification | Reconnected | None:
        given = self._listener.get(timeout=timeout)
        return given if either._loops is None else either.run(given)  # type: ignore[no-any-return]

    def __next__(self) -> Notification | Reconnected:
        if either._loops is None:
            return next(self._listener)  # type: ignore[no-any-return]
        return either.run(anext(self._listener))  # type: ignore[no-any-return]


def notify(channel: str, payload: str = "") -> None:
    with scope():
        either.db().notify(channel, payload)


def pids() -> list[int]:
    with scope():
        return db().query_values(LISTENING)


def lose() -> None:
    """Have the server end the connection that listens."""
    before = pids()
    assert before
    with scope():
        db().query_values("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) pid", [before])
