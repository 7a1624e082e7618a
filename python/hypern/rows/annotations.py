"""The annotations of a class's fields, each by itself, and what guides they give.

A name that an annotation uses may be defined after the class, or inside a function; only those of
fields are looked up.
"""

from __future__ import annotations

import collections.abc
import enum
import inspect
import sys
import types
import typing
from typing import Any

from hypern.errors import RowClassError
from hypern.rows.classes import class_of, kind_of, name_of, named_type
from hypern.rows.guides import Float, Guide, Items, Member, Row

# Deeper than any annotation that a person writes, and than an alias that is made of itself.
_DEPTH_MAX = 50

_LISTS = (
    list,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Collection,
    collections.abc.Iterable,
)
_UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))
# What stands around a type and says nothing about it; also those of typing_extensions.
_WRAPPERS = {"Required", "NotRequired", "ReadOnly", "Final"}


class Annotations:
    """The annotations of a class and its bases, with the names and type variables they use."""

    def __init__(self, into: Any) -> None:
        self._cls = class_of(into)
        self._of: dict[str, tuple[type, Any]] = {}  # name -> where it is annotated, and as what
        self._variables = _variables(into)
        for base in reversed(self._cls.__mro__):
            for name, annotation in _own(base).items():
                self._of[name] = (base, annotation)

    def names(self) -> list[str]:
        """What is annotated, in order."""
        return list(self._of)

    def guide(self, name: str) -> Guide | None:
        """What the annotation of a field says of its values; None if nothing."""
        if name not in self._of:
            return None
        base, annotation = self._of[name]
        return self._guide(annotation, base, name, 0)

    def wrapper(self, name: str) -> str | None:
        """The qualifier that stands around a key's type: "Required", "NotRequired"."""
        base, annotation = self._of[name]
        annotation = self._resolved(annotation, base, name)
        for _ in range(_DEPTH_MAX):
            word, inner = _word(annotation), named_type(annotation)
            if word in ("Required", "NotRequired"):
                return word
            if word in _WRAPPERS:
                inner = typing.get_args(annotation)[0]
            if inner is None:
                break
            annotation = self._resolved(inner, base, name)
        return None

    def _resolved(self, annotation: Any, base: type, name: str) -> Any:
        """The annotation; one that is a text is evaluated, and a text in quotes once more."""
        for _ in range(3):
            annotation = self._evaluated(annotation, base, name)
        return annotation

    def _evaluated(self, annotation: Any, base: type, name: str) -> Any:
        module: Any = base.__module__
        if isinstance(annotation, (typing.ForwardRef, *_forward_refs())):
            # The one of a TypedDict may be inherited, which its class does not show otherwise.
            module = getattr(annotation, "__forward_module__", None) or module
            annotation = annotation.__forward_arg__  # type: ignore[attr-defined]
        if not isinstance(annotation, str):
            return annotation
        try:
            return _evaluate(annotation, base, module, {})
        except NameError:
            pass
        except Exception as error:
            raise self._unreadable(annotation, base, name, f"fails ({error!r})") from error
        try:
            return _evaluate(annotation, base, module, _function_names(base))
        except NameError as error:
            missing = f"uses a name that is not defined there: {error.name!r}"
            advice = "define it, or import it also at run time"
            raise self._unreadable(annotation, base, name, f"{missing}; {advice}") from error

    def _unreadable(self, text: str, base: type, name: str, why: str) -> RowClassError:
        return RowClassError(
            f'the annotation "{text}" of field "{name}" of {name_of(base)} (module '
            f"{base.__module__}) {why}"
        )

    def _guide(self, annotation: Any, base: type, name: str, depth: int) -> Guide | None:
        if depth > _DEPTH_MAX:
            raise RowClassError(
                f'the annotation of field "{name}" of {name_of(base)} is made of itself, without a '
                "class in between"
            )
        annotation = self._resolved(annotation, base, name)
        inner = self._inner(annotation, base)
        if inner is not None:
            return self._guide(inner[0], base, name, depth + 1)
        if annotation is float:
            return Float()
        origin = class_of(annotation)
        if isinstance(origin, type) and issubclass(origin, enum.Enum):
            return Member(origin)
        if kind_of(origin) is not None:
            return Row(self._with_variables(annotation, base))
        if origin in _LISTS and typing.get_args(annotation):
            item = self._guide(typing.get_args(annotation)[0], base, name, depth + 1)
            return None if item is None else Items(item)
        return None

    def _with_variables(self, annotation: Any, base: type) -> Any:
        """`Page[T]` as the `Page[User]` that it is in this class."""
        parameters = getattr(annotation, "__parameters__", ())
        if isinstance(annotation, type) or not parameters:
            return annotation
        known = self._variables.get(base, {})
        return annotation[tuple(known.get(variable, variable) for variable in parameters)]

    def _inner(self, annotation: Any, base: type) -> tuple[Any] | None:
        """In a tuple, the annotation that one stands for, or the only one beside None."""
        if isinstance(annotation, typing.TypeVar):
            found = self._variables.get(base, {}).get(annotation)
            return None if found is None or found is annotation else (found,)
        if _word(annotation) in _WRAPPERS:
            return (typing.get_args(annotation)[0],)
        if type(annotation).__name__ == "InitVar":
            return (annotation.type,)
        if (inner := named_type(annotation)) is not None:
            return (inner,)
        if typing.get_origin(annotation) in _UNIONS:
            others = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
            return (others[0],) if len(others) == 1 else None
        return None


def _forward_refs() -> tuple[type, ...]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return (annotationlib.ForwardRef,)
    return ()


def _own(cls: type) -> dict[str, Any]:
    """What a class itself annotates, not evaluated."""
    if cls.__module__ == "builtins":
        return {}
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(cls)


def _word(annotation: Any) -> str | None:
    """The name of what stands around a type, "Annotated" for instance."""
    origin = typing.get_origin(annotation)
    return None if isinstance(origin, type) else getattr(origin, "_name", None)


def _evaluate(text: str, base: type, module: Any, more: dict[str, Any]) -> Any:
    module = sys.modules.get(module, module)  # a ForwardRef may have the module itself
    names = vars(module) if isinstance(module, types.ModuleType) else {}
    # An attribute of the class may have the name of a type: `date: date | None = None`.
    inside = {k: v for k, v in vars(base).items() if k not in names and isinstance(v, type)}
    variables = {v.__name__: v for v in getattr(base, "__type_params__", ())}
    # make_dataclass() writes "typing.Any", wherever the class is from.
    return eval(
        text, {"typing": typing, **names}, {**more, base.__name__: base, **inside, **variables}
    )


def _function_names(cls: type) -> dict[str, Any]:
    """The local variables of the functions that a class was defined in, while they run."""
    functions = cls.__qualname__.split(".<locals>")[:-1]
    within = {function.rpartition(".")[2] for function in functions}
    names: dict[str, Any] = {}
    frame = sys._getframe() if within else None
    while frame is not None:
        if frame.f_code.co_name in within and frame.f_globals.get("__name__") == cls.__module__:
            names = {**frame.f_locals, **names}
        frame = frame.f_back
    return names


def _variables(into: Any) -> dict[type, dict[Any, Any]]:
    """For each generic base, what its type variables are."""
    found: dict[type, dict[Any, Any]] = {}

    def visit(alias: Any, outer: dict[Any, Any]) -> None:
        cls = class_of(alias)
        if not isinstance(cls, type) or cls is typing.Generic:
            return
        given = [outer.get(arg, arg) for arg in typing.get_args(alias)]
        inner = dict(zip(getattr(cls, "__parameters__", ()), given, strict=False))
        found.setdefault(cls, {}).update(inner)
        for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
            visit(base, inner)

    visit(into, {})
    return found
