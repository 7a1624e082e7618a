"""How the statements of a batch run: in one go where the extension can, else one by one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from hypern.errors import Error, NoRows, TooManyRows
from hypern.session.steps import in_block

if TYPE_CHECKING:
    from hypern.session.batch_results import BatchResult
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
    "result": "result",
}


def running(session: Any, items: list[BatchResult[Any]], timeout: float | None) -> Steps[None]:
    """Run the statements, which then have their outcomes. The extension runs them in one go where
    it can; else it returns how many it has run, and the next one runs by itself, in a transaction
    around all of them.
    """
    limit = _Limit(timeout)
    done: int = yield session._batch(items, limit.left())
    if done < len(items):
        try:
            if session.is_in_transaction:
                yield from _rest(session, items, done, limit)
            else:
                yield from in_block(session, _rest(session, items, done, limit))
        except BaseException:  # none of it is stored, or it is the transaction's to be undone
            for item in items:
                item._forget()
            raise


def _rest(session: Any, items: list[BatchResult[Any]], done: int, limit: _Limit) -> Steps[None]:
    while done < len(items):
        done += yield from _part(session, items, done, limit)
        if done < len(items):
            yield from _alone(session, items, done, limit)
            done += 1


def _part(session: Any, items: list[BatchResult[Any]], done: int, limit: _Limit) -> Steps[int]:
    """As many statements as run in one go."""
    try:
        count: int = yield session._batch(items[done:], limit.left())
    except Exception as error:
        index = getattr(error, "index", None)
        if isinstance(index, int):
            error.index = index + done  # type: ignore[attr-defined]
        raise
    return count


def _alone(session: Any, items: list[BatchResult[Any]], done: int, limit: _Limit) -> Steps[None]:
    """One statement, by the session's own method."""
    item = items[done]
    word = item._word
    options: dict[str, Any] = {"strict": True} if word == "only row" else {}
    if item._into is not dict:
        options["into"] = item._into
    run = getattr(session, _METHODS[word])
    value, failed = None, None
    try:
        value = yield run(item._sql, item._params, timeout=limit.left(), **options)
    except (NoRows, TooManyRows) as error:
        failed = error
    except Error as error:
        error.index = done
        raise
    item._settle(value, failed, _count(word, value))


def _count(word: str, value: Any) -> int:
    if word in ("rows", "values"):
        return len(value)
    if word == "count":
        return int(value)
    if word == "result":
        return int(value.count)
    return 0 if value is None else 1


class _Limit:
    """The time that is left of `timeout`."""

    __slots__ = ("_until",)

    def __init__(self, timeout: float | None) -> None:
        self._until = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds; None if there is no limit."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())
