"""A class as rows are made of it: its fields, and how an object of it is made."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from hypern.errors import RowClassError
from hypern.rows import dataclass_init
from hypern.rows.annotations import Annotations
from hypern.rows.classes import class_of, kind_of, name_of, named_type
from hypern.rows.guides import Guide

# As the extension's Maker has it.
Making: TypeAlias = Literal["dict", "document", "sequence", "instance", "call"]

Guard: TypeAlias = tuple[str, object]


@dataclass(frozen=True, eq=False)
class Field:
    """A field, or an argument of what is called.

    columns: the names that its column may have. value: what it is without a column, or what returns
    that, if it `is_factory`; only where the extension has to set it.
    """

    name: str
    columns: tuple[str, ...]
    is_required: bool
    guide: Guide | None = None
    by_position: bool = False
    value: Any = None
    is_factory: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """takes_more: columns without a field are fine. guards: attributes of the class that must be as
    they were, or it is to be compiled anew."""

    name: str
    making: Making
    make: Any
    fields: tuple[Field, ...] = ()
    takes_more: bool = False
    has_post_init: bool = False
    guards: tuple[Guard, ...] = ()


def compiled(into: Any) -> tuple[Plan, tuple[Guard, ...]]:
    """The plan of what was given as `into=`, and its guards, for the extension.

    Raises RowClassError for what rows cannot be made of, whatever their columns are.
    """
    plan = plan_of(into)
    return plan, plan.guards


def plan_of(into: Any) -> Plan:
    """The plan of a class or callable. What it says of other classes is not looked at yet."""
    while (inner := named_type(into)) is not None:
        into = inner
    cls = class_of(into)
    _refuse(into, cls)
    kind = kind_of(cls)
    if kind == "typeddict":
        return _typeddict(into)
    if kind == "namedtuple":
        return _namedtuple(into)
    if kind == "struct":
        return _struct(into)
    if kind == "pydantic":
        return _pydantic(cls)
    if kind == "dataclass" and dataclass_init.is_generated(cls):
        return _dataclass(into)
    return _callable(into)


def _refuse(into: Any, cls: Any) -> None:
    is_union = typing.get_origin(into) in (typing.Union, types.UnionType)
    if not callable(cls) or is_union:
        is_named = callable(into) or is_union  # one of CPython 3.14 is not callable
        what = repr(into) if is_named else f"an object of class {type(into).__name__}"
        raise RowClassError(
            "into must be dict, tuple, a class with fields, or a callable that takes the columns "
            f"as keyword arguments, not {what}"
        )
    if cls in (dict, tuple):
        raise RowClassError(f"into={into!r}: types of items are not looked at; use {cls.__name__}")
    if inspect.isabstract(cls) or getattr(cls, "_is_protocol", False):
        missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        what = f" ({missing})" if missing else ""
        raise RowClassError(f"{name_of(cls)} is abstract{what}; use a class that can be made")
    if isinstance(cls, type) and cls.__module__ == "builtins":
        advice = "a list of rows is what query() returns; use the class of a row"
        if not issubclass(cls, (list, set, frozenset)):
            advice = "for the values of one column use query_value() or query_values()"
        raise RowClassError(f"rows cannot be made into {cls.__name__}: {advice}")


def _typeddict(into: Any) -> Plan:
    cls = class_of(into)
    known = Annotations(into)
    fields = []
    for name in known.names():
        # Where annotations are texts, the class itself has not seen what stands around a type.
        wrapper = known.wrapper(name)
        required = wrapper == "Required" or (
            wrapper != "NotRequired" and name in cls.__required_keys__
        )
        fields.append(Field(name, (name,), required, known.guide(name)))
    return Plan(name_of(cls), "dict", cls, tuple(fields), takes_more=True)


def _namedtuple(into: Any) -> Plan:
    cls = class_of(into)
    if not _makes_plain_tuples(cls):
        return _callable(into)
    known = Annotations(into)
    fields = [
        Field(
            name,
            (name,),
            name not in cls._field_defaults,
            known.guide(name),
            value=cls._field_defaults.get(name),
        )
        for name in cls._fields
    ]
    return Plan(name_of(cls), "sequence", cls, tuple(fields), guards=_guards(cls))


def _makes_plain_tuples(cls: Any) -> bool:
    """Whether a named tuple's __new__ is that of collections.namedtuple, which does no more."""
    names = getattr(cls.__new__, "__globals__", {})
    return (
        type(cls).__call__ is type.__call__
        and cls.__init__ is object.__init__
        and names.get("_tuple_new") is tuple.__new__
        and str(names.get("__name__")).startswith("namedtuple_")
    )


def _struct(into: Any) -> Plan:
    cls = class_of(into)
    known = Annotations(into)
    names = cls.__struct_fields__
    # Those that a pattern takes by position are those that the class itself does.
    positional = (
        cls.__match_args__ if names[: len(cls.__match_args__)] == cls.__match_args__ else ()
    )
    missing = sys.modules["msgspec"].NODEFAULT
    defaults = (missing,) * (len(names) - len(cls.__struct_defaults__)) + cls.__struct_defaults__
    fields = [
        Field(
            name,
            (alias, name),
            default is missing,
            known.guide(name),
            by_position=name in positional,
        )
        for name, alias, default in zip(names, cls.__struct_encode_fields__, defaults, strict=True)
    ]
    return Plan(name_of(cls), "call", cls, tuple(fields))


def _dataclass(into: Any) -> Plan:
    cls = class_of(into)
    known = Annotations(into)
    fields = []
    for field in dataclasses.fields(cls):
        is_factory = field.default_factory is not dataclasses.MISSING
        has_default = is_factory or field.default is not dataclasses.MISSING
        fields.append(
            Field(
                field.name,
                (field.name,),
                not has_default,
                known.guide(field.name),
                value=field.default_factory if is_factory else field.default,
                is_factory=is_factory,
            )
        )
    return Plan(
        name_of(cls),
        "instance",
        cls,
        tuple(fields),
        has_post_init=hasattr(cls, "__post_init__"),
        guards=_guards(cls),
    )


def _pydantic(cls: Any) -> Plan:
    if not getattr(cls, "__pydantic_complete__", True):
        try:
            cls.model_rebuild()
        except Exception as error:
            raise RowClassError(f"{name_of(cls)} is not complete: {error}") from error
    validate = cls.model_validate
    return Plan(
        name_of(cls),
        "document",
        validate,
        takes_more=True,
        guards=(("model_validate", validate),),
    )


def _callable(into: Any) -> Plan:
    """What is called with keywords. A class with fields says by these what its arguments are."""
    cls = class_of(into)
    name = name_of(cls)
    guards = _guards(cls) if isinstance(cls, type) else ()
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (ValueError, TypeError):  # one in C that does not tell
        return Plan(name, "call", cls, takes_more=True, guards=guards)
    known = Annotations(into) if kind_of(cls) is not None else None
    attributes = {a.alias: a.name for a in getattr(cls, "__attrs_attrs__", ()) if a.init}
    fields = []
    takes_more = False
    for p in parameters:
        if p.kind is p.VAR_KEYWORD:
            takes_more = True
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
            continue
        required = p.default is p.empty
        if p.kind is p.POSITIONAL_ONLY:
            if required:
                raise RowClassError(
                    f'{name} takes "{p.name}" by position only; columns are passed by keyword'
                )
            continue
        attribute = attributes.get(p.name, p.name)
        fields.append(
            Field(
                p.name,
                (p.name, attribute),
                required,
                None if known is None else known.guide(attribute),
                by_position=p.kind is p.POSITIONAL_OR_KEYWORD,
            )
        )
    return Plan(name, "call", cls, tuple(fields), takes_more=takes_more, guards=guards)


def _guards(cls: Any) -> tuple[Guard, ...]:
    names = ("__init__", "__new__", "__setattr__")
    return tuple((name, getattr(cls, name)) for name in names)
