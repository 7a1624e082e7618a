"""batch(): several statements in one write, all of them or none."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from either import db, finalize_db, run, scope
from support import wait_until
from test_pgbouncer import started

from hypern import errors
from hypern.database import Database, DbSession
from hypern.database import db as plain_db
from hypern.database import scope as plain_scope
from hypern.session.batch_results import BatchCount
from hypern.sql import identifier, sql

pytestmark = pytest.mark.usefixtures("kind")

INSERT = "INSERT INTO items (id, name) VALUES ($1, $2)"
COUNT = "SELECT count(*) FROM items"


@pytest.fixture(autouse=True)
def items(database: str, configured: str) -> Iterator[DbSession]:
    """The table `items`, and a session of its own that sees what is committed."""
    Database.configure(database, max_size=1, alias="admin")
    with plain_scope():
        plain_db(alias="admin").execute("CREATE TABLE items (id int PRIMARY KEY, name text)")
    with plain_scope():
        yield plain_db(alias="admin")
    finalize_db("the test")
    Database.close("admin")
    Database.configure(database, max_size=1, alias="admin")
    with plain_scope():
        plain_db(alias="admin").execute("DROP TABLE items")
    Database.close("admin")


def committed(items: DbSession) -> int:
    return int(items.query_value(COUNT))


def test_each_method_has_its_result_after_the_block(session: DbSession) -> None:
    for n in range(3):
        with session.batch() as b:
            inserted = b.execute(INSERT, [n, "x"])
            rows = b.query("SELECT id FROM items ORDER BY id")
            one = b.query_one("SELECT $1::int AS a, $2 AS b", [n, "x"])
            strict = b.query_one("SELECT 1 AS a", strict=True)
            none = b.query_one_or_none("SELECT 1 AS a WHERE false")
            value = b.query_value(COUNT)
            values = b.query_values("SELECT generate_series(1, 3)")
            named = b.query("SELECT :a::int + :b::int AS c", {"a": n, "b": 1})
            template = b.query_value(
                sql("SELECT count(*) FROM {} WHERE id <= {}", identifier("items"), n)
            )
            assert len(b) == 9
        assert inserted.count == 1
        assert rows.rows == [{"id": i} for i in range(n + 1)]
        assert rows.count == n + 1
        assert one.row == {"a": n, "b": "x"}
        assert strict.row == {"a": 1}
        assert none.row is None
        assert value.value == n + 1
        assert values.values == [1, 2, 3]
        assert named.rows == [{"c": n + 1}]
        assert template.value == n + 1
    assert session.state == "connected"


def test_a_result_has_columns_rows_count_and_tag(session: DbSession) -> None:
    for n in range(3):
        with session.batch() as b:
            inserted = b.result(INSERT + " RETURNING id, id", [n, "x"])
            nothing = b.result("SELECT id, name FROM items WHERE false")
            updated = b.result(sql("UPDATE items SET name = {}", "y"))
            made = b.result("CREATE TEMP TABLE mine (a int) ON COMMIT DROP")
            late = b.result("SELECT * FROM mine")  # it cannot be parsed ahead of the others
            tail = b.query_value("SELECT 1")
        assert inserted.rows == [(n, n)]
        assert [column.name for column in inserted.columns] == ["id", "id"]
        assert (inserted.count, inserted.tag) == (1, "INSERT 0 1")
        assert nothing.rows == []
        assert [(c.name, c.type_name) for c in nothing.columns] == [
            ("id", "int4"),
            ("name", "text"),
        ]
        assert (nothing.count, nothing.tag) == (0, "SELECT 0")
        assert (updated.columns, updated.rows) == ((), [])
        assert (updated.count, updated.tag) == (n + 1, f"UPDATE {n + 1}")
        assert (made.columns, made.rows, made.tag) == ((), [], "CREATE TABLE")
        assert ([c.name for c in late.columns], late.rows, late.tag) == (["a"], [], "SELECT 0")
        assert tail.value == 1


def test_a_result_whose_rows_cannot_be_read_raises_where_it_is_touched(
    session: DbSession, items: DbSession
) -> None:
    with session.batch() as b:
        b.execute(INSERT, [1, "x"])
        broken = b.result("SELECT 'infinity'::date AS d")
        fine = b.query_value("SELECT 1")
    for name in ("columns", "rows", "tag"):
        with pytest.raises(errors.DataError, match='"d"'):
            getattr(broken, name)
    assert (fine.value, broken.count, committed(items)) == (1, 1, 1)


@dataclass
class Item:
    id: int
    name: str


class Picky:
    def __init__(self, n: int) -> None:
        if n == 57:
            raise LookupError("no more")


class Text(str):
    """A str that a weak reference can watch."""


@pytest.mark.parametrize("what", ["results", "batch"])
def test_what_is_dropped_after_the_block_waits_for_no_collector(
    session: DbSession, what: str
) -> None:
    value = Text("x")
    gc.collect()
    gc.disable()
    try:
        with session.batch() as b:
            made = [b.query_value("SELECT $1::text", [value]) for _ in range(3)]
        assert [r.value for r in made] == ["x", "x", "x"]
        kept: object = b if what == "results" else made
        del b, made
        assert kept is not None
        del kept
        watched = weakref.ref(value)
        del value
        assert watched() is None
    finally:
        gc.enable()


def test_a_batch_that_fails_one_by_one_has_no_results(session: DbSession) -> None:
    session.execute("CREATE TYPE pg_temp.pair AS (a int, b text)")
    with pytest.raises(errors.DivisionByZero) as caught, session.batch() as b:  # noqa: PT012
        first = b.query_value("SELECT 1")
        second = b.query_value("SELECT (7, 'x')::pg_temp.pair")
        b.query_value("SELECT 1 / $1::int", [0])
    assert caught.value.index == 2
    for result in (first, second):
        for name in ("value", "count"):
            with pytest.raises(errors.InterfaceError, match="was not completed"):
                getattr(result, name)


def test_a_result_is_made_by_a_batch_only(session: DbSession) -> None:
    with pytest.raises(TypeError, match="made by a batch"):
        BatchCount()


def test_rows_of_classes(session: DbSession, items: DbSession) -> None:
    for n in range(2):
        with session.batch() as b:
            b.execute(INSERT, [n, "x"])
            rows = b.query("SELECT * FROM items ORDER BY id", into=Item)
            pairs = b.query("SELECT id, id + 1 AS id FROM items ORDER BY 1", into=tuple)
            one = b.query_one("SELECT 1 AS id, 'a' AS name", into=Item, strict=True)
            none = b.query_one_or_none("SELECT 1 AS id, 'a' AS name WHERE false", into=Item)
            broken = b.query("SELECT n FROM generate_series(1, 100) n", into=Picky)
        assert rows.rows == [Item(i, "x") for i in range(n + 1)]
        assert pairs.rows == [(i, i + 1) for i in range(n + 1)]
        assert one.row == Item(1, "a")
        assert none.row is None
        with pytest.raises(LookupError, match="no more"):
            broken.rows  # noqa: B018
    with pytest.raises(errors.RowMismatch, match="name") as caught, session.batch() as b:  # noqa: PT012
        b.execute(INSERT, [5, "x"])
        b.query("SELECT id FROM items", into=Item)
    assert caught.value.index == 1
    assert committed(items) == 2
    with session.batch() as b, pytest.raises(errors.RowClassError):
        b.query("SELECT 1", into=5)  # type: ignore[call-overload]


def test_results_are_not_there_before(session: DbSession) -> None:
    with session.batch() as b:
        rows = b.query("SELECT 1 AS a")
        count = b.execute(INSERT, [1, "a"])
        for touch in (lambda: rows.rows, lambda: rows.count, lambda: count.count):
            with pytest.raises(errors.InterfaceError, match="after its block"):
                touch()
    assert rows.rows == [{"a": 1}]


def test_what_a_row_method_raises_comes_with_its_result(session: DbSession) -> None:
    with session.batch() as b:
        none = b.query_one("SELECT 1 AS a WHERE false")
        many = b.query_one("SELECT generate_series(1, 2)", strict=True)
        bad = b.query("SELECT '0044-03-15 BC'::date AS day UNION ALL SELECT '2024-01-01'")
        empty = b.query_value("SELECT 1 WHERE false")
        inserted = b.execute(INSERT, [1, "a"])
    with pytest.raises(errors.NoRows):
        none.row  # noqa: B018
    with pytest.raises(errors.TooManyRows):
        many.row  # noqa: B018
    with pytest.raises(errors.DataError, match="day"):
        bad.rows  # noqa: B018
    with pytest.raises(errors.NoRows):
        empty.value  # noqa: B018
    assert inserted.count == 1
    assert session.query_value(COUNT) == 1


@pytest.mark.parametrize("times", [1, 2])
def test_the_first_failure_is_raised_and_nothing_is_left(
    session: DbSession, items: DbSession, times: int
) -> None:
    for _ in range(times):
        results = []
        with pytest.raises(errors.UniqueViolation) as caught, session.batch() as b:  # noqa: PT012
            results.append(b.execute(INSERT, [1, "a"]))
            results.append(b.execute(INSERT, [1, "b"]))
            results.append(b.execute("SELECT 1 / 0"))
        assert caught.value.index == 1
        assert caught.value.sql == INSERT
        for result in results:
            with pytest.raises(errors.InterfaceError, match="not completed"):
                result.count  # noqa: B018
        assert committed(items) == 0
        assert session.state == "connected"
        assert session.query_value("SELECT 1") == 1


def test_nothing_after_the_first_failure_has_run(session: DbSession) -> None:
    session.execute("CREATE TEMP SEQUENCE ran")
    with pytest.raises(errors.DivisionByZero) as caught, session.batch() as b:  # noqa: PT012
        b.query("SELECT nextval('ran')")
        b.query("SELECT 1 / $1::int", [0])
        b.query("SELECT nextval('ran')")
    assert caught.value.index == 1
    assert session.query_value("SELECT last_value FROM ran") == 1


def test_inside_a_transaction_it_is_part_of_that(session: DbSession, items: DbSession) -> None:
    with session.transaction():
        with session.batch() as b:
            b.execute(INSERT, [1, "a"])
            seen = b.query_value(COUNT)
        assert seen.value == 1
        assert session.state == "in_transaction"
        assert committed(items) == 0
    assert committed(items) == 1
    session.begin()
    with pytest.raises(errors.DivisionByZero), session.batch() as b:  # noqa: PT012
        b.execute(INSERT, [2, "a"])
        b.query("SELECT 1 / 0")
    with pytest.raises(errors.InFailedSqlTransaction) as caught, session.batch() as b:
        b.query("SELECT 1")
    assert caught.value.index == 0
    session.rollback()
    assert committed(items) == 1


def test_a_block_left_by_an_exception_sends_nothing(session: DbSession, items: DbSession) -> None:
    with pytest.raises(LookupError), session.batch() as b:  # noqa: PT012
        result = b.execute(INSERT, [1, "a"])
        raise LookupError
    with pytest.raises(errors.InterfaceError, match="not completed"):
        result.count  # noqa: B018
    assert committed(items) == 0
    assert session.state == "idle"


def test_a_batch_is_used_inside_its_block_only(session: DbSession) -> None:
    b = session.batch()
    with pytest.raises(errors.InterfaceError, match="inside its `with` block"):
        b.query("SELECT 1")
    with b as same:
        same.query("SELECT 1")
    with pytest.raises(errors.InterfaceError, match="has ended"):
        same.execute("SELECT 1")
    with pytest.raises(errors.InterfaceError, match="entered once"), b:
        pass


def test_a_batch_inside_a_batch_is_sent_at_its_own_end(session: DbSession) -> None:
    with session.batch() as outer:
        first = outer.query_value(COUNT)
        with session.batch() as inner:
            inner.execute(INSERT, [1, "a"])
        now = session.query_value(COUNT)
        second = outer.query_value(COUNT)
    assert (first.value, now, second.value) == (1, 1, 1)


def test_an_empty_batch_sends_nothing(session: DbSession) -> None:
    with session.batch() as b:
        pass
    assert len(b) == 0
    assert session.state == "idle"


REFUSED: dict[str, tuple[str, Any, type[Exception], str]] = {
    "COMMIT": ("COMMIT", None, errors.ProgrammingError, "transaction commands"),
    "BEGIN": ("/* x */ BEGIN", None, errors.ProgrammingError, "transaction commands"),
    "SAVEPOINT": ("SAVEPOINT a", None, errors.ProgrammingError, "transaction commands"),
    "ROLLBACK TO": ("ROLLBACK TO a", None, errors.ProgrammingError, "transaction commands"),
    "COPY FROM": ("COPY items FROM STDIN", None, errors.NotSupportedError, "COPY"),
    "COPY TO": ("COPY (SELECT 1) TO STDOUT", None, errors.NotSupportedError, "COPY"),
    "no statement": (" -- nothing", None, errors.ProgrammingError, "no statement"),
    "several": ("SELECT 1; SELECT 2", None, errors.SyntaxError, "multiple commands"),
    "a syntax error": ("SELEKT 1", None, errors.SyntaxError, "SELEKT"),
    "too few": ("SELECT $1::int", None, errors.ProgrammingError, "1 placeholder, 0"),
    "too many": ("SELECT $1::int", [1, 2], errors.ProgrammingError, "1 placeholder, 2"),
    "no number": ("SELECT $1::int", [object()], errors.ParameterTypeError, "parameter"),
    "out of range": ("SELECT $1::int2", [70000], errors.NumericValueOutOfRange, "int2"),
    "an unknown table": ("SELECT * FROM missing", None, errors.UndefinedTable, "missing"),
}


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_bad_statements_are_named_and_leave_nothing(
    session: DbSession, items: DbSession, name: str, inside: bool
) -> None:
    text, params, kind, words = REFUSED[name]
    for _ in range(2):
        if inside:
            session.begin()
        with pytest.raises(kind, match=words) as caught, session.batch() as b:  # noqa: PT012
            b.execute(INSERT, [1, "a"])
            b.execute(text, params)
            b.execute(INSERT, [2, "a"])
        assert caught.value.index == 1  # type: ignore[attr-defined]
        if inside:
            session.rollback()
        assert committed(items) == 0
    assert session.query_value("SELECT 1") == 1


def test_what_cannot_be_a_statement_is_refused_as_it_is_added(session: DbSession) -> None:
    with session.batch() as b:
        with pytest.raises(TypeError, match="sql must be"):
            b.query(b"SELECT 1")  # type: ignore[call-overload]
        with pytest.raises(errors.ParameterTypeError, match="params must be"):
            b.query("SELECT $1::int", 5)  # type: ignore[call-overload]
        with pytest.raises(errors.ProgrammingError, match="70000 parameters"):
            b.query("SELECT 1", [0] * 70_000)
        with pytest.raises(errors.ProgrammingError, match=":a"):
            b.query("SELECT :a", {"b": 1})
        with pytest.raises(errors.ProgrammingError, match="NUL"):
            b.query("SELECT '\0'")
        assert len(b) == 0


def test_parameters_are_those_of_the_moment_they_were_given(session: DbSession) -> None:
    params = [1]
    with session.batch() as b:
        first = b.query_value("SELECT $1::int", params)
        params[0] = 2
        second = b.query_value("SELECT $1::int", params)
    assert (first.value, second.value) == (1, 2)


def test_a_statement_before_it_makes_the_table(session: DbSession, items: DbSession) -> None:
    for _ in range(2):
        with session.batch() as b:
            b.execute("CREATE TABLE made (a int)")
            b.execute("INSERT INTO made VALUES ($1), ($2)", [1, 2])
            rows = b.query("SELECT a FROM made ORDER BY a")
            b.execute("ALTER TABLE made ALTER a TYPE text USING a::text")
            altered = b.query("SELECT a FROM made ORDER BY a")
            b.execute("DROP TABLE made")
        assert rows.rows == [{"a": 1}, {"a": 2}]
        assert altered.rows == [{"a": "1"}, {"a": "2"}]
    with pytest.raises(errors.DivisionByZero) as caught, session.batch() as b:  # noqa: PT012
        b.execute("CREATE TABLE made (a int)")
        b.execute("INSERT INTO made VALUES (1)")
        b.execute("SELECT 1 / 0")
    assert caught.value.index == 2
    assert items.query_value("SELECT to_regclass('made')::text") is None
    assert session.state == "connected"


@pytest.mark.parametrize("inside", [False, True])
def test_a_function_that_makes_the_table_is_run_first(session: DbSession, inside: bool) -> None:
    session.execute(
        "CREATE OR REPLACE FUNCTION make_it() RETURNS int LANGUAGE plpgsql AS "
        "'BEGIN CREATE TEMP TABLE hidden AS SELECT 7 AS n; RETURN 1; END'"
    )
    for _ in range(2):
        if inside:
            session.begin()
        with session.batch() as b:
            made = b.query_value("SELECT make_it()")
            found = b.query("SELECT n FROM hidden")
            b.execute("DROP TABLE hidden")
        assert (made.value, found.rows) == (1, [{"n": 7}])
        if inside:
            assert session.state == "in_transaction"
            session.commit()
    with pytest.raises(errors.UndefinedTable) as caught, session.batch() as b:  # noqa: PT012
        b.query("SELECT 1")
        b.query("SELECT n FROM hidden")
    assert caught.value.index == 1


def test_settings_hold_for_what_comes_after_them(session: DbSession) -> None:
    session.execute("CREATE SCHEMA IF NOT EXISTS other")
    session.execute("DROP TABLE IF EXISTS other.items")
    session.execute("CREATE TABLE other.items AS SELECT 'other' AS which")
    for _ in range(2):
        with session.batch() as b:
            b.execute(INSERT, [_, "a"])
            b.execute("SET LOCAL search_path TO other")
            rows = b.query("SELECT * FROM items")
            b.execute("SELECT set_config('search_path', 'public', true)")
            back = b.query("SELECT name FROM items")
        assert rows.rows == [{"which": "other"}]
        assert back.rows == [{"name": "a"}] * (_ + 1)
        assert session.query_value("SHOW search_path") == '"$user", public'
    session.execute("DROP SCHEMA other CASCADE")


def test_values_declare_their_types(session: DbSession) -> None:
    for values in ([1, "a", 2.5, True, None], ["b", 7, None, 3, 1.5]):
        with session.batch() as b:
            results = [b.query_value("SELECT $1", [v]) for v in values]
            less = b.query_value("SELECT $1 < $2", [9, 10])
        assert [r.value for r in results] == values
        assert less.value is True


def test_composites_and_their_guards(session: DbSession, items: DbSession) -> None:
    session.execute("CREATE TYPE pair AS (a int, b text)")
    try:
        for inside in (False, True, False):
            if inside:
                session.begin()
            with session.batch() as b:
                b.execute(INSERT, [10 + inside, "a"])
                one = b.query_value("SELECT $1::pair", [{"a": 1, "b": "x"}])
                two = b.query_value(COUNT)
                three = b.query_one("SELECT ($1::pair).b AS b", [(2, "y")])
                four = b.result("SELECT $1::pair AS p", [(3, "z")])
                b.execute("DELETE FROM items")
            assert one.value == {"a": 1, "b": "x"}
            assert two.value == 1
            assert three.row == {"b": "y"}
            assert (four.columns[0].name, four.count, four.tag) == ("p", 1, "SELECT 1")
            assert four.rows == [({"a": 3, "b": "z"},)]
            if inside:
                assert committed(items) == 0
                session.commit()
        with pytest.raises(errors.DivisionByZero) as caught, session.batch() as b:  # noqa: PT012
            b.execute(INSERT, [1, "a"])
            b.query_value("SELECT $1::pair", [{"a": 1, "b": "x"}])
            b.query("SELECT 1 / 0")
        assert caught.value.index == 2
        assert committed(items) == 0
        with pytest.raises(errors.DivisionByZero) as caught, session.batch() as b:  # noqa: PT012
            b.query_value("SELECT $1::pair", [{"a": 1, "b": "x"}])
            b.query("SELECT $1::pair, 1 / 0", [{"a": 1, "b": "x"}])
        assert caught.value.index == 1
        assert session.state in ("connected", "rolled_back")
    finally:
        session.execute("DROP TYPE pair")


@pytest.mark.parametrize("cache", ["named", "describe", "off"])
def test_statements_that_have_become_stale(
    database: str, items: DbSession, kind: str, cache: Any
) -> None:
    Database.configure(database, max_size=1, statement_cache=cache, alias="mine")

    def read(session: DbSession) -> tuple[Any, Any, Any]:
        with session.batch() as b:
            b.execute("UPDATE items SET name = $1", ["x"])
            first = b.query("SELECT * FROM items")
            second = b.query("SELECT id, name FROM items WHERE id = $1", [1])
            third = b.query("SELECT 1 AS a")
        return first.rows, second.rows, third.rows

    with scope():
        session = db(alias="mine")
        items.execute(INSERT, [1, "a"])
        row = {"id": 1, "name": "x"}
        for _ in range(2):
            assert read(session) == ([row], [row], [{"a": 1}])
        items.execute("ALTER TABLE items ADD COLUMN more int")
        items.execute("ALTER TABLE items ALTER id TYPE bigint")
        if cache == "describe":
            with pytest.raises(errors.FeatureNotSupported, match="columns") as caught:
                read(session)
            assert caught.value.index in (1, 2)
            with pytest.raises(errors.FeatureNotSupported, match="columns"):
                read(session)
        assert read(session) == ([{**row, "more": None}], [row], [{"a": 1}])
        items.execute("ALTER TABLE items DROP COLUMN more")
        if cache != "describe":
            with session.transaction():
                assert read(session)[0] == [row]
    Database.close("mine")


def test_big_values_both_ways(session: DbSession) -> None:
    big = "x" * 20_000_000
    with session.batch() as b:
        results = [b.query_value("SELECT $1::text || $2", [big, str(n)]) for n in range(10)]
        b.execute(INSERT, [1, big])
        last = b.query("SELECT length(name) AS n FROM items")
    for n, result in enumerate(results):
        assert result.value == big + str(n)
    assert last.rows == [{"n": 20_000_000}]


def test_a_limit_that_passes_while_it_is_sent_leaves_nothing(
    session: DbSession, items: DbSession
) -> None:
    big = "x" * 20_000_000
    for _ in range(3):
        with (  # noqa: PT012
            pytest.raises((errors.QueryCanceled, errors.ConnectionLost)),
            session.batch(timeout=0.05) as b,
        ):
            b.execute(INSERT, [1, "a"])
            for _ in range(10):
                b.query_value("SELECT length($1::text)", [big])
        assert committed(items) == 0
        assert session.query_value("SELECT 1") == 1


def test_ten_thousand_statements(session: DbSession) -> None:
    with session.batch() as b:
        for n in range(10_000):
            b.execute(INSERT, [n, str(n)])
        total = b.query_value("SELECT sum(id) FROM items")
        values = [b.query_value("SELECT name FROM items WHERE id = $1", [n]) for n in range(2000)]
    assert total.value == sum(range(10_000))
    assert [v.value for v in values] == [str(n) for n in range(2000)]


def test_more_texts_than_a_connection_keeps(session: DbSession) -> None:
    for _ in range(2):
        with session.batch() as b:
            results = [b.query_value(f"SELECT {n} + $1::int", [1]) for n in range(700)]
        assert [r.value for r in results] == [n + 1 for n in range(700)]
    assert session.state == "connected"


def test_a_text_longer_than_what_a_connection_keeps(session: DbSession) -> None:
    long = "x" * 3_000_000
    with session.batch() as b:
        results = [b.query_value(f"SELECT length('{n}{long}')") for n in range(3)]
        small = b.query_value("SELECT 1")
    assert [r.value for r in results] == [3_000_001] * 3
    assert small.value == 1


def test_timeout_ends_all_of_it(session: DbSession, items: DbSession) -> None:
    began = time.monotonic()
    with (  # noqa: PT012
        pytest.raises((errors.QueryCanceled, errors.ConnectionLost)) as caught,
        session.batch(timeout=0.3) as b,
    ):
        b.execute(INSERT, [1, "a"])
        b.query("SELECT pg_sleep(20)")
        b.execute(INSERT, [2, "a"])
    assert time.monotonic() - began < 10
    if isinstance(caught.value, errors.QueryCanceled):
        assert caught.value.index == 1
    assert committed(items) == 0
    assert session.query_value("SELECT 1") == 1


def test_a_connection_that_is_lost(session: DbSession, items: DbSession) -> None:
    with session.batch() as b:
        backend = b.query_value("SELECT pg_backend_pid()")
        b.execute(INSERT, [1, "a"])
    killer = threading.Thread(
        target=lambda: wait_until(
            lambda: (
                items.query_value(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid = $1 AND query LIKE '%pg_sleep%' AND state = 'active'",
                    [backend.value],
                )
                if items.query_value(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE pid = $1 AND query LIKE '%pg_sleep%' AND state = 'active'",
                    [backend.value],
                )
                else False
            )
        )
    )
    killer.start()
    with pytest.raises(errors.ConnectionLost) as caught, session.batch() as b:  # noqa: PT012
        b.execute(INSERT, [2, "a"])
        b.query("SELECT pg_sleep(30)")
    killer.join()
    assert caught.value.safe_to_retry is False
    assert committed(items) == 1
    with session.batch() as b:
        count = b.query_value(COUNT)
    assert count.value == 1


def test_a_connection_that_ended_before_is_replaced(session: DbSession, items: DbSession) -> None:
    with session.batch() as b:
        backend = b.query_value("SELECT pg_backend_pid()")
        b.query("SELECT 1 AS a")
    finalize_db("the test")
    items.query_value("SELECT pg_terminate_backend($1)", [backend.value])
    gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $1"
    wait_until(lambda: bool(items.query_value(gone, [backend.value])))
    with scope():
        with db().batch() as b:
            rows = b.query("SELECT 1 AS a")
            b.execute(INSERT, [1, "a"])
        assert rows.rows == [{"a": 1}]
    assert committed(items) == 1


def test_hooks_see_each_statement(session: DbSession) -> None:
    seen: list[tuple[str, int, str | None]] = []
    Database.on_statement(lambda text, seconds, rows, state: seen.append((text, rows, state)))
    try:
        with session.batch() as b:
            b.query("SELECT generate_series(1, $1::int)", [3])
            b.execute(INSERT, [1, "a"])
        with pytest.raises(errors.DivisionByZero), session.batch() as b:  # noqa: PT012
            b.query("SELECT 1")
            b.query("SELECT 1 / 0")
    finally:
        Database.on_statement(None)
    assert seen == [
        ("SELECT generate_series(1, $1::int)", 3, None),
        (INSERT, 1, None),
        ("SELECT 1 / 0", 0, "22012"),
    ]


def test_a_deferred_constraint_fails_all_of_it(session: DbSession, items: DbSession) -> None:
    session.execute("ALTER TABLE items ADD UNIQUE (name) DEFERRABLE INITIALLY DEFERRED")
    for first in ("SELECT 1", "LOCK TABLE items"):
        with pytest.raises(errors.UniqueViolation) as caught, session.batch() as b:  # noqa: PT012
            b.execute(first)
            b.execute(INSERT, [1, "a"])
            b.execute(INSERT, [2, "a"])
        assert caught.value.index is None
        assert committed(items) == 0


def test_on_commit_functions_wait_for_their_own_transaction(session: DbSession) -> None:
    called: list[int] = []
    with session.transaction():
        session.on_commit(lambda: called.append(1))
        with session.batch() as b:
            b.execute(INSERT, [1, "a"])
        assert called == []
    assert called == [1]


def test_a_stream_is_ended_first(session: DbSession) -> None:
    rows = session.stream("SELECT generate_series(1, 100) AS n", chunk_rows=10)
    assert next(iter(rows)) == {"n": 1}
    with session.batch() as b:
        one = b.query_value("SELECT 1")
    assert one.value == 1


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_behind_a_pooler(database: str, items: DbSession, kind: str, mode: str) -> None:
    Database.close("default")
    with started(database, mode, 2) as bouncer:
        Database.configure(bouncer.url, max_size=4, acquire_timeout_secs=20)
        for n in range(4):
            with scope():
                with db().batch() as b:
                    b.execute(INSERT, [n, "a"])
                    rows = b.query("SELECT id FROM items ORDER BY id")
                    both = b.query("SELECT $1::int AS a, $2 AS b", [n, "x"])
                    value = b.query_value("SELECT $1", [n])
                    result = b.result("SELECT $1::int AS n", [n])
                assert (result.columns[0].name, result.rows, result.tag) == (
                    "n",
                    [(n,)],
                    "SELECT 1",
                )
                assert rows.rows == [{"id": i} for i in range(n + 1)]
                assert both.rows == [{"a": n, "b": "x"}]
                assert value.value == n
                with pytest.raises(errors.UniqueViolation) as caught, db().batch() as b:  # noqa: PT012
                    b.query("SELECT 1")
                    b.execute(INSERT, [n, "a"])
                assert caught.value.index == 1
                with db().transaction(), db().batch() as b:
                    b.execute("CREATE TEMP TABLE mine (a int) ON COMMIT DROP")
                    b.execute("INSERT INTO mine VALUES (1)")
                    mine = b.query("SELECT a FROM mine")
                assert mine.rows == [{"a": 1}]
        with scope(), db().batch() as b:
            b.execute("DELETE FROM items")
            b.execute("SET LOCAL statement_timeout = 10000")
            b.execute(INSERT, [9, "a"])
            last = b.query("SELECT id FROM items")
        assert last.rows == [{"id": 9}]
        Database.close("default")


def test_cancellation_leaves_nothing(session: DbSession, items: DbSession, kind: str) -> None:
    if kind == "blocking":
        pytest.skip("a blocking call is not cancelled by its task; Ctrl-C has tests of its own")
    import asyncio

    from hypern.database import adb

    async def main() -> None:
        async def batch() -> None:
            async with adb("the test").batch() as b:
                b.execute(INSERT, [1, "a"])
                b.query("SELECT pg_sleep(20)")

        task = asyncio.ensure_future(batch())
        while not items.query_value(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' "
            "AND state = 'active' AND pid <> pg_backend_pid()"
        ):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await adb("the test").query_value("SELECT 1") == 1

    run(main())
    assert committed(items) == 0
