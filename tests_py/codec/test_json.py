"""JSON is read and written as Python's own json does: the same values, and the same refusals."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire_format import binary, decode

from hypern import errors

JSON, JSONB = 114, 3802
FULL = os.environ.get("HYPERN_TYPES") == "full"
drawn = settings(
    max_examples=20_000 if FULL else 100,
    deadline=None,
    database=None,
    derandomize=not FULL,
    suppress_health_check=list(HealthCheck),
)
# PostgreSQL's json holds neither; a decoder of it must refuse them as well.
_floats = st.floats(allow_nan=False, allow_infinity=False)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | _floats | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)
_space = st.text(" \t\r\n", max_size=2)
# Pieces of JSON in any order: some are valid, all are near it.
_PIECES = (
    '{ } [ ] , : "" "a" "a" "\\u00e9" "\\ud83d\\ude00" "\\ud800" "\\q" "\\u12" 0 -0 01 1 -1 1.5 1. '
    ".5 1e5 1E+400 -1e-400 1e 123456789012345678901234567890 0.1e1 true false null nul NaN "
    "Infinity -Infinity {} [] é \\"
)
_pieces = st.lists(st.sampled_from(_PIECES.split()), max_size=12)


class Refused:
    """Stands for a text that is no JSON."""


def theirs(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(text, parse_constant=refuse)
    except ValueError:
        return Refused


def ours(text: str) -> Any:
    try:
        return decode(JSON, text.encode())
    except errors.DataError:
        return Refused


def agree(text: str) -> None:
    got, want = ours(text), theirs(text)
    # With the order of keys, 1 apart from 1.0 and True, and all digits.
    assert repr(got) == repr(want), text


@drawn
@given(value=_values, ascii_only=st.booleans(), space=_space)
def test_what_python_writes_is_read_as_python_reads_it(
    value: Any, ascii_only: bool, space: str
) -> None:
    text = json.dumps(value, ensure_ascii=False)
    surrogates = any("\ud800" <= c <= "\udfff" for c in text)
    comma, colon = f"{space},{space}", f"{space}:{space}"
    agree(
        space
        + json.dumps(value, ensure_ascii=ascii_only or surrogates, separators=(comma, colon))
        + space
    )


@drawn
@given(pieces=_pieces, space=_space)
def test_what_python_refuses_is_refused(pieces: list[str], space: str) -> None:
    agree(space.join(pieces))
    agree("[" + ",".join(pieces) + "]")
    agree("{" + ",".join(f'"k":{piece}' for piece in pieces) + "}")
    agree('{"k":1,"a":2,"k":[' + space.join(pieces) + "]}")


@drawn
@given(value=_values)
def test_what_we_write_is_read_by_python_as_the_same_value(value: Any) -> None:
    if isinstance(value, (dict, list)):
        assert repr(json.loads(binary(JSONB, value)[1:])) == repr(value)


def test_integers_of_as_many_digits_as_python_reads_are_exact() -> None:
    for digits in (1, 9, 10, 18, 19, 20, 640, 4_299):
        for number in (10**digits, 10**digits - 1, -(10**digits)):
            assert decode(JSONB, binary(JSONB, [number])) == [number]
