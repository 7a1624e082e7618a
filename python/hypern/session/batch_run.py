"""How the statements of a batch run: in one go where the extension can, else one by one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from hypern.errors import NoRows, TooManyRows

if TYPE_CHECKING:
    from hypern.session.batch_results import BatchResult, Outcome
    from hypern.session.steps import Steps

# What the session's own method of each kind of result is.
_METHODS: Final = {
    "count": "execute",
    "rows": "query",
    "row": "query_one",
    "only row": "query_one",
    "row or none": "query_one_or_none",
    "values": "query_values",
    "value": "query_value",
}


def running(session: Any, items: list[BatchResult[Any]], timeout: float | None) -> Steps[None]:
    """Run the statements. The extension runs them in one go where it can; else it returns how far
    it has come, and the next one runs by itself, in a transaction around all of them.
    """
    limit = _Limit(timeout)
    results: list[Outcome] = []
    yield from _part(session, items, results, limit)
    if len(results) < len(items):
        block: Any = session.transaction()
        if session.is_in_transaction:
            yield from _rest(session, items, results, limit)
        else:
            yield block.__aenter__() if hasattr(block, "__aenter__") else block.__enter__()
            try:
                yield from _rest(session, items, results, limit)
            except BaseException as error:
                yield _leave(block, error)
                raise
            yield _leave(block, None)
    for item, outcome in zip(items, results, strict=True):
        item._outcome = outcome


def _leave(block: Any, error: BaseException | None) -> Any:
    raised = (None, None, None) if error is None else (type(error), error, error.__traceback__)
    return block.__aexit__(*raised) if hasattr(block, "__aexit__") else block.__exit__(*raised)


def _rest(
    session: Any,
    items: list[BatchResult[Any]],
    results: list[Outcome],
    limit: _Limit,
) -> Steps[None]:
    while len(results) < len(items):
        yield from _part(session, items, results, limit)
        if len(results) < len(items):
            yield from _alone(session, items[len(results)], results, limit)


def _part(
    session: Any,
    items: list[BatchResult[Any]],
    results: list[Outcome],
    limit: _Limit,
) -> Steps[None]:
    """As many statements as run in one go."""
    done = len(results)
    began = time.perf_counter()
    try:
        part = yield session._batch([(*i._statement, i._word) for i in items[done:]], limit.left())
    except Exception as error:
        index = getattr(error, "index", None)
        if index is not None:
            error.index = index + done  # type: ignore[attr-defined]
            sql = items[index + done]._statement[0]
            session._observe(sql, time.perf_counter() - began, 0, error)
        raise
    seconds = time.perf_counter() - began
    results += part
    for item, (_, _, count) in zip(items[done:], part, strict=False):
        session._observe(item._statement[0], seconds, count, None)


def _alone(
    session: Any,
    item: BatchResult[Any],
    results: list[Outcome],
    limit: _Limit,
) -> Steps[None]:
    """One statement, by the session's own method."""
    options: dict[str, Any] = {"strict": True} if item._word == "only row" else {}
    if item._into is not dict:
        options["into"] = item._into
    run = getattr(session, _METHODS[item._word])
    value, failed = None, None
    try:
        value = yield run(*item._statement[:2], timeout=limit.left(), **options)
    except (NoRows, TooManyRows) as error:
        failed = error
    except Exception as error:
        error.index = len(results)  # type: ignore[attr-defined]
        raise
    results.append((value, failed, _count(item._word, value)))


def _count(word: str, value: Any) -> int:
    if word in ("rows", "values"):
        return len(value)
    if word == "count":
        return int(value)
    return 0 if value is None else 1


class _Limit:
    """The time that is left of `timeout`."""

    __slots__ = ("_until",)

    def __init__(self, timeout: float | None) -> None:
        self._until = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds; None if there is no limit."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())
