"""COPY beside a replica: what it commits has a position; what only reads is the standby's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import either
import pytest
from reliability.pair import Pair, running_pair

from hypern import errors
from hypern.database import Database, DbSession

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture(scope="module")
def running() -> Iterator[Pair]:
    with running_pair() as pair:
        yield pair


@pytest.fixture
def pair(running: Pair) -> Iterator[Pair]:
    """A pair whose table `copied` is empty, on the standby as well."""
    running.configure(replica_wait_secs=30)
    with either.scope() as scope:
        either.db().execute("DROP TABLE IF EXISTS copied")
        either.db().execute("CREATE TABLE copied (n int)")
    with either.scope(read_only=True, not_before=scope.commit_lsn()):
        assert either.db().query_value("SELECT pg_is_in_recovery()")
    running.configure()
    yield running
    Database.close()


def _left_early(session: DbSession) -> None:
    session.execute("INSERT INTO copied VALUES (5)")
    with session.copy_out("SELECT generate_series(1, 1000000) AS n") as rows:
        next(rows)


INSERT = "INSERT INTO copied VALUES (5) RETURNING n"
WAYS: dict[str, Callable[[DbSession], object]] = {
    "rows": lambda session: session.copy_in("copied", [(5,)]),
    "data": lambda session: session.copy_in_raw("COPY copied FROM STDIN", b"5\n"),
    "rows out": lambda session: list(session.copy_out(INSERT)),
    "data out": lambda session: list(session.copy_out_raw(f"COPY ({INSERT}) TO STDOUT")),
    "left early": _left_early,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_copy_commits_is_read_on_the_standby(pair: Pair, way: str) -> None:
    for count in range(1, 4):
        with either.scope() as scope:
            WAYS[way](either.db())
            lsn = scope.commit_lsn()
            assert lsn is not None
        with either.scope(read_only=True, not_before=lsn):
            session = either.db()
            assert session.query_value("SELECT pg_is_in_recovery()")
            assert session.query_value("SELECT count(*) FROM copied") == count


def test_a_session_that_only_reads_copies_out_on_the_standby(pair: Pair) -> None:
    with either.scope(read_only=True):
        session = either.db()
        where = "SELECT pg_is_in_recovery() AS here FROM generate_series(1, 3000)"
        assert {row["here"] for row in session.copy_out(where)} == {True}
        assert set(session.copy_out_raw(f"COPY ({where} LIMIT 1) TO STDOUT")) == {b"t\n"}
        with session.copy_out(where) as rows:
            next(rows)
        assert session.query_value("SELECT pg_is_in_recovery()")
    assert Database.status().in_use == 0


def test_a_session_that_only_reads_copies_nothing_in(pair: Pair) -> None:
    for replica in (pair.standby.url(), None):
        pair.configure(replica=replica)
        for copy in (WAYS["rows"], WAYS["data"], WAYS["rows out"], WAYS["data out"]):
            with either.scope(read_only=True):
                session: Any = either.db()
                with pytest.raises(errors.ReadOnlySqlTransaction) as caught:
                    copy(session)
                assert caught.value.sqlstate == "25006"
                session.rollback()
                assert session.query_value("SELECT count(*) FROM copied") == 0


def test_a_copy_that_is_refused_costs_no_connection(pair: Pair) -> None:
    with either.scope():
        session = either.db()
        pid = session.query_value("SELECT pg_backend_pid()")
        for sql in ("COPY copied FROM STDIN", "COPY copied TO STDOUT"):
            for n in range(3):
                with pytest.raises(errors.NotSupportedError):
                    session.execute(sql)
                assert session.query_value(f"SELECT {n}") == n
        assert session.query_value("SELECT pg_backend_pid()") == pid
