"""Of which kind a class is, by what the libraries leave in it."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["typeddict", "namedtuple", "struct", "dataclass", "attrs", "pydantic"]


def kind_of(cls: Any) -> Kind | None:
    """The kind of a class with fields; None for any other object."""
    if not isinstance(cls, type):
        return None
    if issubclass(cls, dict):
        # typing_extensions has a TypedDict of its own.
        return "typeddict" if hasattr(cls, "__required_keys__") else None
    if issubclass(cls, tuple):
        return "namedtuple" if hasattr(cls, "_field_defaults") else None
    if hasattr(cls, "__struct_fields__") and hasattr(cls, "__struct_config__"):
        return "struct"
    if hasattr(cls, "__pydantic_validator__") and hasattr(cls, "model_validate"):
        return "pydantic"
    if dataclasses.is_dataclass(cls):
        return "dataclass"
    return "attrs" if hasattr(cls, "__attrs_attrs__") else None


def class_of(into: Any) -> Any:
    """The class itself of a generic class with its parameters: `Page` of `Page[User]`."""
    return typing.get_origin(into) or into


def named_type(into: Any) -> Any:
    """What a NewType, an alias of a `type` statement or an Annotated stands for; else None."""
    if hasattr(into, "__metadata__"):
        return into.__origin__
    if type(into).__name__ == "TypeAliasType":  # typing_extensions has one, too
        return into.__value__
    return getattr(into, "__supertype__", None)


def name_of(into: Any) -> str:
    """A short name for messages."""
    origin = class_of(into)
    name = getattr(origin, "__qualname__", None) or type(origin).__name__
    return str(name).rpartition("<locals>.")[2]
