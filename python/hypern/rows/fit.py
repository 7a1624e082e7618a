"""A class beside the columns of a statement: which column is which field, and what is converted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from hypern import _native
from hypern.rows.convert import Converter, Memo, converter
from hypern.rows.match import match
from hypern.rows.plan import Field, Plan

# What the extension says of a column's type: values/fit.c.
Columns: TypeAlias = "tuple[tuple[str, Any], ...]"


def fit(plan: Plan, columns: Columns) -> _native.Maker | None:
    """What makes objects of the plan's class of rows with these columns; None if they stay dicts.

    columns: name and kind of each. Raises RowMismatch, before the statement is run.
    """
    names = [name for name, _ in columns]
    matched = match(plan, names, "the columns of the statement")
    memo: Memo = {}
    converters = [
        None if field is None else converter(field.guide, kind, f'column "{name}"', memo)
        for field, (name, kind) in zip(matched, columns, strict=True)
    ]
    if plan.making in ("dict", "document"):
        if plan.making == "dict" and not any(converters):
            return None
        return _maker(plan, range(len(columns)), converters)
    if plan.making == "call":
        return _call(plan, names, matched, converters)
    order = {field.name: place for place, field in enumerate(plan.fields)}
    present = {field.name for field in matched if field is not None}
    return _maker(
        plan,
        [order[field.name] for field in matched if field is not None],
        converters,
        names=list(order),
        fills=[
            (order[field.name], field.value, field.is_factory)
            for field in plan.fields
            if field.name not in present
        ],
    )


def _call(
    plan: Plan,
    names: Sequence[str],
    matched: Sequence[Field | None],
    converters: Sequence[Converter | None],
) -> _native.Maker:
    """The first arguments go by position, which is faster; then those with a gap before them."""
    arguments = [
        name if field is None else field.name for name, field in zip(names, matched, strict=True)
    ]
    ordered: list[str] = []
    for field in plan.fields:
        if not field.by_position or field.name not in arguments:
            break
        ordered.append(field.name)
    keywords = [name for name in arguments if name not in ordered]
    places = {name: place for place, name in enumerate(ordered + keywords)}
    return _maker(plan, [places[name] for name in arguments], converters, names=keywords)


def _maker(
    plan: Plan,
    places: Sequence[int],
    converters: Sequence[Converter | None],
    names: Sequence[str] = (),
    fills: Sequence[tuple[int, Any, bool]] = (),
) -> _native.Maker:
    return _native.Maker(
        plan.making,
        plan.make,
        tuple(places),
        tuple(converters),
        tuple(names),
        tuple(fills),
        plan.has_post_init,
    )
