"""Parameters by name: `:name` in the text, a mapping for the values."""

from __future__ import annotations

import re
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from either import run

from hypern import errors
from hypern.database import DbSession, adb
from hypern.sql._cache import Cache

pytestmark = pytest.mark.usefixtures("kind")


def test_a_name_may_come_again_and_in_any_order(session: DbSession) -> None:
    row = session.query_one("SELECT :b::text || :a AS x, :a AS y, ':a' AS z", {"a": "1", "b": "2"})
    assert row == {"x": "21", "y": "1", "z": ":a"}


@pytest.mark.parametrize(
    "make", [dict, OrderedDict, MappingProxyType, lambda d: defaultdict(int, d)]
)
def test_any_mapping_will_do(session: DbSession, make: Any) -> None:
    assert session.query_value("SELECT :a::int + :b", make({"a": 1, "b": 2})) == 3


def test_every_method_takes_names(session: DbSession, numbers: None) -> None:
    assert session.execute("INSERT INTO numbers VALUES (:n)", {"n": 1}) == 1
    assert session.execute_many("INSERT INTO numbers VALUES (:n)", [{"n": 2}, {"n": 3}]) == 2
    assert session.query("SELECT n FROM numbers WHERE n > :n", {"n": 2}) == [{"n": 3}]
    assert session.query_one_or_none("SELECT n FROM numbers WHERE n > :n", {"n": 3}) is None
    assert session.query_values("SELECT n FROM numbers WHERE n < :n ORDER BY n", {"n": 3}) == [1, 2]
    streamed = session.stream("SELECT n FROM numbers WHERE n >= :n ORDER BY n", {"n": 2})
    assert [row["n"] for row in streamed] == [2, 3]


def test_a_parameter_in_brackets_is_parenthesised(session: DbSession) -> None:
    text = "SELECT (ARRAY[10, 20, 30])[(:a):(:b)], (ARRAY[1, 2])[:(:a)]"
    row = session.query(text, {"a": 1, "b": 2})[0]
    assert list(row.values()) == [[1]]  # of two columns of one name
    with pytest.raises(errors.ProgrammingError, match=r"not use: a.*\(:name\)"):
        session.query("SELECT (ARRAY[1])[:a]", {"a": 1})


def test_missing_and_unused_names_are_named(session: DbSession) -> None:
    with pytest.raises(errors.ProgrammingError, match=r"no value for :b, :c$"):
        session.query("SELECT :a, :b, :c", {"a": "secret"})
    with pytest.raises(errors.ProgrammingError, match="not use: d") as raised:
        session.query("SELECT :a", {"a": 1, "d": "secret"})
    assert "secret" not in str(raised.value)
    with pytest.raises(errors.ProgrammingError, match="not use: a; a mapping goes with :name"):
        session.query("SELECT 1", {"a": 1})
    with pytest.raises(errors.ProgrammingError, match="not use: a; a mapping goes with :name"):
        session.query("SELECT $1", {"a": 1})
    with pytest.raises(errors.ProgrammingError, match="a key of type int"):
        session.query("SELECT 1", {1: 2})  # type: ignore[dict-item]
    with pytest.raises(errors.ProgrammingError, match=r"write :name in place of %\(name\)s"):
        session.query("SELECT %(a)s", {"a": 1})
    assert session.query_value("SELECT 1", {}) == 1


def test_a_missing_name_is_not_made_by_a_defaultdict(session: DbSession) -> None:
    values: Mapping[str, Any] = defaultdict(int)
    with pytest.raises(errors.ProgrammingError, match="no value for :a"):
        session.query("SELECT :a", values)
    assert not values


def test_both_ways_in_one_text_are_refused(session: DbSession) -> None:
    with pytest.raises(errors.ProgrammingError, match=r"both :a and \$1") as raised:
        session.query("SELECT :a,\n $1", {"a": 1})
    assert (raised.value.line, raised.value.position) == (2, 13)


def test_a_quote_without_an_end_is_named_by_its_line(session: DbSession) -> None:
    with pytest.raises(errors.ProgrammingError, match=r"begins in line 2 .* has no end"):
        session.query("SELECT 1,\n 'it: :a", {"a": 1})
    assert session.query_value("SELECT 1") == 1


def test_rows_by_name(session: DbSession, numbers: None) -> None:
    insert = "INSERT INTO numbers VALUES (:n)"
    rows: list[Any] = [{"n": 1}, {"m": 2}]
    with pytest.raises(errors.ProgrammingError, match="no value for :n") as missing:
        session.execute_many(insert, rows)
    assert missing.value.row == 1
    with pytest.raises(TypeError, match="row 1 must be a mapping"):
        session.execute_many(insert, [{"n": 1}, [2]])
    with pytest.raises(errors.CheckViolation) as violated:
        session.execute_many(insert, ({"n": n} for n in (1, 2, -1)))
    assert violated.value.row == 2
    assert session.query_values("SELECT n FROM numbers") == []
    assert session.execute_many("INSERT INTO numbers VALUES ($1::int)", [[7]]) == 1


def test_rows_that_are_mappings_want_names(session: DbSession, numbers: None) -> None:
    with pytest.raises((TypeError, errors.ProgrammingError), match="dict"):
        session.execute_many("INSERT INTO numbers VALUES ($1)", [{"n": 1}])


def test_rows_by_name_from_an_async_iterable(configured: str, kind: str) -> None:
    if kind == "blocking":
        pytest.skip("an async iterable is for awaited sessions")

    async def rows() -> AsyncIterator[dict[str, Any]]:
        for n in range(3):
            yield {"n": n}

    async def work() -> None:
        session = adb("the test")
        await session.execute("CREATE TEMP TABLE t (n int)")
        assert await session.execute_many("INSERT INTO t VALUES (:n)", rows()) == 3
        assert await session.query_values("SELECT n FROM t") == [0, 1, 2]
        await session._finalize(0)

    run(work())


def test_a_sequence_leaves_the_text_alone(session: DbSession) -> None:
    assert session.query_value("SELECT (ARRAY[1, 2, 3])[$1::int:2]", [2]) == [2]
    with pytest.raises(errors.SyntaxError) as raised:
        session.query("SELECT :a", [1])
    assert raised.value.hint is not None
    assert "dict" in raised.value.hint


def test_errors_and_hooks_show_the_text_that_was_sent(session: DbSession) -> None:
    with pytest.raises(errors.UndefinedColumn) as raised:
        session.query("SELECT :a, nothing", {"a": "secret"})
    assert raised.value.sql == "SELECT $1, nothing"
    assert "secret" not in repr(vars(raised.value))


def test_the_second_run_reads_nothing(session: DbSession, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "SELECT :a::int AS looked_up"
    assert session.query_value(text, {"a": 1}) == 1
    monkeypatch.setattr("hypern._native.read_sql", None)
    assert session.query_value(text, {"a": 2}) == 2


def test_what_is_kept_is_bounded() -> None:
    cache: Cache[str, str] = Cache()
    for n in range(20_000):
        cache.put(f"SELECT {n}", "x" * 1000, 1010)
        assert cache._size <= 4 << 20
    assert 0 < len(cache._held) < 5000
    cache.put("long", "", 1 << 20)
    assert cache.get("long") is None


def test_names_behind_a_prepared_statement_of_another_type(session: DbSession) -> None:
    for value in (1, "x", 2.5, None):
        assert session.query_value("SELECT :v", {"v": value}) == value


PLACEHOLDERS = [
    ("SELECT 1 WHERE 1 = %s", "in place of %s"),
    ("SELECT (%s)", "in place of %s"),
    ("SELECT 1 WHERE 1 = %(a)s", "in place of %s"),
    ("SELECT 1 WHERE 1 = ?", r"in place of \?"),
    ("SELECT 1 WHERE 1 IN $1", r"= ANY\(\$1\)"),
    ("SELECT 1 WHERE ($1 IS NULL OR $1 = $1)", r"\$1::int"),
]


@pytest.mark.parametrize(("text", "hint"), PLACEHOLDERS)
def test_placeholders_of_other_drivers_get_a_hint(session: DbSession, text: str, hint: str) -> None:
    with pytest.raises(errors.ProgrammingError) as raised:
        session.query(text, [None])
    assert raised.value.severity == "ERROR"  # the server's own
    assert re.search(hint, raised.value.hint or "")
