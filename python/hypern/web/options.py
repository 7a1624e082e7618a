"""What a response means for its request, and the options that decide that."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NamedTuple, TypeVar

from hypern.scope.asked import NOTHING_ASKED, RequestOptions
from hypern.scope.options import PLAIN

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hypern.scope.asked import Asked
    from hypern.scope.options import Kept

_App = TypeVar("_App")

# The statuses that count as a failure, since frameworks turn exceptions into responses.
FAILURES: Final = range(400, 1000)

Finalize = Literal["auto", "start", "end"]
_FINALIZE: Final = ("auto", "start", "end")


class Verdict(NamedTuple):
    """What a response means for its request.

    failed: bool, the request is rolled back. is_success: bool, the status is below 400, which a
    response over an aborted transaction must not claim.
    """

    failed: bool
    is_success: bool


FAILED: Final = Verdict(failed=True, is_success=False)
SUCCEEDED: Final = Verdict(failed=False, is_success=True)


class Options:
    """The options of every middleware.

    rollback_on: status codes (a container) whose response rolls back what is still open, since
        frameworks turn exceptions into responses; a commit() of the handler stands
    finalize: when the sessions end. "start": before the response's first byte. "end": after its
        body. "auto": before the first byte, unless the body is produced while it is sent (its
        length is not known beforehand); then transactions end before the first byte, and the
        sessions after the body

    The others are those of `scope()`, each a value, or a callable that is called with the
    framework's request when the request opens its first session; label is the route's template by
    default, and read_only may be a set of methods, such as {"GET", "HEAD"}. The option
    read_your_writes is a hypern.middleware.ReadYourWrites, which has replicas read only once they
    have what the client has written before.
    """

    rollback_on: Container[int] = FAILURES
    finalize: Finalize = "auto"
    scope_options: RequestOptions = NOTHING_ASKED

    def check_options(self) -> None:
        """Raise TypeError or ValueError for options that cannot work."""
        if not hasattr(self.rollback_on, "__contains__"):
            raise TypeError(
                "rollback_on must be a container of status codes, such as range(500, 600) or (), "
                f"not {type(self.rollback_on).__name__}"
            )
        if self.finalize not in _FINALIZE:
            raise ValueError(f"finalize must be one of: {', '.join(_FINALIZE)}")

    def request_of(self, carrier: Any) -> object:
        """The framework's request. carrier: what the server has called the middleware with."""
        return carrier

    def method_of(self, carrier: Any) -> str:
        """The request's method, in upper case."""
        raise NotImplementedError

    def header_of(self, carrier: Any, name: str) -> str | None:
        """A header of the request; None if it has none of that name."""
        raise NotImplementedError

    def route_of(self, carrier: Any) -> str | None:
        """The template of the request's route; None if it is not known."""
        return None

    def keep(
        self, carrier: Any, opened: float, options: RequestOptions | None = None
    ) -> Kept | None:
        """The options of a request's scope, the middleware's own by default. Raises what a callable
        among them raises.
        """
        given = self.scope_options if options is None else options
        kept = given.keep(
            lambda: self.request_of(carrier),
            self.method_of(carrier),
            self.route_of(carrier),
            opened,
        )
        if given.carrier is None or (kept is not None and kept.not_before is not None):
            return kept
        positions = given.carrier.read(self.header_of(carrier, given.carrier.request_header))
        return (kept or PLAIN)._replace(not_before=positions) if positions else kept

    def verdict(self, status: int) -> Verdict:
        """What a response's status means."""
        failed = status in self.rollback_on
        return Verdict(failed, is_success=status < 400 and not failed)

    def outlive_start(self, *, is_produced: bool) -> bool:
        """Whether the sessions live until the body has been sent."""
        return self.finalize == "end" or (self.finalize == "auto" and is_produced)


class Wrapper(Options, Generic[_App]):
    """A middleware that wraps an application and takes its options as arguments."""

    def __init__(
        self,
        app: _App,
        *,
        rollback_on: Container[int] = FAILURES,
        finalize: Finalize = "auto",
        **options: Unpack[Asked],
    ) -> None:
        self.app = app
        self.rollback_on = rollback_on
        self.finalize = finalize
        if options:
            self.scope_options = RequestOptions(options)
        self.check_options()
