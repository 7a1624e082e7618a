"""Range: equality, order, membership and what it refuses."""

from __future__ import annotations

import pickle
from itertools import pairwise

import pytest

from hypern import Range


def test_bounds_are_what_was_given() -> None:
    value = Range(1, 5, "(]")
    assert (value.lower, value.upper, value.bounds, value.empty) == (1, 5, "(]", False)
    assert repr(value) == "Range(1, 5, '(]')"
    assert Range(1, 5).bounds == "[)"


def test_an_unbounded_side_is_never_inclusive() -> None:
    assert Range(None, 5, "[)") == Range(None, 5, "()")
    assert Range(1, None, "[]") == Range(1, None, "[)")
    assert Range().bounds == "()"


def test_all_empty_ranges_are_equal() -> None:
    assert Range(1, 5, empty=True) == Range(empty=True) == Range(9, 9, "[]", empty=True)
    assert Range(empty=True) != Range()
    assert repr(Range(1, 2, empty=True)) == "Range(empty=True)"


def test_equal_ranges_hash_alike_and_pickle() -> None:
    assert len({Range(1, 5), Range(1, 5, "[)"), Range(1, 5, "[]")}) == 2
    assert pickle.loads(pickle.dumps(Range(1, 5, "(]"))) == Range(1, 5, "(]")


def test_order_is_postgresqls() -> None:
    ordered = [
        Range(empty=True),
        Range(None, 1),
        Range(None, 1, "(]"),
        Range(),
        Range(1, 2),
        Range(1, 2, "[]"),
        Range(1, None),
        Range(1, 2, "()"),
        Range(2, 3),
    ]
    assert sorted(ordered[::2] + ordered[1::2]) == ordered
    for first, second in pairwise(ordered):
        assert first < second
        assert second > first
        assert first <= second
        assert not second <= first


def test_membership_respects_the_bounds() -> None:
    assert 1 in Range(1, 5)
    assert 5 not in Range(1, 5)
    assert 1 not in Range(1, 5, "(]")
    assert 5 in Range(1, 5, "(]")
    assert 10**9 in Range(1, None)
    assert -(10**9) in Range(None, 1)
    assert 0 not in Range(1, None)
    assert 1 not in Range(empty=True)


def test_other_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="bounds"):
        Range(1, 2, "][")
    with pytest.raises(TypeError):
        assert Range(1, 2) < 3
