"""copy_out and copy_out_raw: rows and data in chunks, and what ends them early."""

from __future__ import annotations

import itertools
import threading
from typing import Any, NamedTuple

import either
import pytest
from support import wait_until

from hypern import database, errors
from hypern.database import DbSession

pytestmark = pytest.mark.usefixtures("kind")

MANY = 200_000
SERIES = f"SELECT n, 'name ' || n AS name FROM generate_series(1, {MANY}) n"


class Named(NamedTuple):
    n: int
    name: str


def pid_of(session: DbSession) -> int:
    pid: int = session.query_value("SELECT pg_backend_pid()")
    return pid


def test_copy_out_has_the_rows_of_a_query_and_of_a_table(session: DbSession) -> None:
    session.execute('CREATE TEMP TABLE "a b" AS SELECT 1 AS n, NULL::text AS name, 1.50 AS p')
    assert list(session.copy_out("a b")) == session.query('TABLE "a b"')
    assert list(session.copy_out(("pg_temp", "a b"))) == session.query('TABLE "a b"')
    for query in ('TABLE "a b"', 'SELECT * FROM "a b" -- all', "/* x */ (VALUES (1), (2));"):
        plain = query.rstrip(";")
        assert list(session.copy_out(query)) == session.query(plain), query
    assert list(session.copy_out("SELECT 1 WHERE false")) == []


def test_copy_out_makes_rows_of_each_class(session: DbSession) -> None:
    rows = session.query(SERIES, into=tuple)
    assert list(session.copy_out(SERIES, into=tuple)) == rows
    assert list(session.copy_out(SERIES, into=Named)) == [Named(*row) for row in rows]
    assert [row["n"] for row in session.copy_out(SERIES)] == [row[0] for row in rows]
    with pytest.raises(errors.RowMismatch):
        list(session.copy_out("SELECT 1 AS other", into=Named))
    with pytest.raises(TypeError, match="copy_out_raw"):
        session.copy_out(SERIES, into=bytes)


def test_copy_out_raw_has_the_data_of_any_format(session: DbSession) -> None:
    copy = f"COPY ({SERIES}) TO STDOUT (FORMAT csv)"
    chunks = list(session.copy_out_raw(copy))
    assert len(chunks) > 10
    assert max(map(len, chunks)) < 1 << 20
    assert b"".join(chunks) == b"".join(b"%d,name %d\n" % (n, n) for n in range(1, MANY + 1))
    binary = b"".join(session.copy_out_raw("COPY (SELECT 1) TO STDOUT (FORMAT binary)"))
    assert binary.startswith(b"PGCOPY\n")
    assert b"".join(session.copy_out_raw("COPY (SELECT 1 WHERE false) TO STDOUT")) == b""
    session.execute("CREATE TEMP TABLE copied (n int, name text)")
    assert session.copy_in_raw("COPY copied FROM STDIN (FORMAT csv)", chunks) == MANY


@pytest.mark.parametrize("sql", ["SELECT 1", "COPY t FROM STDIN", "COPY t TO '/tmp/x'", ""])
def test_copy_out_raw_refuses_other_statements(session: DbSession, sql: str) -> None:
    with pytest.raises(errors.ProgrammingError, match="copy_out_raw"):
        list(session.copy_out_raw(sql))
    assert session.query_value("SELECT 1") == 1


@pytest.mark.parametrize("name", ["rows", "data"])
def test_one_that_is_left_early_costs_neither_connection_nor_transaction(
    session: DbSession, name: str
) -> None:
    def begun() -> Any:
        stream = (
            session.copy_out(SERIES)
            if name == "rows"
            else session.copy_out_raw(f"COPY ({SERIES}) TO STDOUT")
        )
        next(stream)
        return stream

    pid = pid_of(session)
    with begun():
        pass
    assert pid_of(session) == pid
    stream = begun()
    assert session.query_value("SELECT 7") == 7  # which ends it
    with pytest.raises(errors.InterfaceError, match="ended"):
        list(stream)
    first, second = begun(), begun()
    with pytest.raises(errors.InterfaceError, match="ended"):
        list(first)
    second.close()
    session.execute("CREATE TEMP TABLE kept (n int)")
    with session.transaction():
        session.execute("INSERT INTO kept VALUES (1)")
        begun().close()
        session.execute("INSERT INTO kept VALUES (2)")
        begun()
        session.execute("INSERT INTO kept VALUES (3)")
        begun()
    assert session.query_values("SELECT n FROM kept ORDER BY n") == [1, 2, 3]
    session.begin()
    begun()
    session.rollback()
    assert pid_of(session) == pid
    begun()  # the end of the request ends it


def test_a_session_that_ends_with_a_copy_open_gives_its_connection_back(configured: str) -> None:
    for n in range(6):
        stream = either.db(f"r{n}").copy_out(SERIES)
        next(stream)
        either.finalize_db(f"r{n}")
        with pytest.raises(errors.Error):
            list(stream)


def test_errors_of_the_query_are_raised(session: DbSession) -> None:
    with pytest.raises(errors.UndefinedTable):
        list(session.copy_out("missing"))
    with pytest.raises(errors.UndefinedTable):
        list(session.copy_out_raw("COPY missing TO STDOUT"))
    failing = "SELECT 1 / (150000 - n) AS q FROM generate_series(1, 200000) n"
    for stream in (
        session.copy_out(failing),
        session.copy_out_raw(f"COPY ({failing}) TO STDOUT"),
    ):
        with pytest.raises(errors.DivisionByZero):
            list(stream)
        assert session.query_value("SELECT 1") == 1
    with pytest.raises(errors.ProgrammingError):
        list(session.copy_out("SELECT $1::int"))
    with pytest.raises(errors.NotSupportedError, match=r"money.*stream"):
        list(session.copy_out("SELECT 1::money AS m"))
    assert session.query_value("SELECT 1") == 1


def test_timeout_ends_a_copy(session: DbSession) -> None:
    slow = "SELECT n, pg_sleep(5) IS NULL FROM generate_series(1, 10) n"
    for _ in range(10):  # a busy server does not confirm in the grace period
        with pytest.raises(errors.Error, match="timeout") as caught:
            list(session.copy_out(slow, timeout=0.3))
        assert session.query_value("SELECT 1") == 1
        if isinstance(caught.value, errors.QueryCanceled):
            return
    pytest.fail("the server has not confirmed once")


def test_memory_is_bounded_by_chunks(session: DbSession) -> None:
    endless = "SELECT repeat('x', 1000), generate_series(1, 1000000000)"
    for stream in (session.copy_out(endless), session.copy_out_raw(f"COPY ({endless}) TO STDOUT")):
        with stream:
            assert sum(1 for _ in itertools.islice(stream, 100)) == 100


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1"


def test_a_table_altered_between_its_description_and_the_copy_is_reported(
    session: DbSession,
) -> None:
    """One ALTER holds the lock that the description waits for, and a second one waits behind it."""
    blocking = [database.db(f"altering {n}") for n in range(2)]
    watching = database.db("watching")
    base = watching.query_value("SELECT current_database()::text")

    def alter_behind() -> None:
        second = threading.Thread(
            target=lambda: blocking[1].execute("ALTER TABLE altering ALTER n TYPE bigint")
        )
        wait_until(lambda: watching.query_value(WAITING, [base]) == 1, 60)
        second.start()
        wait_until(lambda: watching.query_value(WAITING, [base]) == 2, 60)
        blocking[0].commit()
        second.join()

    for rows in (3, 5000):
        session.execute("DROP TABLE IF EXISTS altering")
        session.execute("CREATE TABLE altering AS SELECT n FROM generate_series(1, $1) n", [rows])
        blocking[0].begin()
        blocking[0].execute("ALTER TABLE altering ALTER n TYPE float4")

        first = threading.Thread(target=alter_behind)
        first.start()
        with pytest.raises(errors.FeatureNotSupported, match=r"columns .* changed"):
            list(session.copy_out("altering"))
        first.join()
        assert len(list(session.copy_out("altering"))) == rows
    session.execute("DROP TABLE altering")
    for other in (*blocking, watching):
        database.finalize_db(other.request_id)


@pytest.mark.parametrize(
    ("type_", "text"), [("aclitem", "postgres=r/postgres"), ("money", "$1.00"), ('"char"', "x")]
)
def test_a_type_without_a_binary_format_is_refused_by_name(
    session: DbSession, type_: str, text: str
) -> None:
    session.execute(f"CREATE TEMP TABLE odd (n int, v {type_})")
    value = "makeaclitem(10, 10, 'SELECT', false)" if type_ == "aclitem" else f"'{text}'"
    session.execute(f"INSERT INTO odd VALUES (1, {value})")
    with pytest.raises(errors.NotSupportedError, match=r'"v" .*stream\(\) or copy_out_raw\(\)'):
        list(session.copy_out("odd"))
    assert len(list(session.copy_out("SELECT n, v::text FROM odd"))) == 1
    data = b"".join(session.copy_out_raw("COPY odd TO STDOUT"))
    with pytest.raises((errors.DataError, errors.UndefinedFunction)) as caught:
        session.copy_in("odd", [(1, text)])
    if type_ == "aclitem":  # the server refuses it ahead of the data
        assert "FORMAT text" in str(caught.value.hint)
    else:
        assert "copy_in_raw()" in str(caught.value)
        assert (caught.value.row, caught.value.column) == (0, "v")
    assert session.copy_in_raw("COPY odd FROM STDIN", data) == 1
    assert session.query_value("SELECT count(DISTINCT odd::text) FROM odd") == 1


def test_an_inner_type_without_a_binary_format_has_a_hint(session: DbSession) -> None:
    session.execute("CREATE TEMP TABLE inner_odd (v aclitem)")
    session.execute("INSERT INTO inner_odd SELECT makeaclitem(10, 10, 'SELECT', false)")
    for failing in (
        lambda: list(session.copy_out("SELECT inner_odd FROM inner_odd")),
        lambda: list(session.copy_out_raw("COPY inner_odd TO STDOUT (FORMAT binary)")),
        lambda: session.copy_in("inner_odd", [(None,)]),
    ):
        with pytest.raises(errors.Error) as caught:
            failing()
        assert "FORMAT text" in str(caught.value.hint) or isinstance(
            caught.value, errors.NotSupportedError
        )
        assert session.query_value("SELECT 1") == 1
