"""How the statements of a batch run: in one go where the extension can, else one by one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from hypern.errors import Error, NoRows, TooManyRows
from hypern.session.steps import in_block

if TYPE_CHECKING:
    from hypern.session.batch_results import BatchResult, Outcome, Statement
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
    """Run the statements. The extension runs them in one go where it can; else it returns how far
    it has come, and the next one runs by itself, in a transaction around all of them.
    """
    statements = [item._statement for item in items]
    outcomes: list[Outcome] = []
    limit = _Limit(timeout)
    yield from _part(session, statements, outcomes, limit)
    if len(outcomes) < len(statements):
        if session.is_in_transaction:
            yield from _rest(session, statements, outcomes, limit)
        else:
            yield from in_block(session, _rest(session, statements, outcomes, limit))
    for item, outcome in zip(items, outcomes, strict=True):
        item._outcome = outcome


def _rest(
    session: Any, statements: list[Statement], outcomes: list[Outcome], limit: _Limit
) -> Steps[None]:
    while len(outcomes) < len(statements):
        yield from _part(session, statements, outcomes, limit)
        if len(outcomes) < len(statements):
            yield from _alone(session, statements[len(outcomes)], outcomes, limit)


def _part(
    session: Any, statements: list[Statement], outcomes: list[Outcome], limit: _Limit
) -> Steps[None]:
    """As many statements as run in one go."""
    done = len(outcomes)
    left = statements[done:] if done else statements
    try:
        outcomes += yield session._batch(left, limit.left())
    except Exception as error:
        index = getattr(error, "index", None)
        if isinstance(index, int):
            error.index = index + done  # type: ignore[attr-defined]
        raise


def _alone(
    session: Any, statement: Statement, outcomes: list[Outcome], limit: _Limit
) -> Steps[None]:
    """One statement, by the session's own method."""
    sql, params, _, _, word, into = statement
    options: dict[str, Any] = {"strict": True} if word == "only row" else {}
    if into is not dict:
        options["into"] = into
    run = getattr(session, _METHODS[word])
    value, failed = None, None
    try:
        value = yield run(sql, params, timeout=limit.left(), **options)
    except (NoRows, TooManyRows) as error:
        failed = error
    except Error as error:
        error.index = len(outcomes)
        raise
    outcomes.append((value, failed, _count(word, value)))


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
