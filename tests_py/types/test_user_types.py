"""Types that a database defines: enums, domains, composites, ranges, and what is made of them."""

from __future__ import annotations

import enum
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_interface
from typing import Any
from uuid import UUID

import pytest

from hypern import Range, errors
from hypern.database import Database, DbSession, db, scope

pytestmark = pytest.mark.usefixtures("kind")

TYPES = """
CREATE TYPE mood AS ENUM ('ok', 'so so', 'say "x", \\');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN ints AS int[];
CREATE TYPE address AS (street text, number int, tags text[]);
CREATE DOMAIN home AS address;
CREATE TYPE person AS (name text, at address, mood mood, age positive, notes jsonb, r int4range);
CREATE TYPE floats AS RANGE (subtype = float8);
CREATE TYPE moods AS RANGE (subtype = mood);
CREATE TYPE all_as_text AS (acl aclitem, i int, f float8, d date, ts timestamptz, iv interval,
  b bytea, n numeric, t text, ok bool, u uuid, a int[], tm time, tz timetz, lt timestamp,
  r tsrange, j jsonb, ip inet, at address, m int4multirange)
"""


class Mood(enum.Enum):
    SO_SO = "so so"


@pytest.fixture(scope="module", autouse=True)
def types(database: str) -> None:
    """The types above, in the module's database."""
    Database.configure(database, alias="types")
    with scope():
        for statement in TYPES.split(";"):
            db(alias="types").execute(statement)
    Database.close("types")


ADDRESS = {"street": 'a "b" \\ ,(x)', "number": 5, "tags": ["x", 'y"z', None, ""]}
PERSON = {
    "name": "n",
    "at": ADDRESS,
    "mood": "so so",
    "age": 3,
    "notes": {"a": [1, 'x"y']},
    "r": Range(1, 3),
}
ALL = {
    "acl": "pg_monitor=r/pg_monitor",
    "i": -5,
    "f": 1.5,
    "d": date(2024, 1, 1),
    "ts": datetime(2024, 1, 1, 2, 3, 4, 5, timezone.utc),
    "iv": timedelta(days=-3, seconds=5, microseconds=7),
    "b": b'\0\xff"\\',
    "n": Decimal("1.50"),
    "t": 'a"b\\',
    "ok": True,
    "u": UUID(int=5),
    "a": [1, None],
    "tm": time(1, 2, 3, 4),
    "tz": time(1, 2, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    "lt": datetime.min,
    "r": Range(datetime(2024, 1, 1), datetime(2024, 1, 2), "[]"),
    "j": {"a": 'x"'},
    "ip": ip_interface("1.2.3.4/8"),
    "at": ADDRESS,
    "m": [Range(1, 2), Range(5, None)],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mood", 'say "x", \\'),
        ("mood[]", ["ok", 'say "x", \\', None]),
        ("mood[]", [["ok"], ["so so"]]),
        ("positive", 5),
        ("positive[]", [1, 2]),
        ("ints", [[1, 2], [3, None]]),
        ("ints[]", [[1, 2], [3]]),
        ("address", ADDRESS),
        ("address", dict.fromkeys(ADDRESS)),
        ("address[]", [ADDRESS, None, ADDRESS]),
        ("home", ADDRESS),
        ("person", PERSON),
        ("person[]", [PERSON, PERSON]),
        ("floats", Range(1.5, 2.5)),
        ("floats[]", [Range(None, 2.5), None]),
        ("floatmultirange", [Range(1.5, 2.5)]),
        ("moods", Range("ok", "so so", "[]")),
        ("all_as_text", ALL),
        ("all_as_text", dict.fromkeys(ALL)),
        ("all_as_text[]", [ALL, None]),
    ],
)
def test_a_value_comes_back_equal(session: DbSession, name: str, value: Any) -> None:
    if name == "floatmultirange":
        name = session.query_value(
            "SELECT rngmultitypid::regtype::text FROM pg_range WHERE rngtypid = 'floats'::regtype"
        )
    assert session.query_value(f"SELECT $1::{name}", [value]) == value


@pytest.mark.parametrize(
    ("name", "value", "came"),
    [
        ("mood", Mood.SO_SO, "so so"),
        ("address", tuple(ADDRESS.values()), ADDRESS),
        ("address[]", [tuple(ADDRESS.values())], [ADDRESS]),
        ("address", {**ADDRESS, "number": "5"}, ADDRESS),
        ("person", {**PERSON, "age": "3"}, PERSON),
        ("positive", "7", 7),
    ],
)
def test_other_forms_of_a_value_are_taken(
    session: DbSession, name: str, value: Any, came: Any
) -> None:
    assert session.query_value(f"SELECT $1::{name}", [value]) == came


@pytest.mark.parametrize(
    ("name", "value", "kind", "words"),
    [
        ("mood", 5, TypeError, "int cannot be sent as PostgreSQL type mood"),
        ("mood", "none such", errors.InvalidTextRepresentation, "none such"),
        ("positive", -1, errors.CheckViolation, "positive"),
        ("positive", 2**31, errors.NumericValueOutOfRange, "int4"),
        ("address", {"street": "x"}, errors.DataError, "names of the fields"),
        ("address", {**ADDRESS, "more": 1}, errors.DataError, "names of the fields"),
        ("address", ("x", 1), errors.DataError, "number of fields"),
        ("address", [1, 2, 3], TypeError, "list"),
        ("address", {**ADDRESS, "number": 2**31}, errors.NumericValueOutOfRange, "int4"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_session_goes_on(
    session: DbSession, name: str, value: Any, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        session.query(f"SELECT $1::{name}", [value])
    assert session.query_value("SELECT 1") == 1


def test_a_tables_row_is_a_dict(session: DbSession) -> None:
    session.execute("CREATE TEMP TABLE people (id int, p person, s positive)")
    session.execute("INSERT INTO people VALUES ($1, $2, $3)", [1, PERSON, 9])
    assert session.query("SELECT people, s FROM people") == [
        {"people": {"id": 1, "p": PERSON, "s": 9}, "s": 9}
    ]


def test_an_anonymous_record_is_a_tuple(session: DbSession) -> None:
    assert session.query_value("SELECT (1, 'a', NULL, (2.5, ARRAY[1]))") == (
        1,
        "a",
        None,
        (Decimal("2.5"), [1]),
    )
    assert session.query_value("SELECT ARRAY[(1, 'x')]") == [(1, "x")]


def test_a_type_dropped_and_made_anew_is_met_again(session: DbSession) -> None:
    for labels, label in ((["a"], "a"), (["b", "c"], "c")):
        session.execute(f"CREATE TYPE fleeting AS ENUM ({', '.join(map(repr, labels))})")
        assert session.query_value("SELECT $1::fleeting", [label]) == label
        assert session.query_value("SELECT ARRAY[$1::fleeting]", [label]) == [label]
        session.execute("DROP TYPE fleeting")
