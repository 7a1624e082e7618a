"""Sessions for tests that run twice: blocking ones, and awaited ones behind the same face.

The fixture `kind` decides which of them `db` gives. A call of an awaited one runs the method of
`AsyncDbSession` to its end, on an event loop of the calling thread: so one test body says what both
must do.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Final, TypeVar, cast

from hypern import database
from hypern.database import AsyncDbSession, AsyncTransaction, Column, DbSession, Scope
from hypern.scope.identify import CURRENT
from hypern.scope.scope import current_scope
from hypern.session.batch import AsyncBatch
from hypern.session.stream import AsyncStream

_T = TypeVar("_T")

KINDS: Final = ("blocking", "awaited")


class _Loops(threading.local):
    """The event loop of each thread that runs awaited sessions."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        _all.append(self.loop)


_all: list[asyncio.AbstractEventLoop] = []
_loops: _Loops | None = None  # None: blocking sessions


def _renew() -> None:
    """A forked child has loops of its own: a loop's epoll is shared with the parent's."""
    global _loops
    _all.clear()
    if _loops is not None:
        _loops = _Loops()


os.register_at_fork(after_in_child=_renew)


def choose(kind: str) -> None:
    """Have `db` give sessions of this kind from now on."""
    global _loops
    for loop in _all:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    _all.clear()
    _loops = _Loops() if kind == "awaited" else None


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end on this thread's loop."""
    assert _loops is not None
    return _loops.loop.run_until_complete(work)


def db(
    request_id: object = CURRENT, alias: str = "default", *, read_only: bool | None = None
) -> DbSession:
    """The request's session, of the kind under test."""
    if _loops is None:
        return database.db(request_id, alias, read_only=read_only)
    return _face(database.adb(request_id, alias, read_only=read_only))


def finalize_db(request_id: object = CURRENT, alias: str | None = None) -> None:
    """As `hypern.database.finalize_db`."""
    if _loops is None:
        database.finalize_db(request_id, alias)
    else:
        run(database.afinalize_db(request_id, alias))


def close(alias: str | None = None) -> None:
    """As `hypern.database.Database.close`."""
    if _loops is None:
        database.Database.close(alias)
    else:
        run(database.Database.aclose(alias))


class scope:  # noqa: N801 - it stands for the function of that name
    """As `hypern.database.scope`, for `with`."""

    def __init__(self, request_id: str | None = None, **options: Any) -> None:
        self._scope = database.scope(request_id, **options)

    def __enter__(self) -> Scope:
        self._outer = current_scope.get()
        return self._scope.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if _loops is None:
            self._scope.__exit__(exc_type, exc, traceback)
        else:
            try:
                run(self._scope.__aexit__(exc_type, exc, traceback))
            finally:
                current_scope.set(
                    self._outer
                )  # the task that has left the scope had a copy of the context


def _face(session: AsyncDbSession) -> DbSession:
    return cast(DbSession, _Face(session))


class _Face:
    """An `AsyncDbSession` that is called as a `DbSession` is."""

    def __init__(self, session: AsyncDbSession) -> None:
        self._session = session

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Face) and self._session == other._session

    def __hash__(self) -> int:
        return hash(self._session)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._session, name)
        if not inspect.isroutine(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._plain(found(*args, **kwargs))

        return call

    def run(self, fn: Callable[[DbSession], _T], retries: int = 3) -> _T:
        """The function is called in another thread, since this one's loop is running."""

        async def work(session: AsyncDbSession) -> _T:
            assert session is self._session
            return await asyncio.to_thread(fn, cast(DbSession, self))

        return run(self._session.run(work, retries))

    def _plain(self, answer: Any) -> Any:
        if isinstance(answer, AsyncTransaction):
            return _Block(answer, self)
        if isinstance(answer, AsyncStream):
            return _Stream(answer)
        if isinstance(answer, AsyncBatch):
            return _Batch(answer)
        if inspect.isawaitable(answer):
            answer = run(cast("Coroutine[Any, Any, Any]", answer))
        return self if answer is self._session else answer


class _Block:
    """An `async with session.transaction()` for `with`."""

    def __init__(self, block: AsyncTransaction, face: _Face) -> None:
        self._block = block
        self._face = face

    def __enter__(self) -> _Face:
        run(self._block.__aenter__())
        return self._face

    def __exit__(self, *raised: Any) -> None:
        run(self._block.__aexit__(*raised))


class _Batch:
    """An `async with session.batch()` for `with`."""

    def __init__(self, batch: AsyncBatch) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __enter__(self) -> AsyncBatch:
        return run(self._batch.__aenter__())

    def __exit__(self, *raised: Any) -> None:
        run(self._batch.__aexit__(*raised))


class _Stream:
    """An `AsyncStream` as an iterator."""

    def __init__(self, stream: AsyncStream[Any]) -> None:
        self._stream = stream
        self._rows = _rows(stream)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._rows

    def __next__(self) -> dict[str, Any]:
        return next(self._rows)

    @property
    def columns(self) -> tuple[Column, ...]:
        return self._stream.columns

    def close(self) -> None:
        run(self._stream.aclose())

    def __enter__(self) -> _Stream:
        run(self._stream.__aenter__())
        return self

    def __exit__(self, *raised: Any) -> None:
        run(self._stream.__aexit__(*raised))


def _rows(stream: AsyncStream[Any]) -> Iterator[dict[str, Any]]:
    while True:
        try:
            row = run(stream.__anext__())
        except StopAsyncIteration:
            return
        yield row
