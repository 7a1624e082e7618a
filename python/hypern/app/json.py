"""JSON of whatever a database row can hold, without loss."""

from __future__ import annotations

import ipaddress
from typing import Any, Literal

import msgspec

from hypern.database import Range

Decimals = Literal["str", "number"]


def json_encoder(decimals: Decimals) -> msgspec.json.Encoder:
    """An encoder of rows to JSON (bytes, UTF-8).

    Dates and times become ISO 8601, UUIDs text, bytes base64, and a float that JSON cannot
    represent becomes null. decimals: "str" keeps a Decimal's digits for every client; "number"
    writes them without quotes, and a NaN, for which JSON has no notation, as NaN. Raises TypeError
    for a value that JSON cannot represent.
    """
    return msgspec.json.Encoder(
        enc_hook=_encode_other, decimal_format="string" if decimals == "str" else "number"
    )


def _encode_other(value: Any) -> Any:
    if isinstance(
        value,
        (
            Range,
            ipaddress.IPv4Address,
            ipaddress.IPv6Address,
            ipaddress.IPv4Network,
            ipaddress.IPv6Network,
            ipaddress.IPv4Interface,
            ipaddress.IPv6Interface,
        ),
    ):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
