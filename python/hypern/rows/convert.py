"""Functions that make of a value what an annotation asks for.

A converter is called with values that are not None. A value of another kind than the annotation
expects is returned as it is: it is not checked.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from hypern.errors import DataError
from hypern.rows.guides import Float, Guide, Items, Member, Row
from hypern.rows.match import match
from hypern.rows.plan import Plan, plan_of

Converter: TypeAlias = Callable[[Any], Any]
# Makers of JSON objects by class and place, since a class may have itself in its annotations.
Memo: TypeAlias = "dict[Any, _Objects]"


def converter(guide: Guide | None, kind: Any, where: str, memo: Memo) -> Converter | None:
    """What converts values of a kind (values/fit.c) as a guide says; None if nothing is to be done.

    where: the value's place, for messages. Raises RowMismatch where a composite does not fit.
    """
    if isinstance(guide, Float):
        return float if kind == "numeric" else None
    if isinstance(guide, Member):
        if kind == "text":
            return _Members(guide.cls, where).__getitem__
        return _only(str, _Members(guide.cls, where).__getitem__) if kind == "json" else None
    if isinstance(guide, Row):
        if kind == "json":
            return _only(dict, _objects(guide.into, where, memo))
        return _composite(guide, kind[1], where, memo) if _is(kind, "row") else None
    if isinstance(guide, Items):
        if kind == "json":
            inner = converter(guide.item, kind, where, memo)
            return None if inner is None else _only(list, _each(inner))
        return _elements(guide, kind[1], where, memo) if _is(kind, "list") else None
    return None


def _is(kind: Any, word: str) -> bool:
    return isinstance(kind, tuple) and kind[0] == word


def _only(cls: type, convert: Converter) -> Converter:
    """JSON has any value anywhere."""

    def convert_only(value: Any) -> Any:
        return convert(value) if isinstance(value, cls) else value

    return convert_only


def _each(convert: Converter) -> Converter:
    def convert_each(values: list[Any]) -> list[Any]:
        return [None if value is None else convert(value) for value in values]

    return convert_each


def _elements(guide: Items, kind: Any, where: str, memo: Memo) -> Converter | None:
    """Of an array. The type does not tell how many dimensions a value has."""
    item: Guide = guide
    while kind != "json" and isinstance(item, Items):
        item = item.item
    inner = converter(guide.item if kind == "json" else item, kind, where, memo)
    if inner is None:
        return None
    if kind == "json":
        return _each(inner)

    def convert_elements(values: list[Any]) -> list[Any]:
        return [
            convert_elements(value)
            if isinstance(value, list)
            else None
            if value is None
            else inner(value)
            for value in values
        ]

    return convert_elements


class _Members(dict[Any, Any]):
    """The members of an enum by value, looked up as in any dict."""

    def __init__(self, cls: type[enum.Enum], where: str) -> None:
        super().__init__((member.value, member) for member in cls.__members__.values())
        self._cls = cls
        self._where = where

    def __missing__(self, value: object) -> Any:
        try:
            return self._cls(value)  # the class may have a _missing_ of its own
        except ValueError as error:
            raise DataError(
                f"{self._where}: the value is none of the members of {self._cls.__name__}"
            ) from error


def _composite(
    guide: Row, fields: Sequence[tuple[str, Any]], where: str, memo: Memo
) -> Converter | None:
    """All keys are known, and always there."""
    plan = plan_of(guide.into)
    matched = match(plan, [name for name, _ in fields], f"{where}: the fields of the composite")
    pairs = []
    for field, (name, kind) in zip(matched, fields, strict=True):
        inner = None
        if field is not None:
            inner = converter(field.guide, kind, f'{where}, field "{name}"', memo)
        pairs.append((name, name if field is None else field.name, inner))
    if plan.making == "document":
        return plan.make  # type: ignore[no-any-return]
    if plan.making == "dict":
        changes = [(name, inner) for name, _, inner in pairs if inner is not None]
        return _changed(changes) if changes else None

    def convert_composite(value: Any) -> Any:
        return plan.make(
            **{
                name: value[key] if inner is None or value[key] is None else inner(value[key])
                for key, name, inner in pairs
            }
        )

    return convert_composite


def _changed(changes: Sequence[tuple[str, Converter]]) -> Converter:
    def change(value: dict[str, Any]) -> dict[str, Any]:
        for key, convert in changes:
            if value.get(key) is not None:
                value[key] = convert(value[key])
        return value

    return change


def _objects(into: Any, where: str, memo: Memo) -> Converter:
    plan = plan_of(into)
    if plan.making == "document":
        return plan.make  # type: ignore[no-any-return]
    key = (into, where)
    if key not in memo:
        memo[key] = _Objects(plan, where)
        memo[key].prepare(memo)
    return memo[key].make


class _Objects:
    """Makes objects of one class of JSON objects, whose keys differ from value to value."""

    def __init__(self, plan: Plan, where: str) -> None:
        self._plan = plan
        self._where = where
        self._arguments: dict[str, tuple[str, Converter | None]] = {}
        self._required = {
            field.name: field.columns[0] for field in plan.fields if field.is_required
        }

    def prepare(self, memo: Memo) -> None:
        """Apart from __init__, since the class may come up within itself."""
        for place in (1, 0):
            for field in self._plan.fields:
                for key in field.columns[place : place + 1]:
                    inner = converter(field.guide, "json", self._where, memo)
                    self._arguments[key] = (field.name, inner)

    def make(self, value: dict[str, Any]) -> Any:
        arguments: dict[str, Any] = {}
        for key, item in value.items():
            name, inner = self._arguments.get(key, (key, None))
            if key not in self._arguments and not self._plan.takes_more:
                raise self._misfit(f'"{key}" is no field')
            if name in arguments:
                raise self._misfit(f'"{key}" is there twice, by its name and by its alias')
            arguments[name] = item if inner is None or item is None else inner(item)
        for name, key in self._required.items():
            if name not in arguments:
                raise self._misfit(f'"{key}" is missing')
        return arguments if self._plan.making == "dict" else self._plan.make(**arguments)

    def _misfit(self, why: str) -> DataError:
        return DataError(f"{self._where}: a JSON object does not fit {self._plan.name}: {why}")
