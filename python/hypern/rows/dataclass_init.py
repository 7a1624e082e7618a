"""Whether a dataclass's __init__ is the one that `dataclasses` has written.

What such an __init__ does can be done without calling it: it sets the fields in order, then calls
__post_init__. One of the user's own can do anything.
"""

from __future__ import annotations

import dataclasses
from typing import Any

# What two functions of the same text have in common, wherever it stands.
_CODE = (
    "co_code",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_consts",
    "co_argcount",
    "co_kwonlyargcount",
    "co_posonlyargcount",
    "co_flags",
    "co_filename",
)


def is_generated(cls: Any) -> bool:
    """Whether an object of the class is made by its fields being set, and __post_init__ called."""
    declared = cls.__dataclass_fields__.values()
    # A pseudo-field is an InitVar or a ClassVar; only the first is an argument.
    arguments = [f for f in declared if f._field_type.name == "_FIELD_INITVAR"]
    fields = dataclasses.fields(cls)
    frozen = cls.__dataclass_params__.frozen
    return (
        not arguments
        and all(field.init for field in fields)
        and type(cls).__call__ is type.__call__
        and cls.__new__ is object.__new__
        and (frozen or cls.__setattr__ is object.__setattr__)
        and _is_of(cls.__init__, fields, frozen, hasattr(cls, "__post_init__"))
    )


def _is_of(init: Any, fields: Any, frozen: bool, has_post_init: bool) -> bool:
    """Compares an __init__ with that of another class with the same fields."""
    namespace = {"__post_init__": lambda self: None} if has_post_init else {}
    twins = []
    for field in fields:
        options: dict[str, Any] = {"kw_only": field.kw_only}
        if field.default_factory is not dataclasses.MISSING:
            options["default_factory"] = list
        elif field.default is not dataclasses.MISSING:
            options["default"] = None
        twins.append((field.name, object, dataclasses.field(**options)))
    twin: Any = dataclasses.make_dataclass("Twin", twins, frozen=frozen, namespace=namespace)
    code, other = getattr(init, "__code__", None), twin.__init__.__code__
    return code is not None and all(getattr(code, a) == getattr(other, a) for a in _CODE)
