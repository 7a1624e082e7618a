"""What `adb()` returns in a test with `db_session`: the test's nested session, awaited."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from hypern._testing.session import NestedSession
from hypern.errors import Error, undo_failed
from hypern.session.awaited import AsyncDbSession

_Params = Sequence[Any] | None
_A = TypeVar("_A", bound="NestedAsyncSession")


class NestedAsyncSession(AsyncDbSession):
    """For its user an awaited session as any other. It waits on the event loop's thread, since all
    sessions of the test take turns on one connection; so the loop stands still meanwhile.
    """

    _nested: NestedSession

    def __new__(cls: type[_A], session: Any) -> _A:
        self = super().__new__(cls, session)
        self._nested = session
        return self

    @property
    def request_id(self) -> str:
        return self._nested.request_id

    @property
    def alias(self) -> str:
        return self._nested.alias

    @property
    def state(self) -> str:
        return self._nested.state

    @property
    def is_in_transaction(self) -> bool:
        return self._nested.is_in_transaction

    @property
    def auto_commit(self) -> bool:
        return self._nested.auto_commit

    @property
    def has_error(self) -> bool:
        return self._nested.has_error

    def set_auto_commit(self: _A, enabled: bool) -> _A:
        self._nested.set_auto_commit(enabled)
        return self

    def set_error(self: _A) -> _A:
        self._nested.set_error()
        return self

    def on_commit(self: _A, fn: Callable[[], object]) -> _A:
        self._nested.on_commit(fn)
        return self

    async def query(  # type: ignore[override]
        self, sql: str, params: _Params = None, *, timeout: float | None = None
    ) -> list[dict[str, Any]]:
        return self._nested.query(sql, params, timeout=timeout)

    async def query_one(  # type: ignore[override]
        self, sql: str, params: _Params = None, *, timeout: float | None = None
    ) -> dict[str, Any]:
        return self._nested.query_one(sql, params, timeout=timeout)

    async def query_one_or_none(  # type: ignore[override]
        self, sql: str, params: _Params = None, *, timeout: float | None = None
    ) -> dict[str, Any] | None:
        return self._nested.query_one_or_none(sql, params, timeout=timeout)

    async def query_value(  # type: ignore[override]
        self, sql: str, params: _Params = None, *, timeout: float | None = None
    ) -> Any:
        return self._nested.query_value(sql, params, timeout=timeout)

    async def execute(  # type: ignore[override]
        self, sql: str, params: _Params = None, *, timeout: float | None = None
    ) -> int:
        return self._nested.execute(sql, params, timeout=timeout)

    async def execute_many(  # type: ignore[override]
        self,
        sql: str,
        params_list: Iterable[Sequence[Any]] | AsyncIterable[Sequence[Any]],
        *,
        timeout: float | None = None,
    ) -> int:
        if isinstance(params_list, AsyncIterable):
            params_list = [params async for params in params_list]
        return self._nested.execute_many(sql, params_list, timeout=timeout)

    async def commit(self: _A) -> _A:  # type: ignore[override]
        await self._awaiting_hooks(self._nested.commit)
        return self

    async def rollback(self: _A) -> _A:  # type: ignore[override]
        self._nested.rollback()
        return self

    async def _begin(self: _A, begin_sql: str) -> _A:  # type: ignore[override]
        self._nested._begin(begin_sql)
        return self

    async def _savepoint(self, name: str) -> None:  # type: ignore[override]
        self._nested._savepoint(name)

    async def _release(self, name: str) -> None:  # type: ignore[override]
        self._nested._release(name)

    async def _rollback_to(self, name: str) -> None:  # type: ignore[override]
        self._nested._rollback_to(name)

    async def _enter(self: _A, number: int, text: str) -> _A:  # type: ignore[override]
        try:
            self._nested._enter(number, text)
        except BaseException:
            self._nested._not_entered(number)
            raise
        return self

    async def _leave(self, number: int) -> None:  # type: ignore[override]
        await self._awaiting_hooks(lambda: self._nested._leave(number))

    async def _undo(self, number: int) -> None:  # type: ignore[override]
        try:
            self._nested._undo(number)
        except Error as error:
            undo_failed(self, error)

    _undo_now = _undo  # type: ignore[assignment]

    def _has_block(self, number: int) -> bool:
        return self._nested._has_block(number)

    async def _commit_request(self) -> None:  # type: ignore[override]
        await self._awaiting_hooks(self._nested._commit_request)

    async def _rollback_request(self) -> None:  # type: ignore[override]
        self._nested._rollback_request()

    async def _finalize(self, grace: float) -> None:  # type: ignore[override]
        await self._awaiting_hooks(lambda: self._nested._finalize(grace))

    async def _stream_open(  # type: ignore[override]
        self, sql: str, params: _Params, chunk_rows: int, timeout: float | None, /
    ) -> tuple[list[dict[str, Any]], int]:
        return self._nested._stream_open(sql, params, chunk_rows, timeout)

    async def _awaiting_hooks(self, end: Callable[[], Any]) -> Any:
        """End the transaction, and await what its on_commit functions have returned."""
        answers: list[Any] = []
        hooks = self._nested._hooks
        hooks[:] = [_noting(hook, answers) for hook in hooks]
        outcome = end()
        for answer in answers:
            await answer
        return outcome


def _noting(hook: Callable[[], object], answers: list[Any]) -> Callable[[], object]:
    def call() -> None:
        answer = hook()
        if inspect.isawaitable(answer):
            answers.append(cast("Any", answer))

    return call
