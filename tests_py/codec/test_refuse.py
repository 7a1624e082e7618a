"""What cannot be sent is refused with a class and a text that say why, never with the value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timezone
from decimal import Decimal
from typing import Any

import pytest

from hypern import Range, _native, errors

BOOL, BYTEA, CHAR, INT8, INT2, INT4, TEXT = 16, 17, 18, 20, 21, 23, 25
JSON, POINT, FLOAT4, FLOAT8, DATE, TIME = 114, 600, 700, 701, 1082, 1083
NUMERIC, UUID, JSONB, INT4_ARRAY, INT4RANGE, HUGE = 1700, 2950, 3802, 1007, 3904, 10**30

Refusal = tuple[int, Any, type[Exception], str]

REFUSALS: list[Refusal] = [
    (INT2, 2**15, errors.NumericValueOutOfRange, r"int is out of range for PostgreSQL type int2"),
    (INT4, HUGE, errors.NumericValueOutOfRange, r"PostgreSQL type int4"),
    (INT8, 2**63, errors.NumericValueOutOfRange, r"PostgreSQL type int8"),
    (INT4, float("nan"), errors.NumericValueOutOfRange, r"float is out of range"),
    (INT4, 5.5, errors.DataError, r"fraction"),
    (INT4, Decimal("5.5"), errors.DataError, r"fraction"),
    (
        INT4,
        True,
        errors.ParameterTypeError,
        r"Python type bool cannot be sent as PostgreSQL type int4",
    ),
    (INT4, b"1", errors.ParameterTypeError, r"bytes"),
    (INT4, object(), errors.ParameterTypeError, r"object"),
    (BOOL, 1, errors.ParameterTypeError, r"int"),
    (FLOAT8, 10**400, errors.NumericValueOutOfRange, r"float8"),
    (FLOAT8, Decimal("1e400"), errors.NumericValueOutOfRange, r"float8"),
    (FLOAT4, 1e300, errors.NumericValueOutOfRange, r"float4"),
    (FLOAT4, 1e-300, errors.NumericValueOutOfRange, r"float4"),
    (NUMERIC, Decimal("1e131072"), errors.NumericValueOutOfRange, r"numeric"),
    (NUMERIC, Decimal("1e-16384"), errors.NumericValueOutOfRange, r"numeric"),
    (NUMERIC, True, errors.ParameterTypeError, r"bool"),
    (TEXT, "a\0b", errors.CharacterNotInRepertoire, r"NUL"),
    (TEXT, "\ud800", errors.CharacterNotInRepertoire, r"surrogate"),
    (INT4, "1\0", errors.CharacterNotInRepertoire, r"NUL"),
    (TEXT, b"x", errors.ParameterTypeError, r"bytes"),
    (TEXT, [1], errors.ParameterTypeError, r"list"),
    (CHAR, "ab", errors.DataError, r"one byte"),
    (BYTEA, 5, errors.ParameterTypeError, r"int"),
    (UUID, b"short", errors.DataError, r"16 bytes"),
    (DATE, datetime(2024, 1, 1, 1), errors.DataError, r"midnight"),
    (TIME, time(1, tzinfo=timezone.utc), errors.DataError, r"offset"),
    (JSONB, float("nan"), errors.DataError, r"NaN"),
    (JSONB, {"a": [float("inf")]}, errors.DataError, r"infinities"),
    (JSONB, {"a": object()}, errors.ParameterTypeError, r"object within the value"),
    (JSONB, {(1,): 1}, errors.ParameterTypeError, r"key"),
    (JSON, {1, 2}, errors.ParameterTypeError, r"set"),
    (JSON, Range(1, 2), errors.ParameterTypeError, r"Range"),
    (INT4_ARRAY, [1, [2]], errors.ParameterTypeError, r"list"),
    (INT4_ARRAY, [[1], 2], errors.DataError, r"depth"),
    (INT4_ARRAY, [[1], [2, 3]], errors.DataError, r"length"),
    (INT4_ARRAY, [[]], errors.DataError, r"empty"),
    (INT4_ARRAY, [[[[[[[1]]]]]]], errors.DataError, r"6 dimensions"),
    (INT4_ARRAY, [2**31], errors.NumericValueOutOfRange, r"int4"),
    (INT4RANGE, Range(2**31, None), errors.NumericValueOutOfRange, r"int4"),
    (INT4RANGE, 5, errors.ParameterTypeError, r"int4range"),
    (POINT, (1, 2), errors.ParameterTypeError, r"point"),
]


@pytest.mark.parametrize(("oid", "value", "kind", "words"), REFUSALS)
def test_the_parameter_is_named_and_the_reason(
    oid: int, value: Any, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=rf"^parameter \$2: .*{words}") as caught:
        _native.encode_body([INT4, oid], [1, value])
    assert type(caught.value) is kind


def test_the_value_is_not_in_the_text() -> None:
    for oid, value in ((INT4, 1234567890123), (JSONB, {"secret": object()}), (TEXT, "secret\0")):
        with pytest.raises((errors.DataError, TypeError)) as caught:
            _native.encode_body([oid], [value])
        assert "secret" not in str(caught.value)
        assert "1234567890123" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], r"1 placeholder, 0 parameters were given"),
        (None, r"0 parameters were given"),
        ([1, 2], r"2 parameters were given"),
        ([1] * 65_536, r"65536 parameters given; a statement takes 65535"),
    ],
)
def test_the_number_of_parameters_must_fit(given: list[int] | None, words: str) -> None:
    with pytest.raises(errors.ProgrammingError, match=words):
        _native.encode_body([INT4], given)


def test_65535_parameters_are_sent() -> None:
    assert len(_native.encode_body([INT4] * 65_535, [1] * 65_535)) > 65_535 * 8


@pytest.mark.parametrize("given", ["abc", b"abc", {"a": 1}, {1}, 5, iter([1])])
def test_parameters_must_be_a_sequence(given: Any) -> None:
    with pytest.raises(TypeError, match="sequence"):
        _native.encode_body([INT4], given)


def test_a_list_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="nested"):
        _native.encode_body([JSONB], [endless])
    with pytest.raises(errors.DataError, match="dimensions"):
        _native.encode_body([INT4_ARRAY], [endless])


class Shrinking(int):
    """Empties the list it stands in when it is asked for its number."""

    def __new__(cls, shrink: Callable[[], None]) -> Shrinking:
        self = super().__new__(cls, 5)
        self.shrink = shrink
        return self

    shrink: Callable[[], None]

    def __index__(self) -> int:
        self.shrink()
        return 5


def test_a_list_that_changes_while_it_is_read_does_no_harm() -> None:
    params: list[Any] = []
    params += [Shrinking(params.clear), 2]
    assert _native.encode_body([INT4, INT4], params)
    inner: list[Any] = []
    inner += [Shrinking(inner.clear), 2]
    assert _native.encode_body([INT4_ARRAY], [inner])
