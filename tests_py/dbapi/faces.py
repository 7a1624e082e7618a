"""Blocking connections, and awaited ones that are called as those are: one test body for both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

from hypern import dbapi
from hypern.dbapi import aio

Connect = Callable[..., dbapi.Connection]


class Awaited:
    """Connects as `hypern.dbapi.aio` does, on a loop of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def connect(self, *args: Any, **kwargs: Any) -> dbapi.Connection:
        return cast(dbapi.Connection, self.plain(aio.connect(*args, **kwargs)))

    def close(self) -> None:
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def plain(self, answer: Any) -> Any:
        if inspect.isawaitable(answer):
            answer = self.loop.run_until_complete(cast("Any", answer))
        if isinstance(answer, (aio.AsyncConnection, aio.AsyncCursor)):
            return _Face(answer, self)
        return answer


class _Face:
    """An awaited object that is called as its blocking twin is."""

    def __init__(self, target: Any, runner: Awaited) -> None:
        self.__dict__.update(_target=target, _runner=runner)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name == "info":
            return _Info(found, self._runner)
        if not inspect.isroutine(found):
            return self._runner.plain(found)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._runner.plain(found(*args, **kwargs))

        return call

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._target, name, value)

    def __enter__(self) -> Any:
        return self._runner.plain(self._target.__aenter__())

    def __exit__(self, *raised: object) -> None:
        self._runner.plain(self._target.__aexit__(*raised))

    def __iter__(self) -> Iterator[Any]:
        rows = self._target.__aiter__()
        while True:
            try:
                row = self._runner.plain(anext(rows))
            except StopAsyncIteration:
                return
            yield row


class _Info:
    """`info` of an awaited connection: what asks the server is a method there."""

    def __init__(self, target: Any, runner: Awaited) -> None:
        self._target = target
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name in ("server_version", "backend_pid"):
            return self._runner.plain(found())
        if name == "parameter_status":
            return lambda setting: self._runner.plain(found(setting))
        return found
