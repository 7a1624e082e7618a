"""COPY through methods that are for other statements: it is refused, and costs no connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hypern import errors
from hypern.database import DbSession

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture(autouse=True)
def items(session: DbSession) -> None:
    session.execute("CREATE TEMP TABLE items (id int PRIMARY KEY)")


def _batched(session: DbSession, sql: str) -> None:
    with session.batch() as batch:
        batch.execute("SELECT 1")
        batch.execute(sql)
        batch.execute("SELECT 2")


def _alone_in_a_batch(session: DbSession, sql: str) -> None:
    with session.batch() as batch:
        batch.execute(sql)


WAYS: dict[str, Callable[[DbSession, str], Any]] = {
    "execute": lambda session, sql: session.execute(sql),
    "query": lambda session, sql: session.query(sql),
    "stream": lambda session, sql: list(session.stream(sql)),
    "execute_many": lambda session, sql: session.execute_many(sql, [()] * 3),
    "batch": _batched,
    "alone in a batch": _alone_in_a_batch,
    "script": lambda session, sql: session.execute_script(sql),
    "script with more": lambda session, sql: session.execute_script(f"SELECT 1; {sql}; SELECT 2"),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Callable[[DbSession, str], Any]:
    return WAYS[request.param]


def _is_refused(
    session: DbSession, way: Callable[[DbSession, str], Any], sql: str, in_transaction: bool
) -> None:
    pid = session.query_value("SELECT pg_backend_pid()")
    for n in range(5):
        if in_transaction:
            session.begin()
        with pytest.raises(errors.Error):
            way(session, sql)
        if in_transaction:
            session.rollback()
        for value in range(3):  # an answer too many would be the next statement's
            assert session.query_value(f"SELECT {10 * n + value}") == 10 * n + value
        assert session.query_value("SELECT count(*) FROM items") == 0
    assert pid == session.query_value("SELECT pg_backend_pid()")


@pytest.mark.parametrize("in_transaction", [False, True], ids=["alone", "in a transaction"])
@pytest.mark.parametrize("sql", ["COPY items FROM STDIN", "COPY items TO STDOUT"])
def test_a_copy_is_refused(
    session: DbSession, way: Callable[[DbSession, str], Any], sql: str, in_transaction: bool
) -> None:
    _is_refused(session, way, sql, in_transaction)


@pytest.mark.parametrize("in_transaction", [False, True], ids=["alone", "in a transaction"])
def test_a_copy_that_fails_before_its_data_is_refused(
    session: DbSession, way: Callable[[DbSession, str], Any], in_transaction: bool
) -> None:
    """The server has answered the Sync that it would have passed over while it read data."""
    session.execute(
        "CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'refused'; END $$"
    )
    session.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON items EXECUTE FUNCTION pg_temp.refuse()"
    )
    _is_refused(session, way, "COPY items FROM STDIN", in_transaction)


def test_the_error_names_the_methods(session: DbSession) -> None:
    for sql in ("COPY (SELECT 1) TO STDOUT", "COPY pg_am FROM STDIN"):
        for method in (session.query, session.execute):
            with pytest.raises(
                errors.NotSupportedError, match=r"copy_in_raw\(\).*copy_out_raw\(\)"
            ):
                method(sql)
