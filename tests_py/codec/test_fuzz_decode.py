"""Random and mutated bytes for every type: a value or DataError, never a crash, never a leak.

HYPERN_FUZZ_SECONDS sets how long (2 seconds without it).
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import struct
import sys
import time
from collections.abc import Callable

import pytest
from test_decode import VALUES
from wire_format import description, field, row

from hypern import _native, errors

SECONDS = float(os.environ.get("HYPERN_FUZZ_SECONDS", "2"))
OIDS = [oid for t in _native.types() for oid in (t[0], t[3]) if oid]
TEXTS = [
    b'{"a": [1, 2.5e3, "x\\u00e9\\ud83d\\ude00", null, true]}',
    b'{1,NULL,"a \\"b\\"",{x}}',
    b"[2:3]={{1},{2}}",
    b'("a ""b""",1,,"{1,2}")',
    b"{[1,2),(,5]}",
    b"2024-01-01 01:02:03.456+05:30 BC",
    b"1 year -2 mons +3 days -04:05:06.7",
    b"c6cc0cda-0461-4588-a0ae-91e918d7da6e",
    b"caf\xc3\xa9\xff",
]


def number(dice: random.Random) -> bytes:
    return struct.pack(
        "!i", dice.choice([0, 1, 2, 4, 8, -1, -2, 2**31 - 1, -(2**31), dice.choice(OIDS)])
    )


def random_value(dice: random.Random, depth: int = 0) -> bytes:
    def parts(most: int) -> bytes:
        if depth == 4:
            return b""
        pieces = []
        for _ in range(dice.randrange(most)):
            value = random_value(dice, depth + 1)
            pieces.append(number(dice) + value if dice.random() < 0.05 else field(value))
        return b"".join(pieces)

    match dice.randrange(7):
        case 0:
            return dice.randbytes(dice.randrange(40))
        case 1:
            return dice.choice([b"", b"\1"]) + dice.choice(TEXTS)
        case 2:
            sizes = b"".join(number(dice) for _ in range(dice.randrange(6)))
            head = struct.pack("!iiI", dice.randrange(8), dice.randrange(2), dice.choice(OIDS))
            return head + sizes + parts(4)
        case 3:
            count = dice.randrange(6)
            fields = (struct.pack("!I", dice.choice(OIDS)) + parts(2) for _ in range(count))
            return struct.pack("!i", count) + b"".join(fields)
        case 4:
            return bytes([dice.randrange(32)]) + parts(3)
        case 5:
            sign = dice.choice([0, 0x4000, 0xC000, 0xD000, 1])
            digits = [dice.choice([0, 1, 9999, 10000]) for _ in range(dice.randrange(5))]
            weight, scale = dice.choice([0, 1, -1, 5, 99]), dice.randrange(20)
            return struct.pack(f"!HhHH{len(digits)}H", len(digits), weight, sign, scale, *digits)
        case _:
            return dice.choice(VALUES)[1]


def mutated(dice: random.Random, value: bytes) -> bytes:
    changed = bytearray(value)
    for _ in range(dice.randrange(4)):
        if not changed:
            break
        at = dice.randrange(len(changed))
        match dice.randrange(5):
            case 0:
                changed[at] = dice.randrange(256)
            case 1:
                changed[at] ^= 1 << dice.randrange(8)
            case 2:
                del changed[at : at + dice.randrange(1, 9)]
            case 3:
                changed[at:at] = changed[at : at + 16]
            case _:
                changed[at : at + 4] = number(dice)
    return bytes(changed)


@pytest.mark.parametrize("seed", range(4))
def test_any_bytes_are_a_value_or_a_data_error(seed: int) -> None:
    dice = random.Random(seed)
    columns = {oid: description(("it", oid)) for oid in OIDS}
    end = time.monotonic() + SECONDS / 4
    while time.monotonic() < end:
        oid = dice.choice(OIDS)
        sent = random_value(dice)
        if dice.random() < 0.5:
            oid, sent, _ = dice.choice(VALUES)
        message = row(mutated(dice, sent))
        if dice.random() < 0.1:
            message = mutated(dice, message)
        with contextlib.suppress(errors.DataError):
            _native.decode_row(columns[oid], message)


def blocks_kept_by(run: Callable[[], object], times: int) -> int:
    for _ in range(50):
        run()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(times):
        run()
    gc.collect()
    return sys.getallocatedblocks() - before


@pytest.mark.parametrize(("oid", "sent"), [(oid, sent) for oid, sent, _ in VALUES])
def test_nothing_is_kept_of_a_value_or_of_an_error(oid: int, sent: bytes) -> None:
    columns = description(("it", oid))
    pieces = [row(sent), row(sent[:-1]), row(sent[: len(sent) // 2]), row(sent + b"\0")]

    def run() -> None:
        for piece in pieces:
            with contextlib.suppress(errors.DataError):
                _native.decode_row(columns, piece)

    assert blocks_kept_by(run, 1000) < 500
