"""Cursors: parameters, results, several statements, many rows, the server's cursors."""

from __future__ import annotations

import pytest
from dbapi.faces import Connect

from hypern import dbapi, errors
from hypern.dbapi import Column

ALL = "SELECT n FROM numbers ORDER BY n"


def test_positions_and_names(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    assert cursor.execute("SELECT %s::int, %s::text", (1, "a")).fetchall() == [(1, "a")]
    query = "SELECT %(a)s::int + %(b)s::int + %(a)s::int"
    assert cursor.execute(query, {"a": 1, "b": 10, "unused": 0}).fetchone() == (12,)


@pytest.mark.parametrize(
    ("query", "params", "row"),
    [
        ("SELECT 'a%b' LIKE 'a%'", None, (True,)),
        ("SELECT 7 % 4, '%s', '%%'", None, (3, "%s", "%%")),
        ("SELECT 7 %% 4, '100%%', %s::int", [5], (3, "100%", 5)),
        ("SELECT 7 %% 4 /* 100%% */", [], (3,)),
        ("SELECT 7 %% 4", {}, (3,)),
        ("SELECT $$it's$$, %s::int", [1], ("it's", 1)),
    ],
)
def test_percent_signs(
    connection: dbapi.Connection, query: str, params: object, row: tuple[object, ...]
) -> None:
    assert connection.execute(query, params).fetchone() == row  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "params", "message"),
    [
        ("SELECT %s, %s", [1], "2 placeholders, and 1 parameters"),
        ("SELECT 1", [1], "0 placeholders, and 1 parameters"),
        ("SELECT %d", [1], 'unknown placeholder "%d" at character 8'),
        ("SELECT 'a%'", [1], "unknown placeholder"),
        ("SELECT %s, %(a)s", [1], "mixes"),
        ("SELECT %(a)s", [1], "must be a mapping"),
        ("SELECT %s", {"a": 1}, "must be a sequence"),
        ("SELECT %(a)s, %(b)s", {"a": 1}, "no value for: b"),
    ],
)
def test_parameters_that_do_not_fit(
    connection: dbapi.Connection, query: str, params: object, message: str
) -> None:
    with pytest.raises(dbapi.ProgrammingError, match=message):
        connection.execute(query, params)  # type: ignore[arg-type]
    assert not connection.in_transaction


def test_a_str_is_no_sequence_of_parameters(connection: dbapi.Connection) -> None:
    with pytest.raises(TypeError, match=r"write \[value\]"):
        connection.execute("SELECT %s::text", "a")


def test_numbered_parameters(connect: Connect) -> None:
    connection = connect(paramstyle="numeric_dollar")
    row = connection.execute("SELECT $2::int, $1::text, 'a%s', 7 % 4", ["x", 1]).fetchone()
    assert row == (1, "x", "a%s", 3)
    cursor = connection.cursor()
    cursor.execute("CREATE TEMP TABLE few (n int)")
    cursor.executemany("INSERT INTO few VALUES ($1)", [[1], [2]])
    assert cursor.rowcount == 2


def test_fetching(connection: dbapi.Connection) -> None:
    cursor = connection.execute("SELECT * FROM generate_series(1, 7) n")
    assert cursor.rowcount == 7
    assert cursor.rownumber == 0
    assert cursor.fetchone() == (1,)
    assert cursor.fetchmany() == [(2,)]
    cursor.arraysize = 2
    assert cursor.fetchmany() == [(3,), (4,)]
    assert cursor.fetchmany(1) == [(5,)]
    cursor.scroll(-1)
    assert list(cursor) == [(5,), (6,), (7,)]
    assert cursor.fetchone() is None
    assert cursor.fetchall() == []
    cursor.scroll(0, mode="absolute")
    assert len(cursor.fetchall()) == 7
    with pytest.raises(IndexError):
        cursor.scroll(7, mode="absolute")
    with pytest.raises(dbapi.ProgrammingError):
        cursor.arraysize = 0


def test_without_a_result_set_there_is_nothing_to_fetch(numbers: dbapi.Connection) -> None:
    cursor = numbers.cursor()
    assert cursor.description is None
    with pytest.raises(dbapi.ProgrammingError, match="no result set"):
        cursor.fetchone()
    cursor.execute("INSERT INTO numbers VALUES (1), (2)")
    assert (cursor.rowcount, cursor.description, cursor.statusmessage) == (2, None, "INSERT 0 2")
    with pytest.raises(dbapi.ProgrammingError, match="no result set"):
        cursor.fetchall()
    cursor.execute("CREATE TEMP TABLE few ()")
    assert cursor.rowcount == -1
    cursor.execute(f"{ALL} LIMIT 0")
    assert cursor.fetchall() == []
    assert cursor.description is not None


def test_description(connection: dbapi.Connection) -> None:
    cursor = connection.execute(
        "SELECT 1 AS a, 2 AS a, '1.50'::numeric(6, 2) AS price, 'x'::varchar(9) AS name,"
        " now()::timestamptz(3) AS at, interval '1 day'"
    )
    description = cursor.description
    assert description is not None
    assert [column.name for column in description[:4]] == ["a", "a", "price", "name"]
    price, name, at = description[2:5]
    assert price == Column("price", 1700, None, None, 6, 2, None)
    assert tuple(name) == ("name", 1043, 9, None, None, None, None)
    assert (at.type_code, at.precision, at.internal_size) == (1184, 3, 8)
    kinds = [dbapi.NUMBER, dbapi.NUMBER, dbapi.NUMBER, dbapi.STRING, dbapi.DATETIME, dbapi.DATETIME]
    assert [column.type_code for column in description[:6]] == kinds
    assert description[0].type_code != dbapi.STRING
    assert cursor.fetchall()[0][:2] == (1, 2)


def test_a_scale_below_zero(connection: dbapi.Connection) -> None:
    if connection.info.server_version < 150000:
        pytest.skip("PostgreSQL 15 brought scales below zero")
    description = connection.execute("SELECT '1'::numeric(3, -2)").description
    assert description is not None
    assert (description[0].precision, description[0].scale) == (3, -2)


def test_a_closed_cursor_refuses(connection: dbapi.Connection) -> None:
    cursor = connection.execute("SELECT 1")
    cursor.close()
    cursor.close()
    for call in (cursor.fetchone, cursor.fetchall, cursor.fetchmany, cursor.nextset):
        with pytest.raises(dbapi.InterfaceError, match="the cursor is closed"):
            call()
    with pytest.raises(dbapi.InterfaceError, match="the cursor is closed"):
        cursor.execute("SELECT 1")
    with connection.cursor() as other:
        other.execute("SELECT 1")
    assert other.closed
    assert other.rowcount == 1


def test_rows_that_were_received_outlive_their_connection(connection: dbapi.Connection) -> None:
    cursor = connection.execute("SELECT * FROM generate_series(1, 4) n")
    named = connection.cursor("ends")
    named.execute("SELECT 1")
    connection.close()
    assert cursor.fetchone() == (1,)
    assert cursor.fetchmany(2) == [(2,), (3,)]
    assert list(cursor) == [(4,)]
    assert cursor.closed
    for call in (named.fetchone, lambda: cursor.execute("SELECT 1")):
        with pytest.raises(dbapi.InterfaceError, match="the connection is closed"):
            call()
    cursor.close()
    with pytest.raises(dbapi.InterfaceError, match="the cursor is closed"):
        cursor.fetchone()


def test_several_statements(numbers: dbapi.Connection) -> None:
    cursor = numbers.cursor()
    cursor.execute("INSERT INTO numbers VALUES (1); SELECT ';' AS a, $$;$$; -- ;\n SELECT 2;")
    assert cursor.rowcount == 1
    assert cursor.nextset()
    assert cursor.fetchall() == [(";", ";")]
    assert cursor.nextset()
    assert cursor.fetchall() == [(2,)]
    assert cursor.nextset() is None
    assert cursor.execute("SELECT 1;").fetchall() == [(1,)]
    for empty in ("", " ; "):
        cursor.execute(empty)
        assert (cursor.rowcount, cursor.description) == (-1, None)


def test_with_autocommit_several_statements_are_all_or_none(
    numbers: dbapi.Connection, connect: Connect
) -> None:
    automatic = connect(autocommit=True)
    with pytest.raises(dbapi.IntegrityError):
        automatic.execute("INSERT INTO numbers VALUES (1); INSERT INTO numbers VALUES (1)")
    assert not automatic.in_transaction
    assert numbers.execute(ALL).fetchall() == []
    automatic.execute("INSERT INTO numbers VALUES (1); INSERT INTO numbers VALUES (2)")
    assert automatic.execute(ALL).fetchall() == [(1,), (2,)]
    automatic.execute("BEGIN; DELETE FROM numbers; ROLLBACK")
    assert automatic.execute(ALL).fetchall() == [(1,), (2,)]


def test_a_malformed_text_gets_the_servers_error(connection: dbapi.Connection) -> None:
    with pytest.raises(errors.SyntaxError, match="unterminated"):
        connection.execute("SELECT 1; SELECT 'a")


def test_executemany(numbers: dbapi.Connection) -> None:
    cursor = numbers.cursor()
    cursor.executemany("INSERT INTO numbers VALUES (%s)", [(n,) for n in range(5)])
    assert cursor.rowcount == 5
    cursor.executemany("DELETE FROM numbers WHERE n = %(n)s", iter([{"n": 1}, {"n": 9}]))
    assert cursor.rowcount == 1
    with pytest.raises(dbapi.IntegrityError) as caught:
        cursor.executemany("INSERT INTO numbers VALUES (%s)", [(7,), (0,)])
    assert caught.value.row == 1
    numbers.rollback()
    cursor.executemany("INSERT INTO numbers VALUES (%s)", [])
    assert cursor.rowcount == 0


def test_executemany_with_results(numbers: dbapi.Connection, connect: Connect) -> None:
    cursor = numbers.cursor()
    insert = "INSERT INTO numbers VALUES (%s) RETURNING n * 10"
    cursor.executemany(insert, [(1,), (2,)], returning=True)
    assert cursor.rowcount == 2
    assert cursor.fetchall() == [(10,)]
    assert cursor.nextset()
    assert cursor.fetchall() == [(20,)]
    assert cursor.nextset() is None
    numbers.commit()
    automatic = connect(autocommit=True)
    with pytest.raises(dbapi.IntegrityError):
        automatic.cursor().executemany(insert, [(3,), (1,)], returning=True)
    assert numbers.execute(ALL).fetchall() == [(1,), (2,)]


def test_callproc(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    assert cursor.callproc("lower", ["FOO"]) == ["FOO"]
    assert cursor.fetchall() == [("foo",)]
    cursor.callproc("pg_catalog.make_date", {"year": 2030, "month": 1, "day": 2})
    assert str(cursor.fetchall()[0][0]) == "2030-01-02"
    assert cursor.callproc("version") == ()
    with pytest.raises(errors.UndefinedFunction):
        cursor.callproc('x"; DROP TABLE y; --')


def test_a_timeout(connection: dbapi.Connection) -> None:
    with pytest.raises(errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(9)", timeout=0.1)
    connection.rollback()
    assert connection.execute("SELECT 1", timeout=9).fetchone() == (1,)


def test_a_value_that_does_not_fit_leaves_the_connection_usable(
    connection: dbapi.Connection,
) -> None:
    with pytest.raises((dbapi.DataError, TypeError)):
        connection.execute("SELECT %s::int", [object()])
    connection.rollback()
    assert connection.execute("SELECT 1").fetchone() == (1,)


# Cursors of the server's


def test_a_named_cursor_is_not_ended_by_other_statements(connection: dbapi.Connection) -> None:
    first, second = connection.cursor("a"), connection.cursor("b; --")
    first.execute("SELECT * FROM generate_series(1, %s) n", [5])
    second.execute("SELECT * FROM generate_series(1, 3) n, generate_series(1, 1) m")
    assert first.description is not None
    assert first.description[0].name == "n"
    assert first.fetchone() == (1,)
    assert connection.execute("SELECT 'between'").fetchone() == ("between",)
    assert second.fetchmany(2) == [(1, 1), (2, 1)]
    assert first.fetchmany(2) == [(2,), (3,)]
    assert first.rownumber == 3
    assert first.fetchall() == [(4,), (5,)]
    assert first.fetchone() is None
    assert second.fetchall() == [(3, 1)]
    first.close()
    second.close()
    assert connection.execute("SELECT count(*) FROM pg_cursors WHERE name <> ''").fetchone() == (0,)


def test_a_named_cursor_may_return_other_columns_next_time(connection: dbapi.Connection) -> None:
    for query, row in (("SELECT 1", (1,)), ("SELECT 'a', 2", ("a", 2)), ("SELECT 3", (3,))):
        with connection.cursor("again") as cursor:
            cursor.execute(query)
            assert cursor.fetchall() == [row]
            cursor.execute(query)
            assert cursor.fetchone() == row
        connection.commit()


def test_a_loop_receives_chunks(connection: dbapi.Connection) -> None:
    cursor = connection.cursor("chunks")
    cursor.itersize = 10  # type: ignore[attr-defined]
    cursor.execute("SELECT * FROM generate_series(1, 25) n")
    assert [n for (n,) in cursor] == list(range(1, 26))


def test_scrolling_on_the_server(connection: dbapi.Connection) -> None:
    cursor = connection.cursor("scrolls", scrollable=True)
    cursor.execute("SELECT * FROM generate_series(1, 9) n")
    cursor.scroll(4)
    assert cursor.fetchone() == (5,)
    cursor.scroll(-2)
    assert cursor.fetchone() == (4,)
    cursor.scroll(1, mode="absolute")
    assert cursor.fetchone() == (2,)


def test_a_named_cursor_ends_with_its_transaction(connection: dbapi.Connection) -> None:
    cursor = connection.cursor("ends")
    cursor.execute("SELECT 1")
    connection.commit()
    with pytest.raises(dbapi.ProgrammingError, match="has ended with its transaction"):
        cursor.fetchone()
    connection.execute("SELECT 1")
    with pytest.raises(dbapi.ProgrammingError, match="has ended with its transaction"):
        cursor.fetchone()
    cursor.close()
    assert connection.execute("SELECT 2").fetchone() == (2,)


def test_a_cursor_that_outlives_its_transaction(connection: dbapi.Connection) -> None:
    cursor = connection.cursor("held", withhold=True)
    cursor.execute("SELECT * FROM generate_series(1, 3) n")
    assert cursor.fetchone() == (1,)
    connection.commit()
    assert cursor.fetchall() == [(2,), (3,)]
    cursor.close()
    assert connection.execute("SELECT count(*) FROM pg_cursors WHERE name <> ''").fetchone() == (0,)


def test_closing_a_named_cursor_after_an_error_is_silent(connection: dbapi.Connection) -> None:
    cursor = connection.cursor("failed")
    cursor.execute("SELECT 1")
    with pytest.raises(errors.UndefinedTable):
        connection.execute("SELECT * FROM nowhere")
    cursor.close()
    connection.rollback()


def test_what_a_named_cursor_cannot_do(connection: dbapi.Connection) -> None:
    cursor = connection.cursor("limited")
    with pytest.raises(dbapi.ProgrammingError, match="without a name"):
        cursor.executemany("SELECT %s", [[1]])
    with pytest.raises(dbapi.ProgrammingError, match="without a name"):
        cursor.callproc("version")
    with pytest.raises(dbapi.ProgrammingError, match="no result set"):
        cursor.fetchone()
