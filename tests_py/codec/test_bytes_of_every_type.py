"""The bytes of every type, alone and in arrays: cut short, continued, with lying lengths, mutated.

Nothing is kept of them, nor of what they became.

HYPERN_FUZZ_SECONDS sets how long values are mutated (2 seconds without it).
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import gc
import ipaddress
import os
import random
import struct
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from types_values import VALUES
from wire_format import bind, description, row

from hypern import Range, _native, errors

SECONDS = float(os.environ.get("HYPERN_FUZZ_SECONDS", "2"))
OIDS = {name: (oid, array) for oid, name, _, array in _native.types()}
LIES = [0, 1, -1, -2, 255, 2**16, 2**31 - 1, -(2**31)]
# What values are made of, or share; their count of references must not change.
SHARED: list[Any] = [
    None,
    True,
    (),
    "",
    b"",
    datetime.timezone.utc,
    *(datetime.date, datetime.time, datetime.datetime, datetime.timedelta, datetime.timezone),
    *(decimal.Decimal, uuid.UUID, Range, dict, list, tuple, str, bytes, int, float),
    *(ipaddress.IPv4Address, ipaddress.IPv4Interface, ipaddress.IPv4Network),
]


def _seeds() -> dict[str, tuple[int, list[bytes], Any]]:
    """For each type, and its array: the OID, values as they travel, and what they were."""
    seeds: dict[str, tuple[int, list[bytes], Any]] = {}
    for name, values in VALUES.items():
        oid, array = OIDS[name.split("(")[0].strip('"')]
        few = [value for value in values if len(str(value)) < 500]
        seeds[name] = (oid, _sent(oid, few), few)
        if array and few:
            seeds[f"{name}[]"] = (array, _sent(array, [[*few, None]]), [[*few, None]])
    return seeds


def _sent(oid: int, values: list[Any]) -> list[bytes]:
    return [sent for value in values for sent in bind([oid], [value]).values if sent is not None]


SEEDS = _seeds()


def attempt(columns: bytes, message: bytes) -> bool:
    """Whether a row could be read; any other error than DataError fails the test."""
    with contextlib.suppress(errors.DataError):
        _native.decode_row(columns, message)
        return True
    return False


def lies(sent: bytes) -> list[bytes]:
    """A value cut short anywhere, continued, and with each of its words replaced."""
    cuts = [sent[:n] for n in range(len(sent))] + [sent + b"\0", sent + b"\xff" * 9]
    words = [
        sent[:at] + struct.pack("!i", lie) + sent[at + 4 :]
        for at in range(len(sent) - 3)
        for lie in LIES
    ]
    return cuts + words


@pytest.mark.parametrize("name", SEEDS)
def test_lengths_and_counts_that_lie_are_an_error_or_another_value(name: str) -> None:
    oid, seeds, _ = SEEDS[name]
    columns, two = description(("it", oid)), description(("it", oid), ("more", oid))
    for sent in seeds:
        for wrong in lies(sent[:150]):
            attempt(columns, row(wrong))
        whole = row(sent)
        for n in range(min(len(whole), 60)):
            assert not attempt(columns, whole[:n])
        for lie in LIES:
            if lie not in (-1, len(sent)):
                message = struct.pack("!Hi", 1, lie) + sent
                assert attempt(columns, message) == (lie == len(sent))
        assert not attempt(columns, whole + b"\0")
        assert not attempt(columns, row(sent, sent))
        assert not attempt(two, whole)
        assert not attempt(columns, struct.pack("!H", 65535) + whole[2:])


def test_mutated_values_of_every_type_do_no_harm() -> None:
    dice = random.Random(0)
    work = [(description(("it", oid)), sent) for oid, seeds, _ in SEEDS.values() for sent in seeds]
    end, tried, read = time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < end:
        columns, sent = dice.choice(work)
        for _ in range(20):
            changed = bytearray(sent)
            for _ in range(dice.randrange(1, 4)):
                if changed:
                    at = dice.randrange(len(changed))
                    changed[at : at + 1] = dice.randbytes(dice.randrange(3))
            tried += 1
            read += attempt(columns, row(bytes(changed)))
    assert tried > 1000
    assert read > 0
    print(f"{tried:,} mutated values, {read:,} of them readable")


@pytest.fixture
def only_new_objects() -> Iterator[None]:
    """Have the collector look at what is made from here on, and at nothing older: it is quick."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def counted() -> tuple[int, int, list[int]]:
    gc.collect()
    return len(gc.get_objects()), sys.getallocatedblocks(), [sys.getrefcount(o) for o in SHARED]


def grown(run: Any, times: int = 250) -> tuple[int, int, list[int]]:
    """How many objects, blocks of memory and references more there are after many runs."""
    for _ in range(20):  # caches fill
        run()
    before = counted()
    for _ in range(times):
        run()
    after = counted()
    references = [b - a for a, b in zip(before[2], after[2], strict=True)]
    return after[0] - before[0], after[1] - before[1], references


@pytest.mark.usefixtures("only_new_objects")
@pytest.mark.parametrize("name", SEEDS)
def test_a_thousand_values_keep_no_object_no_memory_and_no_reference(name: str) -> None:
    oid, seeds, values = SEEDS[name]
    columns = description(("it", oid))
    rows = [row(sent) for sent in seeds[:4]] + [row(None)]
    params = [[value] for value in values[:3]]

    def run() -> None:
        for message in rows:
            attempt(columns, message)
            attempt(columns, message[:-1])
        for param in params:
            _native.encode_body([oid], param)

    # What is kept is kept in each measurement; what the interpreter does by itself is not.
    measured = [grown(run) for _ in range(3)]
    assert min(abs(objects) for objects, _, _ in measured) < 50
    assert min(abs(blocks) for _, blocks, _ in measured) < 200
    for counts in zip(*(references for _, _, references in measured), strict=True):
        assert min(map(abs, counts)) < 100, measured
