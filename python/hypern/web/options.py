"""What a response means for its request, and the options that decide that."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, Generic, Literal, NamedTuple, TypeVar

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
    """

    rollback_on: Container[int] = FAILURES
    finalize: Finalize = "auto"

    def check_options(self) -> None:
        """Raise TypeError or ValueError for options that cannot work."""
        if not hasattr(self.rollback_on, "__contains__"):
            raise TypeError(
                "rollback_on must be a container of status codes, such as range(500, 600) or (), "
                f"not {type(self.rollback_on).__name__}"
            )
        if self.finalize not in _FINALIZE:
            raise ValueError(f"finalize must be one of: {', '.join(_FINALIZE)}")

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
        self, app: _App, *, rollback_on: Container[int] = FAILURES, finalize: Finalize = "auto"
    ) -> None:
        self.app = app
        self.rollback_on = rollback_on
        self.finalize = finalize
        self.check_options()
