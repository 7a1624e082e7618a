"""The options of the scopes of many requests: each a value, or a callable of the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypedDict, TypeVar

from hypern.errors import ConfigurationError
from hypern.scope.options import NAMES, Kept, ScopeOptions, keep

if TYPE_CHECKING:
    from typing_extensions import Self

    from hypern.scope.options import Begin

_T = TypeVar("_T")

_ROUTES_MAX = 1024

# An option that only a middleware has.
CARRIER: Final = "read_your_writes"

_Asked: TypeAlias = _T | Callable[[Any], _T]


class Asked(TypedDict, total=False):
    """The keywords of a middleware: those of `scope()`, each a value or a callable that is called
    with the framework's request when the request opens its first session. read_only may be the set
    of the methods of HTTP whose requests are read only.
    """

    atomic: _Asked[bool | Begin | None]
    settings: _Asked[Mapping[str, str] | None]
    role: _Asked[str | None]
    read_only: _Asked[bool | None] | Set[str]
    deadline_secs: _Asked[float | None]
    label: _Asked[str | None]
    not_before: _Asked[str | Mapping[str, str] | None]
    read_your_writes: Carrier | None


class Carrier(Protocol):
    """What carries the positions that a client has written to: hypern.middleware.ReadYourWrites."""

    @property
    def request_header(self) -> str: ...
    def read(self, value: str | None, /) -> dict[str, str]: ...
    def response_header(self, positions: Mapping[str, str], /) -> tuple[str, str]: ...


class RequestOptions:
    """What a middleware was given, validated as far as it can be without a request."""

    __slots__ = ("_asked", "_fixed", "_kept", "_methods", "_values", "carrier")

    def __init__(self, given: Mapping[str, Any]) -> None:
        given = dict(given)
        self.carrier: Carrier | None = given.pop(CARRIER, None)
        if self.carrier is not None and not hasattr(self.carrier, "response_header"):
            raise ConfigurationError(
                f"{CARRIER} must be a hypern.middleware.ReadYourWrites, "
                f"not {type(self.carrier).__name__}"
            )
        unknown = set(given) - NAMES
        if unknown:
            raise ConfigurationError(
                f"unknown option {min(map(str, unknown))!r}; there are: {', '.join(sorted(NAMES))}"
            )
        self._asked = {name: value for name, value in given.items() if callable(value)}
        self._values = {n: value for n, value in given.items() if n not in self._asked}
        self._methods = self._take_methods()
        self._fixed = ScopeOptions(**self._values)
        # By route and whether it is read only, where nothing else distinguishes requests.
        self._kept: dict[tuple[str | None, bool], Kept | None] = {}

    def _take_methods(self) -> frozenset[str] | None:
        methods = self._values.get("read_only")
        if not isinstance(methods, Set):
            return None
        del self._values["read_only"]
        if not all(isinstance(method, str) for method in methods):
            raise ConfigurationError("read_only must be a bool, or a set of methods such as GET")
        return frozenset(method.upper() for method in methods)

    def __or__(self, given: Mapping[str, Any]) -> Self:
        """The same with other options on top."""
        mine: dict[str, Any] = {**self._values, **self._asked, CARRIER: self.carrier}
        if self._methods is not None:
            mine["read_only"] = self._methods
        return type(self)({**mine, **given})

    @property
    def asks(self) -> bool:
        """Whether an option depends on the request itself."""
        return bool(self._asked)

    def keep(
        self,
        request: Callable[[], object],
        method: str,
        route: str | None,
        opened: float,
    ) -> Kept | None:
        """The options of one request, which was opened at a moment of time.monotonic().

        request: makes the framework's request. route: its template, the label if none is given.
        Raises what a callable raises, and ConfigurationError for what it returns.
        """
        is_read_only = self._methods is not None and method in self._methods
        if self._asked:
            return keep(self._options(request(), route, is_read_only=is_read_only), opened)
        try:
            kept = self._kept[route, is_read_only]
        except KeyError:
            kept = keep(self._options(None, route, is_read_only=is_read_only), 0.0)
            if len(self._kept) < _ROUTES_MAX:
                self._kept[route, is_read_only] = kept
        if kept is not None and kept.deadline_secs:
            kept = kept._replace(deadline=opened + kept.deadline_secs)
        return kept

    def _options(self, request: object, route: str | None, *, is_read_only: bool) -> ScopeOptions:
        values = {name: ask(request) for name, ask in self._asked.items()}
        if is_read_only:
            values["read_only"] = True
        if route and values.get("label") is None and self._values.get("label") is None:
            values["label"] = route
        return ScopeOptions(**{**self._values, **values}) if values else self._fixed


NOTHING_ASKED = RequestOptions({})
