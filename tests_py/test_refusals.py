"""Values that are refused: one handler of `hypern.errors.Error` catches each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest

from hypern import errors
from hypern.database import Database, DbSession, adb, db, finalize_db, scope
from hypern.sql import sql

pytestmark = pytest.mark.usefixtures("kind")


class Odd:
    """A type that no PostgreSQL type takes."""


HUGE = "9" * 5000

REFUSED: list[tuple[str, Any, type[Exception]]] = [
    ("SELECT $1::int", ["1x", Odd()], errors.ProgrammingError),
    ("SELECT $1::int", [Odd()], TypeError),
    ("SELECT $1::int", [True], TypeError),
    ("SELECT $1::bool", [1], TypeError),
    ("SELECT $1::int", [2**40], errors.NumericValueOutOfRange),
    ("SELECT $1::text", [b"x"], TypeError),
    ("SELECT $1::bytea", ["\ud800"], errors.Error),
    ("SELECT $1::text", ["\ud800"], errors.CharacterNotInRepertoire),
    ("SELECT $1::jsonb", [{"a": Odd()}], TypeError),
    ("SELECT $1::jsonb", [{(1,): 1}], TypeError),
    ("SELECT $1::jsonb", [[10**5000]], errors.DataError),
    ("SELECT $1::int[]", [[1, [2]]], TypeError),
    ("SELECT $1::int4range", [5], TypeError),
    ("SELECT $1::numeric", [10**400_000], errors.DataError),
    ("SELECT $1::int", 5, TypeError),
    ("SELECT $1::int", "5", TypeError),
    ("SELECT :a::int", {"a": Odd()}, TypeError),
    ("SELECT :a::int", {"b": 1}, errors.ProgrammingError),
    ("SELECT $1::timestamptz", [Odd()], TypeError),
    ("SELECT $1::uuid", [5], TypeError),
    ("SELECT $1::inet", [5.5], TypeError),
    ("SELECT $1 < $2", [Odd(), 1], TypeError),
]


def _run(session: DbSession, run: str, text: str, params: Any) -> None:
    if run == "execute_many":
        session.execute_many(text, [params])
    elif run == "stream":
        list(session.stream(text, params))
    else:
        getattr(session, run)(text, params)


@pytest.mark.parametrize("run", ["query", "query_value", "execute", "stream", "execute_many"])
@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_every_refusal_of_a_value_is_an_error_of_the_package(
    session: DbSession, case: int, run: str
) -> None:
    text, params, kind = REFUSED[case]
    for _ in range(2):  # with and without a description at hand
        with pytest.raises(errors.Error) as caught:
            _run(session, run, text, params)
        assert isinstance(caught.value, kind)
        assert isinstance(caught.value, errors.DataError | errors.ProgrammingError)
        assert HUGE[:50] not in str(caught.value)
        if run == "execute_many" and not isinstance(caught.value, errors.UndefinedFunction):
            assert caught.value.row == 0
    assert session.query_value("SELECT 1") == 1


def test_a_template_s_value_is_refused_by_the_same_class(session: DbSession) -> None:
    with pytest.raises(errors.ParameterTypeError) as caught:
        session.query(sql("SELECT {}::int", Odd()))
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, errors.DataError)


def test_rows_by_name_that_are_no_mappings_are_refused_by_the_same_class(
    session: DbSession,
) -> None:
    with pytest.raises(errors.ParameterTypeError, match="row 1 must be a mapping") as caught:
        session.execute_many("SELECT :a::int", [{"a": 1}, [2]])
    assert caught.value.row == 1


def test_what_a_converter_of_the_user_s_raises_passes_unchanged(session: DbSession) -> None:
    class Zone(tzinfo):
        def utcoffset(self, moment: datetime | None) -> timedelta:
            raise TypeError("my own words")

        dst = tzname = None  # type: ignore[assignment]

    with pytest.raises(TypeError, match=r"^my own words$") as caught:
        session.query("SELECT $1::timestamptz", [datetime(2024, 1, 1, tzinfo=Zone())])
    assert type(caught.value) is TypeError


def test_hooks_and_errors_show_the_text_with_numbers(session: DbSession) -> None:
    seen: list[tuple[str, str | None]] = []
    Database.on_statement(lambda text, seconds, rows, sqlstate: seen.append((text, sqlstate)))
    faults: list[errors.Error] = []
    numbers = sql("SELECT 1 / {} AS n", 0)
    try:
        session.query("SELECT :a::int AS n", {"a": 1})
        session.query(sql("SELECT {}::int + {}", 1, 2))
        session.execute_many("SELECT :a::int, :b::int, :a", [{"a": 1, "b": 2}])
        list(session.stream("SELECT :a::int AS n", {"a": 1}))
        for run in (
            lambda: session.query("SELECT 1 / :a::int", {"a": 0}),
            lambda: session.query(numbers),
            lambda: session.execute_many("SELECT 1 / :a::int", [{"a": 0}]),
            lambda: list(session.stream("SELECT 1 / :a::int", {"a": 0})),
        ):
            with pytest.raises(errors.DivisionByZero) as caught:
                run()
            faults.append(caught.value)
    finally:
        Database.on_statement(None)
    assert [text for text, _ in seen] == [
        "SELECT $1::int AS n",
        "SELECT $1::int + $2",
        "SELECT $1::int, $2::int, $1",
        "SELECT $1::int AS n",
        "SELECT 1 / $1::int",
        "SELECT 1 / $1 AS n",
        "SELECT 1 / $1::int",
        "SELECT 1 / $1::int",
    ]
    assert [fault.sql for fault in faults] == [text for text, _ in seen[4:]]


def test_private_names_are_not_completed(configured: str) -> None:
    with_names = [db("names"), adb("names"), db("names").stream("SELECT 1")]
    for thing in with_names:
        assert not [n for n in dir(thing) if n.startswith("_") and not n.startswith("__")]
    assert {"query", "transaction", "state", "__class__"} <= set(dir(db("names")))
    assert {"query", "transaction", "state", "__class__"} <= set(dir(adb("names")))
    finalize_db("names")


async def _rows() -> AsyncIterator[list[Any]]:
    yield [1]
    yield [Odd()]


def test_a_row_of_an_async_iterable_is_refused_by_the_same_class(configured: str) -> None:
    async def main() -> None:
        async with scope():
            with pytest.raises(errors.ParameterTypeError, match="row 1, parameter") as caught:
                await adb().execute_many("SELECT $1::int", _rows())
            assert caught.value.row == 1

    asyncio.run(main())
