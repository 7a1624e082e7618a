"""Composite types and tables that are altered: values stay under the server's names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

import pytest
from either import KINDS, choose, db, finalize_db
from test_pgbouncer import started

from hypern import errors
from hypern._literals import Isolation, StatementCache
from hypern.database import Database, DbSession, register_type
from hypern.database import db as plain_db

ONE = {"a": 1, "b": 2, "c": "three"}

# What is done to the type, and the dict that the stored row (1, 2, 'three') then reads as.
ALTERATIONS = {
    "renamed": (["ALTER TYPE pair RENAME ATTRIBUTE a TO z"], {"z": 1, "b": 2, "c": "three"}),
    "swapped": (
        [
            "ALTER TYPE pair RENAME ATTRIBUTE a TO t",
            "ALTER TYPE pair RENAME ATTRIBUTE b TO a",
            "ALTER TYPE pair RENAME ATTRIBUTE t TO b",
        ],
        {"b": 1, "a": 2, "c": "three"},
    ),
    "dropped": (["ALTER TYPE pair DROP ATTRIBUTE b"], {"a": 1, "c": "three"}),
    "added": (["ALTER TYPE pair ADD ATTRIBUTE d int"], {**ONE, "d": None}),
    "added as text": (["ALTER TYPE pair ADD ATTRIBUTE p point"], {**ONE, "p": None}),
    "dropped and added": (
        ["ALTER TYPE pair DROP ATTRIBUTE a", "ALTER TYPE pair ADD ATTRIBUTE a int"],
        {"b": 2, "c": "three", "a": None},
    ),
}
# How statements are kept: nothing stays prepared behind a pooler.
MODES = ("auto", "off", "describe", "behind a pooler")


Mode: TypeAlias = StatementCache | Literal["behind a pooler"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Either kind of session."""
    choose(request.param)
    yield request.param
    choose("blocking")


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    """How statements are kept."""
    mode: Mode = request.param
    return mode


@pytest.fixture(scope="module")
def pooler(database: str) -> Iterator[str]:
    """The URL of a PgBouncer in transaction mode."""
    with started(database, "transaction", 4) as bouncer:
        yield bouncer.url


def _configure(mode: Mode, database: str, pooler: str, **settings: Any) -> None:
    Database.close()
    if mode == "behind a pooler":
        Database.configure(pooler, **settings)
    else:
        Database.configure(database, statement_cache=mode, **settings)


@pytest.fixture
def cast_of_types(
    kind: str, mode: Mode, database: str, pooler: str
) -> Iterator[Callable[[str], DbSession]]:
    """The type `pair` and the table `pairs` with one row; sessions of requests by name."""
    _configure(mode, database, pooler, max_size=4, acquire_timeout_secs=5)
    admin = db("admin")
    admin.execute("CREATE TYPE pair AS (a int, b int, c text)")
    admin.execute("CREATE TABLE pairs (id int PRIMARY KEY, p pair, many pair[], whole text)")
    admin.execute(
        "INSERT INTO pairs VALUES (1, ROW(1, 2, 'three'), ARRAY[ROW(1, 2, 'three')::pair])"
    )
    names = {"admin"}

    def session(name: str) -> DbSession:
        names.add(name)
        return db(name)

    yield session
    for name in names:
        if db(name).is_in_transaction:
            db(name).rollback()
    for name in names - {"admin"}:
        finalize_db(name)
    admin = db("admin")
    admin.execute("DROP TABLE pairs")
    admin.execute("DROP TYPE pair")
    finalize_db("admin")
    Database.close()


def _reads(session: DbSession) -> list[Any]:
    rows = session.query("SELECT p, many FROM pairs WHERE id = $1", [1])
    streamed = list(session.stream("SELECT p FROM pairs WHERE id = 1", chunk_rows=1))
    return [
        rows[0]["p"],
        rows[0]["many"][0],
        session.query_value("SELECT p FROM pairs WHERE id = 1"),
        streamed[0]["p"],
        session.query_one("UPDATE pairs SET whole = '' WHERE id = 1 RETURNING p")["p"],
    ]


def _writes(session: DbSession, value: dict[str, Any], first: int) -> list[Any]:
    session.execute("INSERT INTO pairs (id, p) VALUES ($1, $2)", [first, value])
    session.execute("INSERT INTO pairs (id, many) VALUES ($1, $2)", [first + 1, [value]])
    session.execute_many("INSERT INTO pairs (id, p) VALUES ($1, $2)", [[first + 2, value]])
    back = session.query_value(
        "INSERT INTO pairs (id, p) VALUES ($1, $2) RETURNING p", [first + 3, value]
    )
    texts = session.query(
        "SELECT coalesce(p, many[1])::text AS t FROM pairs WHERE id >= $1 ORDER BY id", [first]
    )
    session.execute("DELETE FROM pairs WHERE id >= $1", [first])
    return [back, *[row["t"] for row in texts]]


def _expected(value: dict[str, Any]) -> list[Any]:
    text = "(" + ",".join("" if v is None else str(v) for v in value.values()) + ")"
    return [value, text, text, text, text]


@pytest.mark.parametrize("which", ALTERATIONS)
@pytest.mark.parametrize("by", ["this session", "another"])
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_altered_attributes_are_read_and_written_under_the_servers_names(
    cast_of_types: Callable[[str], DbSession], which: str, by: str, inside: bool
) -> None:
    session, admin = cast_of_types("r"), cast_of_types("admin")
    for _ in range(2):
        assert _reads(session) == [ONE] * 5
        assert _writes(session, ONE, 10) == _expected(ONE)
    statements, now = ALTERATIONS[which]
    if inside and by == "another":
        session.begin()
        assert session.query_value("SELECT p FROM pairs WHERE id = 0 UNION ALL SELECT NULL") is None
        session.query_value("SELECT 1")
        session.commit()
    if inside:
        session.begin()
        session.query_value("SELECT 1")
    for statement in statements:
        (session if by == "this session" else admin).execute(statement)
    for round_ in range(2):
        assert _writes(session, now, 10) == _expected(now), round_
        assert _reads(session) == [now] * 5, round_
    if inside:
        assert session.is_in_transaction
        session.rollback()
        after = ONE if by == "this session" else now
        assert _reads(session) == [after] * 5
        assert _writes(session, after, 10) == _expected(after)
        assert _reads(cast_of_types("third")) == [after] * 5


def test_a_whole_row_follows_a_renamed_column(cast_of_types: Callable[[str], DbSession]) -> None:
    session, admin = cast_of_types("r"), cast_of_types("admin")
    admin.execute("CREATE TABLE wide (x int, y int)")
    try:
        sql = "INSERT INTO wide SELECT ($1::wide).* RETURNING wide"
        for _ in range(2):
            assert session.query_value(sql, [{"x": 1, "y": 2}]) == {"x": 1, "y": 2}
        admin.execute("ALTER TABLE wide RENAME COLUMN x TO t")
        admin.execute("ALTER TABLE wide RENAME COLUMN y TO x")
        admin.execute("ALTER TABLE wide RENAME COLUMN t TO y")
        assert session.query_value(sql, [{"x": 1, "y": 2}]) == {"y": 2, "x": 1}
        assert session.query_value("SELECT w FROM wide w LIMIT 1") == {"y": 1, "x": 2}
        assert session.query_value("SELECT count(*) FROM wide WHERE x = 1 AND y = 2") == 1
    finally:
        finalize_db("r")
        admin.execute("DROP TABLE wide")


def test_a_composite_in_an_anonymous_record_is_read_by_its_present_names(
    cast_of_types: Callable[[str], DbSession],
) -> None:
    session, admin = cast_of_types("r"), cast_of_types("admin")
    sql = "SELECT ROW(id, p) AS r FROM pairs WHERE id = 1"
    assert session.query_value("SELECT count(ROW(p)) FROM pairs") == 1
    assert session.query_value("SELECT p FROM pairs WHERE id = 1") == ONE  # the type is known
    for _ in range(2):
        assert session.query_value(sql) == (1, ONE)
    for statement in ALTERATIONS["swapped"][0]:
        admin.execute(statement)
    for _ in range(2):
        assert session.query_value(sql) == (1, ALTERATIONS["swapped"][1])
    with session.transaction():
        session.execute("ALTER TYPE pair RENAME ATTRIBUTE a TO q")
        assert session.query_value(sql) == (1, {"b": 1, "q": 2, "c": "three"})


def test_a_dict_that_does_not_fit_is_refused_at_once_and_again(
    cast_of_types: Callable[[str], DbSession],
) -> None:
    session = cast_of_types("r")
    sql = "INSERT INTO pairs (id, p) VALUES ($1, $2)"
    for _ in range(3):
        with pytest.raises(errors.DataError, match="names of the fields"):
            session.execute(sql, [7, {"a": 1, "b": 2}])
        with pytest.raises(errors.DataError, match="names of the fields"):
            session.execute_many(sql, [[7, {"a": 1, "b": 2}]])
    session.begin()
    with pytest.raises(errors.DataError, match="names of the fields"):
        session.execute(sql, [7, {"a": 1, "b": 2}])
    session.execute(sql, [7, ONE])  # nothing was sent, so the transaction is as it was
    session.rollback()


def test_a_bad_value_in_a_transaction_still_aborts_it(
    cast_of_types: Callable[[str], DbSession],
) -> None:
    session = cast_of_types("r")
    session.begin()
    with pytest.raises(errors.InvalidTextRepresentation):
        session.query("SELECT $1::pair, $2::int", [ONE, "no number"])
    with pytest.raises(errors.InFailedSqlTransaction):
        session.query("SELECT $1::pair", [ONE])
    session.rollback()
    assert session.query_value("SELECT $1::pair", [ONE]) == ONE
    with pytest.raises(errors.DivisionByZero):
        session.query("SELECT $1::pair, 1 / $2::int", [ONE, 0])


def test_a_snapshot_that_is_older_than_the_alteration_is_an_error_to_retry(
    cast_of_types: Callable[[str], DbSession],
) -> None:
    session, admin = cast_of_types("r"), cast_of_types("admin")
    assert session.query_value("SELECT $1::pair", [ONE]) == ONE
    session.begin(isolation="repeatable read")
    session.query("SELECT id FROM pairs")
    for statement in ALTERATIONS["swapped"][0]:
        admin.execute(statement)
    sql = "INSERT INTO pairs (id, p) VALUES (7, $1) RETURNING p::text"
    with pytest.raises(errors.SerializationFailure, match="altered"):
        session.query_value(sql, [ONE])  # its lock makes the server notice
    session.rollback()
    assert session.query_value(sql, [ONE]) == "(2,1,three)"


def _alter(cast: Callable[[str], DbSession], which: str = "swapped") -> None:
    for statement in ALTERATIONS[which][0]:
        cast("admin").execute(statement)


PARTS = "SELECT ($1::pair).a AS a, ($1::pair).b AS b"


def test_a_statement_is_parsed_anew_once_another_has_met_the_alteration(
    cast_of_types: Callable[[str], DbSession],
) -> None:
    """The server keeps attributes by position, in the casts inside a text, too."""
    session, other = cast_of_types("r"), cast_of_types("other")
    inside = "SELECT (p).a AS a, (p).b AS b FROM pairs WHERE id = $1"
    session.begin()
    other.begin()  # so that each has a connection of its own
    for _ in range(2):
        for each in (session, other):
            assert each.query(PARTS, [ONE]) == [{"a": 1, "b": 2}]
            assert each.query(inside, [1]) == [{"a": 1, "b": 2}]
            assert each.query_value("SELECT $1::pair", [ONE]) == ONE
    session.commit()
    other.commit()
    _alter(cast_of_types)
    session.begin()
    other.begin()
    assert session.query_value("SELECT $1::pair", [ONE]) == ONE  # it meets the alteration
    session.commit()
    for each in (session, other):
        each.query_value("SELECT $1::pair", [ONE])
        for _ in range(2):
            assert each.query(PARTS, [ONE]) == [{"a": 1, "b": 2}]
            assert each.query(inside, [1]) == [{"a": 2, "b": 1}]
    other.commit()


def test_an_alteration_is_seen_in_a_transaction_that_has_used_the_table(
    cast_of_types: Callable[[str], DbSession],
) -> None:
    """The server takes in what others alter only where it takes a new lock."""
    session = cast_of_types("r")
    insert = "INSERT INTO pairs (id, p) VALUES ($1, $2)"
    read = "SELECT p FROM pairs WHERE id = 1"
    session.begin()
    for id_ in (10, 11):
        session.execute(insert, [id_, ONE])
        session.execute_many(insert, [[id_ + 10, ONE]])
        assert session.query_value(read) == ONE
        assert [row["p"] for row in session.stream(read)] == [ONE]
    _alter(cast_of_types)
    now = {"b": 1, "a": 2, "c": "three"}
    assert [row["p"] for row in session.stream(read)] == [now]
    assert session.query_value(read) == now
    for which in (1, 2):
        session.execute(insert, [30 + which, now])
        session.execute_many(insert, [[40 + which, now]])
        assert session.query_value(read) == now
        for statement in ALTERATIONS["swapped"][0]:
            cast_of_types("admin").execute(statement)
        now = {"a": 1, "b": 2, "c": "three"} if which == 1 else {"b": 1, "a": 2, "c": "three"}
    stored = session.query("SELECT p::text AS t FROM pairs WHERE id > 30")
    session.rollback()
    assert {row["t"] for row in stored} == {"(1,2,three)"}


@pytest.mark.parametrize("which", ALTERATIONS)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_a_type_altered_between_two_chunks_is_read_by_its_present_attributes(
    cast_of_types: Callable[[str], DbSession], which: str, inside: bool
) -> None:
    session = cast_of_types("r")
    sql = "SELECT n, p, many FROM pairs, generate_series(1, $1::int) n ORDER BY n"
    if inside:
        session.begin()
        session.query_value("SELECT 1")
    rows = iter(session.stream(sql, [6], chunk_rows=2))
    assert [next(rows)["p"] for _ in range(2)] == [ONE] * 2
    _alter(cast_of_types, which)
    now = ALTERATIONS[which][1]
    if which == "added as text":  # the server goes on in binary, which a point is not read in
        with pytest.raises(errors.DataError, match="start another stream"):
            next(rows)
    else:
        assert list(rows) == [{"n": n, "p": now, "many": [now]} for n in range(3, 7)]
    assert session.is_in_transaction == inside
    if inside:
        session.rollback()
    assert session.query_value("SELECT p FROM pairs") == now


def test_guards_are_no_change_of_the_schema(cast_of_types: Callable[[str], DbSession]) -> None:
    """They are commands of their own, with the tag of a SELECT that has no columns."""
    session = cast_of_types("r")
    insert = "INSERT INTO pairs (id, p) VALUES ($1, $2)"
    session.begin()
    for n in range(3):
        session.execute(insert, [10 + n, ONE])
        session.execute_many(insert, [[20 + n, ONE], [30 + n, ONE]])
    names = "SELECT string_agg(name, ' ' ORDER BY name) FROM pg_catalog.pg_prepared_statements"
    before = [session.query_value(names) for _ in range(2)][1]
    session.execute(insert, [40, ONE])
    session.execute_many(insert, [[41, ONE], [42, ONE]])
    after = session.query_value(names)
    session.rollback()
    assert before == after


@pytest.mark.parametrize("met", [False, True], ids=["unnoticed", "met by another"])
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_one_execute_many_stores_all_rows_under_the_same_names(
    cast_of_types: Callable[[str], DbSession], met: bool, inside: bool
) -> None:
    session, other = cast_of_types("r"), cast_of_types("other")
    other.query_value("SELECT $1::pair", [ONE])
    sql = "INSERT INTO pairs (id, p) SELECT $1, $2 WHERE greatest($3, $3) IS NOT NULL"
    session.execute_many(sql, [[100, ONE, 1], [101, ONE, 1.5]])
    rows = 20_000  # more than are held back until they are sent

    def altered_meanwhile() -> Iterator[list[Any]]:
        for n in range(rows):
            yield [1000 + n, ONE, 1]
        yield [998, ONE, 1.5]  # the rows before are sent for it
        for statement in ALTERATIONS["swapped"][0]:
            plain_db("admin").execute(statement)  # a loop runs around this
        if met:
            plain_db("other").query_value("SELECT $1::pair", [ONE])
        yield [999, ONE, 1]
        yield [997, ONE, 1.5]

    if inside:
        session.begin()
        session.query_value("SELECT 1")
    with pytest.raises(errors.SerializationFailure, match="altered"):
        session.execute_many(sql, altered_meanwhile())
    assert session.query_value("SELECT count(*) FROM pairs WHERE id >= 500") == 0
    if inside:
        session.execute(sql, [500, ONE, 1])  # the transaction goes on
        session.commit()
        assert session.query_value("SELECT (p).a FROM pairs WHERE id = 500") == 1


def test_no_function_stands_in_for_an_attribute(cast_of_types: Callable[[str], DbSession]) -> None:
    """`row.name` is a call of name(row) where there is no such attribute."""
    session, admin = cast_of_types("r"), cast_of_types("admin")
    admin.execute("CREATE FUNCTION a(pair) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    admin.execute("CREATE FUNCTION c(anyelement) RETURNS text LANGUAGE sql AS 'SELECT ''c'''")
    try:
        for _ in range(2):
            assert _reads(session) == [ONE] * 5
            assert _writes(session, ONE, 10) == _expected(ONE)
        for name, new in (("a", "count"), ("c", "q"), ("count", "row"), ("row", "x0")):
            admin.execute(f'ALTER TYPE pair RENAME ATTRIBUTE "{name}" TO "{new}"')
            value = dict(zip(("a", "b", "c"), (1, 2, "three"), strict=True))
            names = session.query_value(
                "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute"
                " WHERE attrelid = 'pair'::regclass AND attnum > 0"
            )
            value = dict(zip(names.split(), value.values(), strict=True))
            assert _reads(session) == [value] * 5
            assert _writes(session, value, 10) == _expected(value)
    finally:
        admin.execute("DROP FUNCTION a(pair)")
        admin.execute("DROP FUNCTION c(anyelement)")


def test_a_type_altered_under_an_unchanged_name_is_seen(
    cast_of_types: Callable[[str], DbSession],
) -> None:
    """In text, too: a composite that holds a point comes as text."""
    session, admin = cast_of_types("r"), cast_of_types("admin")
    admin.execute("CREATE TYPE spot AS (p point, a int)")
    admin.execute("CREATE TABLE spots AS SELECT ROW('(1,2)', 7)::spot AS s")
    try:
        sql = "SELECT s FROM spots"
        for _ in range(2):
            assert session.query_value(sql) == {"p": "(1,2)", "a": 7}
        admin.execute("ALTER TYPE spot DROP ATTRIBUTE a")
        admin.execute("ALTER TYPE spot ADD ATTRIBUTE a text")
        admin.execute("UPDATE spots SET s.a = '007'")
        for _ in range(2):
            assert session.query_value(sql) == {"p": "(1,2)", "a": "007"}
    finally:
        finalize_db("r")
        admin.execute("DROP TABLE spots")
        admin.execute("DROP TYPE spot")


def test_attributes_of_any_name_are_compared(cast_of_types: Callable[[str], DbSession]) -> None:
    session, admin = cast_of_types("r"), cast_of_types("admin")
    names = [
        'say "x"',
        "back\\slash",
        "new\nline",
        "tab\t\b\f\r",
        "bell\x07\x1f\x7f",
        "größe",
        "{,}",
    ]
    quoted = [name.replace('"', '""') for name in names]
    admin.execute("CREATE TYPE odd AS (" + ", ".join(f'"{name}" int' for name in quoted) + ")")
    admin.execute("CREATE TYPE bare AS ()")
    try:
        value = {name: n for n, name in enumerate(names)}
        for _ in range(3):
            assert session.query_value("SELECT $1::odd", [value]) == value
            assert session.query_value("SELECT $1::bare", [{}]) == {}
        with session.transaction():
            assert session.query_value("SELECT $1::odd", [value]) == value
        admin.execute(f'ALTER TYPE odd RENAME ATTRIBUTE "{quoted[0]}" TO "other"')
        value = {("other" if n == 0 else name): n for n, name in enumerate(names)}
        assert session.query_value("SELECT $1::odd", [value]) == value
        admin.execute("ALTER TYPE bare ADD ATTRIBUTE a int")
        assert session.query_value("SELECT $1::bare", [{"a": 1}]) == {"a": 1}
    finally:
        finalize_db("r")
        admin.execute("DROP TYPE odd")
        admin.execute("DROP TYPE bare")


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_attributes_of_a_domain_that_takes_no_null_are_compared(
    cast_of_types: Callable[[str], DbSession], inside: bool
) -> None:
    """The server makes no row of NULLs of such a type."""
    session, admin = cast_of_types("r"), cast_of_types("admin")
    admin.execute("CREATE DOMAIN some_int AS int NOT NULL CHECK (VALUE > 0)")
    admin.execute("CREATE TYPE strict_pair AS (a some_int, b int)")
    try:
        read = "SELECT $1::strict_pair AS p"
        write = "INSERT INTO pairs (id, whole) SELECT $1, $2::strict_pair::text"
        value = {"a": 1, "b": 2}
        if inside:
            session.begin()
        for n in range(2):
            assert session.query_value(read, [value]) == value
            session.execute_many(write, [[10 + n, value], [20 + n, value]])
        admin.execute("ALTER TYPE strict_pair RENAME ATTRIBUTE a TO t")
        admin.execute("ALTER TYPE strict_pair RENAME ATTRIBUTE b TO a")
        admin.execute("ALTER TYPE strict_pair RENAME ATTRIBUTE t TO b")
        assert list(session.query_value(read, [value]).items()) == [("b", 2), ("a", 1)]
        session.execute_many(write, [[30, value], [31, value]])
        texts = "SELECT DISTINCT whole FROM pairs WHERE id >= 30"
        assert session.query_value(texts) == "(2,1)"
    finally:
        finalize_db("r")
        admin.execute("DROP TYPE strict_pair")
        admin.execute("DROP DOMAIN some_int")


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_execute_many_reports_a_snapshot_older_than_the_alteration(
    cast_of_types: Callable[[str], DbSession], level: Isolation
) -> None:
    session = cast_of_types("r")
    sql = "INSERT INTO pairs (id, p) VALUES ($1, $2)"
    session.begin(isolation=level)
    session.execute_many(sql, [[10, ONE]])
    _alter(cast_of_types)
    with pytest.raises(errors.SerializationFailure, match="altered"):
        session.execute_many(sql, [[11, ONE], [12, ONE]])
    session.rollback()
    session.execute_many(sql, [[11, ONE], [12, ONE]])
    assert session.query_value("SELECT p::text FROM pairs WHERE id = 12") == "(2,1,three)"


AGE = 0.3


def _wait_for_the_age(mode: Mode, by: str) -> None:
    """What others have altered is seen once a statement has this age; at once with "off"."""
    if by == "another" and mode != "off":
        time.sleep(AGE + 0.1)


@pytest.mark.parametrize("by", ["this session", "another"])
def test_a_renamed_type_is_read_by_what_its_present_name_is_registered_for(
    kind: str, mode: Mode, database: str, pooler: str, by: str
) -> None:
    age = AGE if by == "another" else None
    _configure(mode, database, pooler, max_size=2, statement_max_age_secs=age)
    session, admin = db("r"), db("admin")
    register_type("kind_of_test", loads=lambda text: f"kind {text}")
    register_type("sort_of_test", loads=lambda text: f"sort {text}", dumps=lambda text: text[5:])
    admin.execute("CREATE TYPE kind_of_test AS ENUM ('x')")
    admin.execute("CREATE TABLE kinds AS SELECT 'x'::kind_of_test AS k")
    who = admin if by == "another" else session
    try:
        for _ in range(2):
            assert session.query_value("SELECT k FROM kinds") == "kind x"
            assert session.query_value("SELECT count(*) FROM kinds WHERE k = $1", ["x"]) == 1
        who.execute("ALTER TYPE kind_of_test RENAME TO sort_of_test")
        _wait_for_the_age(mode, by)
        for _ in range(2):
            assert session.query_value("SELECT k FROM kinds") == "sort x"
            assert session.query_value("SELECT count(*) FROM kinds WHERE k = $1", ["sort x"]) == 1
        with session.transaction():
            session.execute("ALTER TYPE sort_of_test RENAME TO kind_of_test")
            assert session.query_value("SELECT k FROM kinds") == "kind x"
            session.execute("ALTER TYPE kind_of_test RENAME TO sort_of_test")
            assert session.query_value("SELECT k FROM kinds") == "sort x"
        who.execute("ALTER TYPE sort_of_test RENAME TO other_of_test")
        _wait_for_the_age(mode, by)
        assert session.query_value("SELECT k FROM kinds") == "x"
    finally:
        finalize_db("r")
        admin.execute("DROP TABLE kinds")
        admin.execute("DROP TYPE IF EXISTS kind_of_test, sort_of_test, other_of_test")
        finalize_db("admin")
        for name in ("kind_of_test", "sort_of_test"):
            register_type(name)
        Database.close()


@pytest.mark.parametrize("by", ["this session", "another"])
def test_a_column_that_becomes_or_was_a_domain_is_read_as_what_it_is(
    kind: str, mode: Mode, database: str, pooler: str, by: str
) -> None:
    """The server describes such a column as the domain's base, so its table is asked for it."""
    age = AGE if by == "another" else None
    _configure(mode, database, pooler, max_size=2, statement_max_age_secs=age)
    session, admin = db("r"), db("admin")
    register_type("slug_of_test", loads=lambda text: f"slug {text}")
    admin.execute("CREATE DOMAIN slug_of_test AS text")
    admin.execute("CREATE TABLE slugs AS SELECT 'x'::slug_of_test AS a, 'y'::text AS b")
    try:
        sql = "SELECT a, b FROM slugs"
        for _ in range(2):
            assert session.query(sql) == [{"a": "slug x", "b": "y"}]
        who = admin if by == "another" else session
        who.execute("ALTER TABLE slugs ALTER a TYPE text")
        who.execute("ALTER TABLE slugs ALTER b TYPE slug_of_test")
        _wait_for_the_age(mode, by)
        for _ in range(2):
            assert session.query(sql) == [{"a": "x", "b": "slug y"}]
    finally:
        finalize_db("r")
        admin.execute("DROP TABLE slugs")
        admin.execute("DROP DOMAIN slug_of_test")
        finalize_db("admin")
        register_type("slug_of_test")
        Database.close()
