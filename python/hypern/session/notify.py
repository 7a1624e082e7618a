"""NOTIFY, and the names of its channels."""

from __future__ import annotations

from hypern.errors import DataError, ParameterTypeError
from hypern.sql._identifier import MAX_BYTES

NOTIFY_SQL = "SELECT pg_catalog.pg_notify($1, $2)"


def notify_params(channel: str, payload: str) -> list[str]:
    """The parameters of NOTIFY_SQL."""
    if not isinstance(payload, str):
        raise ParameterTypeError(f"a payload is a str, not {type(payload).__name__}")
    return [check_channel(channel), payload]


def check_channel(name: object) -> str:
    """The name of a channel, if it can be one."""
    if not isinstance(name, str):
        raise ParameterTypeError(f"a channel is a str, not {type(name).__name__}")
    if not name:
        raise DataError("the name of a channel cannot be empty")
    if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
        raise DataError("the name of a channel has a NUL character or a lone surrogate")
    size = len(name.encode())
    if size > MAX_BYTES:
        raise DataError(f"the name of a channel has {size} bytes, more than {MAX_BYTES}")
    return name
