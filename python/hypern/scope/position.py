"""Positions of a server's write-ahead log, as `Scope.commit_lsn` returns them: "0/3000148", or with
the timeline and the number of the system, "0/3000148:1:7349812345678901234".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hypern.errors import ConfigurationError

_POSITION: Final = re.compile(
    r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}(:[0-9]{1,9}:[0-9]{1,19})?", re.ASCII
)


def is_position(value: object) -> bool:
    """Whether it is a position's text."""
    return isinstance(value, str) and _POSITION.fullmatch(value) is not None


def check_positions(value: object) -> str | Mapping[str, str]:
    """Raise ConfigurationError for a value of not_before that cannot work; returns it."""
    if isinstance(value, Mapping):
        for alias, position in value.items():
            if not isinstance(alias, str):
                raise ConfigurationError(
                    f"not_before must be a mapping by alias (str), not {type(alias).__name__}"
                )
            _check(f'not_before["{alias}"]', position)
        return dict(value)
    _check("not_before", value)
    return str(value)


def _check(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a str, not {type(value).__name__}")
    if not is_position(value):
        raise ConfigurationError(
            f"{name} is no position of a server's log; pass what commit_lsn() has returned, or an "
            "LSN such as 0/3000148"
        )
