"""stream(): rows in chunks, in bounded memory; the session is free when the stream ends."""

from __future__ import annotations

import gc
import os
import threading
import tracemalloc
from itertools import islice

import pytest
from either import db, finalize_db

from hypern import errors
from hypern.database import Database, DbSession

pytestmark = pytest.mark.usefixtures("kind")

SERIES = "SELECT n FROM generate_series(1, $1::int) n"


def idle_in_transaction(session: DbSession) -> bool:
    """Whether the session's connection keeps a transaction open, as another connection sees it."""
    other = db("an observer")
    state = other.query_value(
        "SELECT bool_or(state LIKE 'idle in%') FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    finalize_db("an observer")
    return bool(state)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 1000])
@pytest.mark.parametrize("chunk_rows", [1, 3, 5000])
def test_a_stream_gives_every_row_as_a_dict(
    session: DbSession, count: int, chunk_rows: int
) -> None:
    rows = list(session.stream(SERIES, [count], chunk_rows=chunk_rows))
    assert rows == [{"n": n} for n in range(1, count + 1)]
    assert session.state == "connected"
    assert not idle_in_transaction(session)


def test_a_stream_is_an_iterator_and_runs_when_its_first_row_is_asked_for(
    session: DbSession,
) -> None:
    stream = session.stream("SELECT nonsense")
    assert session.state == "idle"
    with pytest.raises(errors.UndefinedColumn):
        next(stream)
    stream = session.stream(SERIES, [3], chunk_rows=2)
    assert next(stream) == {"n": 1}
    assert list(stream) == [{"n": 2}, {"n": 3}]
    with pytest.raises(StopIteration):
        next(stream)


def test_breaking_out_of_the_loop_leaves_the_end_to_the_next_statement(session: DbSession) -> None:
    for row in session.stream(SERIES, [100], chunk_rows=10):
        if row["n"] == 15:
            break
    assert idle_in_transaction(session)
    assert session.query_value("SELECT 1") == 1
    assert not idle_in_transaction(session)


def test_breaking_out_never_aborts_the_callers_transaction(session: DbSession) -> None:
    with session.transaction():
        session.execute("CREATE TEMP TABLE kept AS SELECT generate_series(1, 10) n")
        for _ in session.stream("SELECT n FROM kept", chunk_rows=2):
            break
        assert session.query_value("SELECT count(*) FROM kept") == 10
        session.execute("ALTER TABLE kept ADD m int")  # no open portal keeps it in use
    assert session.state == "committed"


def test_close_and_the_with_block_end_the_stream(session: DbSession) -> None:
    with session.stream(SERIES, [100], chunk_rows=2) as rows:
        assert list(islice(rows, 3)) == [{"n": 1}, {"n": 2}, {"n": 3}]
        assert idle_in_transaction(session)
    assert not idle_in_transaction(session)
    rows.close()
    assert list(rows) == []


def test_an_exception_in_the_loop_is_the_one_seen(session: DbSession) -> None:
    with pytest.raises(ZeroDivisionError), session.stream(SERIES, [100], chunk_rows=2) as rows:
        raise ZeroDivisionError(next(rows))
    assert session.query_value("SELECT 1") == 1


@pytest.mark.parametrize("inside", [False, True])
def test_another_statement_ends_the_stream(session: DbSession, inside: bool) -> None:
    if inside:
        session.begin()
    stream = session.stream(SERIES, [100], chunk_rows=2)
    assert next(stream) == {"n": 1}
    assert session.query_value("SELECT 'other'") == "other"
    assert next(stream) == {"n": 2}  # received before
    with pytest.raises(errors.InterfaceError, match="the stream has ended, with rows left"):
        next(stream)
    assert session.query_value("SELECT 1") == 1


def test_a_new_stream_ends_the_old_one(session: DbSession) -> None:
    old = session.stream(SERIES, [9], chunk_rows=1)
    next(old)
    new = session.stream("SELECT n::text AS t FROM generate_series(1, 3) n", chunk_rows=1)
    assert next(new) == {"t": "1"}
    with pytest.raises(errors.InterfaceError, match="the stream has ended"):
        list(old)
    assert list(new) == [{"t": "2"}, {"t": "3"}]


def test_finalize_ends_the_stream_and_keeps_what_it_did(configured: str) -> None:
    session = db("r")
    session.execute("DROP TABLE IF EXISTS streamed")
    session.execute("CREATE TABLE streamed (n int)")
    stream = session.stream(
        "INSERT INTO streamed SELECT generate_series(1, 5) RETURNING n", chunk_rows=2
    )
    next(stream)
    finalize_db("r")
    with pytest.raises(errors.SessionClosed):
        list(stream)
    stream.close()
    assert db("s").query_value("SELECT count(*) FROM streamed") == 5
    finalize_db("s")
    assert Database.status().available == Database.status().size


def test_an_error_amid_the_rows(session: DbSession) -> None:
    sql = "SELECT 1 / (5 - n) q FROM generate_series(1, 9) n"
    stream = session.stream(sql, chunk_rows=2)
    assert [row["q"] for row in islice(stream, 4)] == [0, 0, 0, 1]
    with pytest.raises(errors.DivisionByZero) as caught:
        next(stream)
    assert caught.value.sql == sql
    assert not idle_in_transaction(session)
    assert session.query_value("SELECT 1") == 1


def test_a_row_that_cannot_be_decoded_ends_the_stream(session: DbSession) -> None:
    sql = "SELECT '0001-01-01'::date + n * 999999 AS day FROM generate_series(0, 9) n"
    for chunk_rows in (1, 3, 100):
        with pytest.raises(errors.DataError, match="day"):
            list(session.stream(sql, chunk_rows=chunk_rows))
        assert not idle_in_transaction(session)
    with session.transaction():
        with pytest.raises(errors.DataError):
            list(session.stream(sql, chunk_rows=3))
        assert session.query_value("SELECT 1") == 1


def test_timeout_is_for_each_chunk(session: DbSession) -> None:
    sql = "SELECT pg_sleep(CASE WHEN n = 3 THEN 30 ELSE 0 END), n FROM generate_series(1, 5) n"
    stream = session.stream(sql, chunk_rows=1, timeout=1)
    assert [next(stream)["n"], next(stream)["n"]] == [1, 2]
    with pytest.raises(errors.QueryCanceled):
        next(stream)
    assert not idle_in_transaction(session)
    assert session.query_value("SELECT 1") == 1


def test_parameters_are_checked(session: DbSession) -> None:
    for wrong in (0, -1, 2**31):
        with pytest.raises(ValueError, match="chunk_rows"):
            session.stream(SERIES, [1], chunk_rows=wrong)
    for kind in ("10", True, 1.0):
        with pytest.raises(TypeError, match="chunk_rows"):
            session.stream(SERIES, [1], chunk_rows=kind)  # type: ignore[arg-type]
    for params in ("12", 1):
        with pytest.raises(TypeError):
            next(session.stream(SERIES, params))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="sql"):
        next(session.stream(1))  # type: ignore[call-overload]
    with pytest.raises(errors.ProgrammingError):
        next(session.stream(SERIES, [1, 2]))


def test_a_stream_that_is_collected_ends_with_its_session(configured: str) -> None:
    session = db("r")
    holder: list[object] = [session.stream(SERIES, [100], chunk_rows=2)]
    next(holder[0])  # type: ignore[call-overload]
    holder.append(holder)
    del holder
    gc.collect()
    assert idle_in_transaction(session)
    finalize_db("r")
    assert not idle_in_transaction(session)


@pytest.mark.parametrize("kind", ["blocking"], indirect=True)  # awaited: test_async_latency.py
def test_memory_does_not_grow_with_the_result(session: DbSession) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in session.stream("SELECT n, n::text t FROM generate_series(1, $1::int) n", [count]):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(100)
    assert peak(100_000) < 2 * peak(2_000)


def test_every_chunk_is_told_to_the_hook(session: DbSession) -> None:
    seen: list[tuple[str, int, str | None]] = []
    Database.on_statement(lambda sql, seconds, rows, sqlstate: seen.append((sql, rows, sqlstate)))
    try:
        assert len(list(session.stream(SERIES, [5], chunk_rows=2))) == 5
    finally:
        Database.on_statement(None)
    assert seen == [(SERIES, 2, None), (SERIES, 2, None), (SERIES, 1, None)]


def test_a_stream_of_another_thread(session: DbSession) -> None:
    stream = session.stream(SERIES, [50], chunk_rows=3)
    first = next(stream)
    rest: list[dict[str, int]] = []
    thread = threading.Thread(target=lambda: rest.extend(stream))
    thread.start()
    thread.join()
    assert [first, *rest] == [{"n": n} for n in range(1, 51)]


def test_a_stream_of_the_parent_is_silent_in_a_forked_child(session: DbSession) -> None:
    stream = session.stream(SERIES, [50], chunk_rows=3)
    next(stream)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            stream.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert len(list(stream)) == 49


def test_a_stream_takes_types_that_are_the_databases_own(session: DbSession) -> None:
    session.execute("CREATE TYPE pair AS (a int, b text)")
    try:
        rows = list(
            session.stream("SELECT (n, 'x')::pair p FROM generate_series(1, 3) n", chunk_rows=2)
        )
        assert [row["p"] for row in rows] == [{"a": n, "b": "x"} for n in range(1, 4)]
    finally:
        session.execute("DROP TYPE pair")
