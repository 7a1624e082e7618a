"""result() and describe() of a session, and the columns of a stream."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from either import db, scope
from test_pgbouncer import Bouncer, bouncer

from hypern import errors
from hypern.database import Column, Database, DbSession, Description, Parameter, Result

__all__ = ["bouncer"]  # the fixture

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture
def session(session: DbSession) -> Iterator[DbSession]:
    """With a table of users."""
    session.execute(
        "CREATE TABLE users (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, "
        "name text NOT NULL, age int)"
    )
    yield session
    session.execute("DROP TABLE users")


def test_rows_are_tuples_and_the_count_and_the_tag_come_along(session: DbSession) -> None:
    made = session.result(
        "INSERT INTO users (name) VALUES ($1), ($2) RETURNING id, name", ["a", "b"]
    )
    assert made == Result(
        columns=(Column("id", 23, "int4", 4, -1), Column("name", 25, "text", -1, -1)),
        rows=[(1, "a"), (2, "b")],
        count=2,
        tag="INSERT 0 2",
    )
    assert repr(made.columns[0]).startswith("Column(name='id', type_oid=23")


def test_the_columns_are_there_without_rows(session: DbSession) -> None:
    none = session.result("SELECT id, name FROM users WHERE false")
    assert [column.name for column in none.columns] == ["id", "name"]
    assert (none.rows, none.count, none.tag) == ([], 0, "SELECT 0")


@pytest.mark.parametrize(
    ("sql", "count", "tag"),
    [
        ("UPDATE users SET age = 1", 2, "UPDATE 2"),
        ("DELETE FROM users", 2, "DELETE 2"),
        ("CREATE TEMP TABLE made AS SELECT 1 AS n", 1, "SELECT 1"),
        ("CREATE TEMP TABLE other (n int)", 0, "CREATE TABLE"),
        ("SET application_name = 'x'", 0, "SET"),
        ("DO $$ BEGIN END $$", 0, "DO"),
        ("INSERT INTO users (name) SELECT 'c' WHERE false", 0, "INSERT 0 0"),
        ("SELECT", 1, "SELECT 1"),
        ("VALUES (1), (2), (3)", 3, "SELECT 3"),
        ("SHOW work_mem", 0, "SHOW"),
        ("EXPLAIN SELECT 1", 0, "EXPLAIN"),
    ],
)
def test_the_tag_is_the_servers(session: DbSession, sql: str, count: int, tag: str) -> None:
    session.execute("INSERT INTO users (name) VALUES ('a'), ('b')")
    for _ in range(2):  # described at first, then known
        session.begin()
        done = session.result(sql)
        assert (done.count, done.tag) == (count, tag)
        session.rollback()


def test_transaction_commands_have_their_tags(session: DbSession) -> None:
    tags = [session.result(sql).tag for sql in ("BEGIN", "SAVEPOINT a", "RELEASE a", "COMMIT")]
    assert tags == ["BEGIN", "SAVEPOINT", "RELEASE", "COMMIT"]


def test_names_that_come_twice_are_kept_without_a_warning(
    session: DbSession, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="hypern"):
        twice = session.result("SELECT 1 AS n, 2 AS n, NULL AS n")
        assert twice.rows == [(1, 2, None)]
        assert [column.name for column in twice.columns] == ["n", "n", "n"]
        assert session.execute("SELECT 1 AS n, 2 AS n, NULL AS n") == 1
        assert session.query_values("SELECT 1 AS n, 2 AS n, NULL AS n") == [1]
        assert caplog.records == []
        assert session.query("SELECT 1 AS n, 2 AS n, NULL AS n") == [{"n": None}]
        assert session.query("SELECT 1 AS n, 2 AS n, NULL AS n") == [{"n": None}]
        assert len(caplog.records) == 1


def test_columns_have_their_types_size_and_modifier(session: DbSession) -> None:
    session.execute("CREATE TYPE pg_temp.mood AS ENUM ('glad')")
    columns = session.result(
        "SELECT 1::int8 AS a, 'x'::varchar(10) AS b, 1::numeric(6, 2) AS c, '{}'::text[] AS d, "
        "'glad'::pg_temp.mood AS e"
    ).columns
    assert [(c.name, c.type_name, c.size, c.modifier) for c in columns] == [
        ("a", "int8", 8, -1),
        ("b", "varchar", -1, 14),
        ("c", "numeric", -1, (6 << 16 | 2) + 4),
        ("d", "_text", -1, -1),
        ("e", "mood", 4, -1),
    ]
    assert columns[4].type_oid == session.query_value("SELECT 'pg_temp.mood'::regtype::oid")


def test_a_failing_statement_raises_as_ever(session: DbSession) -> None:
    with pytest.raises(errors.DivisionByZero):
        session.result("SELECT 1 / $1", [0])
    with pytest.raises(errors.QueryCanceled):
        session.result("SELECT pg_sleep(10)", timeout=0.05)
    assert session.result("SELECT 1").rows == [(1,)]


DESCRIBED = "SELECT u.id, u.age, u.id + $1 AS sum, $2::text AS given FROM users u WHERE name = $3"


def test_describe_tells_what_a_statement_takes_and_returns(session: DbSession) -> None:
    assert session.describe(DESCRIBED) == Description(
        parameters=(
            Parameter("$1", 23, "int4"),
            Parameter("$2", 25, "text"),
            Parameter("$3", 25, "text"),
        ),
        columns=(
            Column("id", 23, "int4", 4, -1, nullable=False),
            Column("age", 23, "int4", 4, -1, nullable=True),
            Column("sum", 23, "int4", 4, -1),
            Column("given", 25, "text", -1, -1),
        ),
    )


def test_describe_runs_nothing(session: DbSession) -> None:
    sql = "INSERT INTO users (name) VALUES ($1) RETURNING id"
    session.begin()
    assert session.describe(sql).columns[0].name == "id"
    assert session.is_in_transaction
    session.commit()
    assert session.describe(sql).columns[0].nullable is False
    assert session.query_value("SELECT count(*) FROM users") == 0
    assert session.query_value("SELECT nextval('users_id_seq')") == 1
    assert session.describe("CREATE TABLE never (n int)") == Description((), ())


def test_describe_of_what_is_no_table_and_of_what_is_altered(session: DbSession) -> None:
    session.execute("CREATE DOMAIN pg_temp.sure AS int NOT NULL")
    session.execute("CREATE TEMP TABLE t (a pg_temp.sure, b int)")
    session.execute("CREATE TEMP VIEW v AS SELECT a, b FROM t")
    nullable = [c.nullable for c in session.describe("SELECT a, b, 1 FROM t").columns]
    assert nullable == [False, True, None]
    assert [c.nullable for c in session.describe("SELECT a, b FROM v").columns] == [None, None]
    session.execute("ALTER TABLE t ALTER b SET NOT NULL")
    nullable = [c.nullable for c in session.describe("SELECT a, b, 1 FROM t").columns]
    assert nullable == [False, False, None]
    assert [c.nullable for c in session.result("SELECT a, b FROM t").columns] == [None, None]


def test_describe_of_a_wrong_statement_is_the_servers_error(session: DbSession) -> None:
    with pytest.raises(errors.UndefinedColumn) as raised:
        session.describe("SELECT nam FROM users")
    assert raised.value.position == 8
    session.begin()
    with pytest.raises(errors.SyntaxError):
        session.describe("SELEC 1")
    with pytest.raises(errors.InFailedSqlTransaction):
        session.describe("SELECT 1")
    session.rollback()
    assert session.describe("SELECT 1 AS one").columns[0].name == "one"
    with pytest.raises(TypeError):
        session.describe(b"SELECT 1")  # type: ignore[arg-type]


def test_a_stream_has_columns_once_it_has_begun(session: DbSession) -> None:
    rows = session.stream("SELECT n, n::text AS t FROM generate_series(1, 3) n", chunk_rows=2)
    columns = (Column("n", 23, "int4", 4, -1), Column("t", 25, "text", -1, -1))
    with pytest.raises(errors.InterfaceError, match="has not begun"):
        rows.columns  # noqa: B018
    assert next(iter(rows)) == {"n": 1, "t": "1"}
    assert rows.columns == columns
    assert len(list(rows)) == 2
    assert rows.columns == columns
    none = session.stream("SELECT 1 AS n WHERE false")
    assert list(none) == []
    assert [column.name for column in none.columns] == ["n"]


@pytest.fixture(params=["named", "describe", "off"])
def cached(database: str, request: pytest.FixtureRequest) -> Iterator[str]:
    Database.close()
    Database.configure(database, max_size=1, statement_cache=request.param)
    yield request.param
    Database.close()


@pytest.mark.usefixtures("cached")
def test_every_statement_cache() -> None:
    with scope():
        for _ in range(3):
            assert db().result("SELECT $1::int AS a", [1]).rows == [(1,)]
            assert db().describe("SELECT $1::int AS a").parameters == (Parameter("$1", 23, "int4"),)


def test_behind_pgbouncer(bouncer: Bouncer) -> None:
    Database.close()
    Database.configure(bouncer.url, max_size=2)
    with scope():
        for _ in range(3):
            done = db().result("SELECT $1::int AS a", [1])
            assert (done.columns[0].type_name, done.rows, done.tag) == ("int4", [(1,)], "SELECT 1")
            described = db().describe("SELECT relname, $1::int FROM pg_class")
            assert [c.nullable for c in described.columns] == [False, None]
    Database.close()
