"""Which column is which field of a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from hypern.errors import RowMismatch
from hypern.rows.plan import Field, Plan

_NAMES_MAX = 30  # in a message


def match(plan: Plan, columns: Sequence[str], what: str) -> list[Field | None]:
    """The field of each column; None for one that the class takes without a field.

    what: the columns' side, for messages. Raises RowMismatch with all that does not fit.
    """
    named = _by_column(plan.fields)
    matched = [named.get(column) for column in columns]
    problems = _twice(columns)
    problems += [] if problems else _both(columns, matched)
    if not plan.takes_more:
        extra = [column for column, field in zip(columns, matched, strict=True) if field is None]
        problems += [f'column "{column}" has no field' for column in extra]
    present = {field.name for field in matched if field is not None}
    problems += [
        f'field "{field.columns[0]}" has no column'
        for field in plan.fields
        if field.is_required and field.name not in present
    ]
    if problems:
        raise RowMismatch(
            f"{what} do not fit {plan.name}: {_listed(problems, '; ')} "
            f"(columns: {_listed(columns)}; fields: {_listed(f.columns[0] for f in plan.fields)})"
        )
    return matched


def _by_column(fields: Sequence[Field]) -> dict[str, Field]:
    """A field's own name counts beside its alias, unless that is the alias of another."""
    named: dict[str, Field] = {}
    for place in (0, 1):
        for field in fields:
            for column in field.columns[place : place + 1]:
                named.setdefault(column, field)
    return named


def _twice(columns: Sequence[str]) -> list[str]:
    return [
        f'{number} columns are named "{column}", tell them apart with AS'
        for column, number in Counter(columns).items()
        if number > 1
    ]


def _both(columns: Sequence[str], matched: Sequence[Field | None]) -> list[str]:
    """Columns that mean the same field, by its name and by its alias."""
    first: dict[str, str] = {}
    problems = []
    for column, field in zip(columns, matched, strict=True):
        if field is not None and first.setdefault(field.name, column) != column:
            problems.append(
                f'columns "{first[field.name]}" and "{column}" are both field "{field.name}"'
            )
    return problems


def _listed(names: Iterable[str], separator: str = ", ") -> str:
    names = list(names)
    more = [f"and {len(names) - _NAMES_MAX} more"] if len(names) > _NAMES_MAX else []
    return separator.join(names[:_NAMES_MAX] + more) or "none"
