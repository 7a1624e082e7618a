"""`@scoped`: a function each call of which has a scope of its own."""

from __future__ import annotations

import functools
import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from hypern.scope.options import ScopeOptions
from hypern.scope.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hypern.scope.options import Begin

_F = TypeVar("_F", bound="Callable[..., Any]")


def scoped(
    *,
    atomic: bool | Begin | None = None,
    settings: Mapping[str, str] | None = None,
    role: str | None = None,
    read_only: bool | None = None,
    deadline_secs: float | None = None,
    label: str | None = None,
    not_before: str | Mapping[str, str] | None = None,
) -> Callable[[_F], _F]:
    """A decorator for jobs, plain or async: each call runs in a scope of its own.

    `@scoped(atomic=True)` on a function is a `with scope(atomic=True)` around its body. The options
    are those of `scope`; label is the function's qualified name by default. The scope ends when the
    function returns or raises, so a generator function is refused (TypeError).
    """
    options = ScopeOptions(atomic, settings, role, read_only, deadline_secs, label, not_before)

    def decorate(function: _F) -> _F:
        wrapped: _F = _wrap(function, options)
        return wrapped

    return decorate


def _is(kind: Callable[[Any], bool], function: Any) -> bool:
    """Whether a call runs a function of that kind: the object itself, or its class's `__call__`."""
    return kind(function) or kind(getattr(type(function), "__call__", None))  # noqa: B004


def _wrap(function: Any, options: ScopeOptions) -> Any:
    if not callable(function):
        raise TypeError(f"scoped() decorates a function, not {type(function).__name__}")
    name = getattr(function, "__qualname__", type(function).__qualname__)
    if _is(inspect.isgeneratorfunction, function) or _is(inspect.isasyncgenfunction, function):
        raise TypeError(
            f"scoped() cannot decorate {name}, a generator function, whose body "
            "runs after the call; use `with scope():` in it"
        )
    if options.label is None:
        options = replace(options, label=name)

    if _is(inspect.iscoroutinefunction, function):

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            async with Scope(options=options):
                return await function(*args, **kwargs)

        return call_async

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with Scope(options=options):
            return function(*args, **kwargs)

    return call
