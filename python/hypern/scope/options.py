"""The options of a scope: one set of keywords for `scope()`, `@scoped`, the middleware and the
application, validated in one place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict

from hypern.errors import ConfigurationError
from hypern.scope.position import check_positions
from hypern.session.begin import begin_sql
from hypern.session.settings import check_settings, check_text, wrong_type

if TYPE_CHECKING:
    from typing_extensions import NotRequired

_MAX_SECONDS: Final = 2_147_483  # a server's time limits are int32 milliseconds
_LONGEST_LABEL: Final = 200


class Begin(TypedDict):
    """The options of an atomic scope's transactions, as those of `DbSession.begin`."""

    isolation: NotRequired[str | None]
    read_only: NotRequired[bool | None]
    deferrable: NotRequired[bool | None]


class Given(TypedDict, total=False):
    """The keywords, for signatures that pass them on."""

    atomic: bool | Begin | None
    settings: Mapping[str, str] | None
    role: str | None
    read_only: bool | None
    deadline_secs: float | None
    label: str | None
    not_before: str | Mapping[str, str] | None


@dataclass(frozen=True)
class ScopeOptions:
    """The options of one scope; None stands for the default of each.

    atomic: True, or a dict with isolation, read_only and deferrable: the first statement on each
        alias begins a transaction, which is committed or rolled back with the scope; False: each
        statement commits by itself; None is the alias's `Database.configure(..., atomic=...)`
    settings: values of the server's settings (str by name), set for each transaction
    role: the role (str) of each transaction
    read_only: True: every transaction is READ ONLY, on a replica if the alias has one
    deadline_secs: seconds from the scope's opening in which its statements and commits must end
    label: what the scope does (str), for logs and hooks
    not_before: what `Scope.commit_lsn` returned, or a mapping of it by alias: a replica must have
        it; else the primary serves
    """

    atomic: bool | Begin | None = None
    settings: Mapping[str, str] | None = None
    role: str | None = None
    read_only: bool | None = None
    deadline_secs: float | None = None
    label: str | None = None
    not_before: str | Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        check_atomic(self.atomic)
        if self.settings is not None:
            object.__setattr__(self, "settings", check_settings(self.settings))
        if self.role is not None:
            check_text("role", self.role)
        if self.read_only is not None and not isinstance(self.read_only, bool):
            raise wrong_type("read_only", "True, False or None", self.read_only)
        if self.deadline_secs is not None:
            _check_deadline(self.deadline_secs)
        if self.label is not None:
            check_text("label", self.label)
            object.__setattr__(self, "label", self.label[:_LONGEST_LABEL])
        if self.not_before is not None:
            object.__setattr__(self, "not_before", check_positions(self.not_before))
        if self.atomic is False and self.in_transaction:
            name = next(n for n in ("settings", "role", "read_only") if getattr(self, n))
            raise ConfigurationError(
                f"{name}= with atomic=False: it holds for a transaction; leave atomic= out"
            )
        if self.read_only and isinstance(self.atomic, Mapping) and "read_only" in self.atomic:
            raise ConfigurationError("read_only is given twice: beside atomic= and in it")

    @property
    def in_transaction(self) -> bool:
        """Whether an option can be kept only by a transaction around every statement."""
        return bool(self.settings or self.role is not None or self.read_only)

    @property
    def is_plain(self) -> bool:
        """Whether statements on the primary do the same without these options: a label at most."""
        return self.begin is None and self.deadline_secs is None

    @property
    def begin(self) -> str | None:
        """The BEGIN ahead of the first statement on each alias; "" if each commits by itself, None
        if the alias decides.
        """
        if self.atomic is None and not self.in_transaction:
            return None
        if self.atomic is False:
            return ""
        if not self.read_only and not isinstance(self.atomic, Mapping):
            return "BEGIN"
        given: dict[str, Any] = dict(self.atomic) if isinstance(self.atomic, Mapping) else {}
        if self.read_only:
            given["read_only"] = True
        return begin_sql(given.get("isolation"), given.get("read_only"), given.get("deferrable"))

    @cached_property
    def core(self) -> bytes:
        """For the core (bytes, UTF-8): fields that end with a NUL, which none of them contains."""
        begin = self.begin
        texts = [
            "default" if begin is None else begin,
            "" if self.deadline_secs is None else f"{self.deadline_secs:g}",
            self.label or "",
        ]
        for pair in (self.settings or {}).items():
            texts += pair
        if self.role is not None:
            texts += ("role", self.role)  # the last, since it may not set the others
        texts.append("")
        return "\0".join(texts).encode()


class Kept(NamedTuple):
    """The options of one open scope, as the extension opens sessions with them.

    core: `ScopeOptions.core`. deadline: a moment of time.monotonic(), in seconds; 0 for none.
    reads: its sessions only read. not_before: a position of the log that a replica must have.
    options: what the others come from.
    """

    core: bytes
    deadline: float
    deadline_secs: float
    label: str | None
    reads: bool
    not_before: Any  # str or None; a mapping by alias until `of()`
    options: ScopeOptions

    def of(self, alias: str, read_only: bool | None) -> Kept:
        """The same for a session on an alias. read_only: whether it only reads; None: as here."""
        kept = self
        if read_only is not None and read_only is not kept.reads:
            given = kept.options
            atomic = given.atomic
            if read_only and atomic is False:
                atomic = None
            elif read_only and isinstance(atomic, Mapping):
                atomic = {**atomic}
                atomic.pop("read_only", None)
            options = replace(given, atomic=atomic, read_only=read_only or None)
            kept = kept._replace(core=options.core, reads=read_only, options=options)
        if isinstance(kept.not_before, Mapping):
            kept = kept._replace(not_before=kept.not_before.get(alias))
        return kept


def keep(options: ScopeOptions, opened: float) -> Kept | None:
    """The options of a scope that was opened at a moment of time.monotonic(); None if there are
    none.
    """
    if options is not ATOMIC and options == NO_OPTIONS:
        return None
    seconds = options.deadline_secs or 0.0
    return Kept(
        options.core,
        opened + seconds if seconds else 0.0,
        float(seconds),
        options.label,
        bool(options.read_only),
        options.not_before,
        options,
    )


def variant(kept: Kept | None, alias: str, read_only: bool) -> Kept | None:
    """The options of a scope for a session on an alias that only reads, or does not."""
    if kept is None:
        return READ_ONLY if read_only else None
    return kept.of(alias, read_only)


def check_atomic(value: object) -> None:
    """Raise ConfigurationError for a value of `atomic` that cannot work."""
    if value is None or isinstance(value, bool):
        return
    if not isinstance(value, Mapping):
        raise wrong_type(
            "atomic", "True, False or a dict of isolation, read_only, deferrable", value
        )
    unknown = set(value) - {"isolation", "read_only", "deferrable"}
    if unknown:
        raise ConfigurationError(
            f"atomic has no option {min(map(str, unknown))!r}; "
            "it takes isolation, read_only and deferrable"
        )
    try:
        begin_sql(value.get("isolation"), value.get("read_only"), value.get("deferrable"))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"atomic: {error}") from None


def _check_deadline(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type("deadline_secs", "a number of seconds", value)
    if not 0 < value <= _MAX_SECONDS or math.isnan(value):
        raise ConfigurationError(
            f"deadline_secs must be above 0, and {_MAX_SECONDS} at most, not {value}"
        )


NO_OPTIONS: Final = ScopeOptions()
PLAIN: Final = Kept(NO_OPTIONS.core, 0.0, 0.0, None, False, None, NO_OPTIONS)
ATOMIC: Final = ScopeOptions(atomic=True)
READ_ONLY: Final = keep(ScopeOptions(read_only=True), 0.0)
NAMES: Final = frozenset(field.name for field in fields(ScopeOptions))
