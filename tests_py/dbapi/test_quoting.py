"""Literals and identifiers: what the server reads is the value, whatever its settings are."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypern import dbapi
from hypern.database import Range
from hypern.dbapi import quote_identifier, quote_literal


@pytest.fixture(scope="module", params=["on", "off"])
def server(database: str, request: pytest.FixtureRequest) -> Iterator[dbapi.Connection]:
    """A connection for each value of standard_conforming_strings."""
    with dbapi.connect(database, autocommit=True) as connection:
        connection.execute(f"SET standard_conforming_strings = {request.param}")
        connection.execute("SET escape_string_warning = off")
        yield connection


class Colour(enum.Enum):
    RED = "r'ed"


@dataclass
class Point:
    x: int


UTC = timezone.utc
TEXTS = ["", "plain", "O'Reilly", "a\\b", "\\", "'\\'", "\\'; DROP TABLE x; --", "日本\n\t", "$$"]
# What has a type of its own as a literal, and what the server returns for it.
TYPED = [
    (None, None),
    (True, True),
    (False, False),
    (0, 0),
    (-5, -5),
    (2**70, Decimal(2**70)),
    (1.5, 1.5),
    (-1e300, -1e300),
    (float("inf"), float("inf")),
    (float("-inf"), float("-inf")),
    (Decimal("1.50"), Decimal("1.50")),
    (Decimal("-1E+5"), Decimal("-100000")),
    (Decimal("Infinity"), Decimal("Infinity")),
    (b"", b""),
    (b"\0'\\\xff", b"\0'\\\xff"),
    (bytearray(b"ab"), b"ab"),
    pytest.param(memoryview(b"ab"), b"ab", id="memoryview"),
    (date(1, 2, 3), date(1, 2, 3)),
    (time(1, 2, 3, 4), time(1, 2, 3, 4)),
    (time(1, 2, tzinfo=UTC), time(1, 2, tzinfo=UTC)),
    (datetime(2030, 1, 2, 3, 4, 5, 6), datetime(2030, 1, 2, 3, 4, 5, 6)),
    (datetime(2030, 1, 2, tzinfo=UTC), datetime(2030, 1, 2, tzinfo=UTC)),
    (timedelta(days=-1, microseconds=1), timedelta(days=-1, microseconds=1)),
    (timedelta(days=40, seconds=5), timedelta(days=40, seconds=5)),
]
# What takes its type from where it stands.
UNTYPED = [
    ("text", Colour.RED, "r'ed"),
    ("uuid", UUID(int=7), UUID(int=7)),
    ("inet", ip_address("10.0.0.1"), ip_address("10.0.0.1")),
    ("inet", ip_interface("10.0.0.1/8"), ip_interface("10.0.0.1/8")),
    ("cidr", ip_network("::/8"), ip_network("::/8")),
    ("int4range", Range(1, 5), Range(1, 5)),
    ("int4range", Range(empty=True), Range(empty=True)),
    ("numrange", Range(None, Decimal("1.5"), "(]"), Range(None, Decimal("1.5"), "(]")),
    ("tsrange", Range(datetime(2030, 1, 1)), Range(datetime(2030, 1, 1))),
    ("int[]", [1, None, -3], [1, None, -3]),
    ("int[]", [], []),
    (
        "text[]",
        ["a,b", '"', "\\", "NULL", "", None, "'"],
        ["a,b", '"', "\\", "NULL", "", None, "'"],
    ),
    ("text[]", [["a"], ["b"]], [["a"], ["b"]]),
    ("bool[]", (True, False), [True, False]),
    ("float8[]", [1.5, float("inf")], [1.5, float("inf")]),
    ("numeric[]", [Decimal("1.50")], [Decimal("1.50")]),
    ("bytea[]", [b"\0'\\"], [b"\0'\\"]),
    ("date[]", [date(2030, 1, 2)], [date(2030, 1, 2)]),
    ("interval[]", [timedelta(hours=-1)], [timedelta(hours=-1)]),
    ("uuid[]", [UUID(int=7)], [UUID(int=7)]),
    ("int4range[]", [Range(1, 5)], [Range(1, 5)]),
    ("jsonb", {"a'\\": [1, None, "é"]}, {"a'\\": [1, None, "é"]}),
    ("json", Point(3), {"x": 3}),
    ("jsonb[]", [{"a": '"'}], [{"a": '"'}]),
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_str_is_quoted_as_the_server_does(server: dbapi.Connection, text: str) -> None:
    row = server.execute(
        f"SELECT quote_literal(%s), ({quote_literal(text)})".replace("%s", "$$T$$")
    )
    assert row.fetchall()[0][1] == text
    quoted = server.execute("SELECT quote_literal(%s)", [text]).fetchone()
    assert quoted == (quote_literal(text),)


def _id(value: object) -> str:
    # Workers collect apart: an address in an id would tell them apart.
    return f"memoryview({value.tobytes()!r})" if isinstance(value, memoryview) else repr(value)


@pytest.mark.parametrize(("value", "expected"), TYPED, ids=_id)
def test_a_literal_has_the_value_and_its_type(
    server: dbapi.Connection, value: object, expected: object
) -> None:
    for style in ("postgres", "sql_standard", "iso_8601"):
        server.execute(f"SET intervalstyle = {style}")
        found = server.execute(f"SELECT {quote_literal(value)}").fetchall()[0][0]
        assert found == expected
        assert type(found) is type(expected)
    server.execute("SET datestyle = 'SQL, DMY'")
    assert server.execute(f"SELECT 1-{quote_literal(-5)}").fetchone() == (6,)


def test_not_a_number(server: dbapi.Connection) -> None:
    for value in (float("nan"), Decimal("NaN")):
        found = server.execute(f"SELECT {quote_literal(value)}").fetchall()[0][0]
        assert str(found).lower() == "nan"


@pytest.mark.parametrize(("name", "value", "expected"), UNTYPED, ids=lambda v: repr(v)[:30])
def test_a_literal_takes_the_type_of_its_place(
    server: dbapi.Connection, name: str, value: object, expected: object
) -> None:
    found = server.execute(f"SELECT {quote_literal(value)}::{name}").fetchall()[0][0]
    assert found == expected


NAMES = {
    bool: "bool",
    int: "numeric",
    float: "float8",
    Decimal: "numeric",
    bytes: "bytea",
    bytearray: "bytea",
    memoryview: "bytea",
    date: "date",
    timedelta: "interval",
}


def _type_of(value: object) -> str:
    if isinstance(value, datetime):
        return "timestamp" if value.tzinfo is None else "timestamptz"
    if isinstance(value, time):
        return "time" if value.tzinfo is None else "timetz"
    return NAMES[type(value)]


def _pair(given: Any) -> Any:
    return getattr(given, "values", given)  # of a pytest.param


WITH_TYPES = [
    *((_type_of(value), value) for value, _ in map(_pair, TYPED) if value is not None),
    *((name, value) for name, value, _ in UNTYPED if name not in ("json", "jsonb[]")),
    *(("text", text) for text in TEXTS),
]


@pytest.mark.parametrize(("name", "value"), WITH_TYPES, ids=lambda v: _id(v)[:30])
def test_each_type_as_the_servers_quote_literal(
    server: dbapi.Connection, name: str, value: object
) -> None:
    """Ours and the server's literal of a value are one value to the server."""
    cast = "text" if isinstance(value, enum.Enum) else name
    given = value.value if isinstance(value, enum.Enum) else value
    (theirs,) = server.execute(f"SELECT quote_literal(%s::{cast})", [given]).fetchall()[0]
    query = f"SELECT ({quote_literal(value)})::{cast} = ({theirs})::{cast}"
    assert server.execute(query).fetchall() == [(True,)]
    if isinstance(value, str):
        assert quote_literal(value) == theirs


_SHARED = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@_SHARED
@given(text=_text | st.text("\\'\"E $;-\n"))
def test_any_text(server: dbapi.Connection, text: str) -> None:
    row = server.execute("SELECT quote_literal(%s)", [text]).fetchone()
    assert row == (quote_literal(text),)
    assert server.execute(f"SELECT {quote_literal(text)}").fetchone() == (text,)


@_SHARED
@given(values=st.lists(st.none() | _text | st.text("\\'\",{} N")))
def test_any_array(server: dbapi.Connection, values: list[str | None]) -> None:
    assert server.execute(f"SELECT {quote_literal(values)}::text[]").fetchone() == (values,)


@_SHARED
@given(name=(_text | st.text('"a.\\')).filter(lambda name: 0 < len(name.encode()) < 64))
def test_any_identifier(server: dbapi.Connection, name: str) -> None:
    cursor = server.execute(f"SELECT 1 AS {quote_identifier(name)}")
    assert cursor.description is not None
    assert cursor.description[0].name == name


def test_a_qualified_name() -> None:
    assert quote_identifier(("my schema", 'a"b')) == '"my schema"."a""b"'


@pytest.mark.parametrize("value", ["a\0b", "\ud800", ["a\0"]])
def test_text_that_the_server_cannot_have(value: object) -> None:
    with pytest.raises(dbapi.DataError):
        quote_literal(value)


def test_what_has_no_literal() -> None:
    for value in (object(), Point, [object()], 1j):
        with pytest.raises(TypeError, match="has no SQL literal"):
            quote_literal(value)
    with pytest.raises(dbapi.DataError, match="signaling"):
        quote_literal(Decimal("sNaN"))
    for name in ("", "a\0"):
        with pytest.raises(dbapi.DataError):
            quote_identifier(name)
    for wrong in (None, 1, (), ("a", 1)):
        with pytest.raises(TypeError, match="identifier"):
            quote_identifier(wrong)  # type: ignore[arg-type]
