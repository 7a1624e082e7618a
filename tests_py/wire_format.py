"""PostgreSQL's wire format for tests of the codec alone: descriptions, rows, Bind bodies."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from hypern import _native


def description(*columns: tuple[str, int]) -> bytes:
    """The body of a RowDescription with these names and type OIDs."""
    fields = b"".join(
        name.encode() + b"\0" + struct.pack("!IHIhih", 0, 0, oid, -1, -1, 0)
        for name, oid in columns
    )
    return struct.pack("!H", len(columns)) + fields


def field(value: bytes | None) -> bytes:
    """A value with the length before it, None as NULL."""
    return struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value


def row(*values: bytes | None) -> bytes:
    """The body of a DataRow."""
    return struct.pack("!H", len(values)) + b"".join(field(value) for value in values)


def decode(oid: int, value: bytes | None) -> Any:
    """What one column of the type makes of the bytes."""
    return _native.decode_row(description(("it", oid)), row(value))["it"]


class Bind(NamedTuple):
    """The body of a Bind, taken apart."""

    formats: list[int]
    values: list[bytes | None]
    result_formats: list[int]


def bind(oids: list[int], params: Any) -> Bind:
    """What the codec sends for these parameters."""
    body = _native.encode_body(oids, params)
    at = 0

    def take(form: str) -> int:
        nonlocal at
        (number,) = struct.unpack_from(form, body, at)
        at += struct.calcsize(form)
        return int(number)

    formats = [take("!H") for _ in range(take("!H"))]
    values: list[bytes | None] = []
    for _ in range(take("!H")):
        size = take("!i")
        values.append(None if size < 0 else body[at : at + size])
        at += max(size, 0)
    if len(formats) == 1:
        formats *= len(values)  # one for all, as the protocol has it
    result_formats = [take("!H") for _ in range(take("!H"))]
    assert at == len(body)
    return Bind(formats, values, result_formats)


def text(oid: int, value: Any) -> str:
    """A parameter that must travel as text."""
    sent = bind([oid], [value])
    assert sent.formats == [0]
    assert sent.values[0] is not None
    return sent.values[0].decode()


def binary(oid: int, value: Any) -> bytes:
    """A parameter that must travel in binary."""
    sent = bind([oid], [value])
    assert sent.formats == [1]
    assert sent.values[0] is not None
    return sent.values[0]
