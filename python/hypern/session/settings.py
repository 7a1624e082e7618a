"""Settings of the server that hold for a transaction, as `scope(settings=...)` and `set_local` take
them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from hypern.errors import ConfigurationError

_NAME: Final = re.compile(r"\w+(\.\w+)*")
_REFUSED: Final = {
    "role": "pass role=",
    "session_authorization": "pass role=",
    "client_encoding": "it is always UTF8",
    "is_superuser": "pass role=",
}


def check_settings(value: object) -> dict[str, str]:
    """The settings as a dict of their own. Raises ConfigurationError, without a value in it."""
    if not isinstance(value, Mapping):
        raise wrong_type("settings", "a mapping of names to str", value)
    checked: dict[str, str] = {}
    for name, text in value.items():
        if not isinstance(name, str):
            raise _no_name(name)
        _check_name(name)
        checked[name] = check_text(f'settings["{name}"]', text)
    return checked


@lru_cache(maxsize=256)  # an application has few names, and each request all of them
def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise _no_name(name)
    remedy = _REFUSED.get(name.lower())
    if remedy is not None:
        raise ConfigurationError(f"settings: {name} cannot be set here; {remedy}")


def _no_name(name: object) -> ConfigurationError:
    return ConfigurationError(
        f"settings: {name!r} is no name of a setting; a name consists of letters, digits and "
        'underscores, with dots between its parts, such as "app.user_id"'
    )


def local_settings(settings: Mapping[str, str]) -> str:
    """The settings of `set_local` for the core: JSON, pairs of name and value."""
    return json.dumps(list(check_settings(settings).items()))


def check_text(name: str, value: object) -> str:
    """A str that the server takes. The error never contains it."""
    if not isinstance(value, str):
        raise wrong_type(name, "a str", value)
    if "\0" in value:
        raise ConfigurationError(f"{name} contains a NUL character, which PostgreSQL does not take")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(
                f"{name} cannot be sent as UTF-8: it contains a lone surrogate"
            ) from None
    if not value and name in ("role", "label"):
        raise ConfigurationError(f"{name} must not be empty")
    return value


def wrong_type(name: str, expected: str, value: object) -> ConfigurationError:
    """The error for a value of another type."""
    return ConfigurationError(f"{name} must be {expected}, not {type(value).__name__}")
