"""COMMIT in whatever words: whether it has committed is judged by the server's answer."""

from __future__ import annotations

import pytest
from support import in_transaction, insert, numbers_seen_by_others

from hypern import errors
from hypern.database import DbSession

pytestmark = pytest.mark.usefixtures("kind", "numbers")

COMMITS = [
    "COMMIT",
    "commit work;",
    "END",
    "end transaction",
    "/* route */ COMMIT",
    "/* a /* nested */ rollback */ commit",
    "-- rollback\nCOMMIT",
    "--\rCOMMIT",
    ";commit",
    " ; ; /**/ commit",
    "commit/**/work",
    "COMMIT AND NO CHAIN",
    "\f\tCOMMIT -- rollback",
    "PREPARE TRANSACTION 'rollback'",
    "/* x */ prepare transaction 'x'",
]
ROLLBACKS = [
    "ROLLBACK",
    "rollback;",
    "/* commit */ ROLLBACK",
    "/* a /* nested */ commit */ abort",
    "-- commit\nrollback work",
    ";;rollback",
    "rollback/**/transaction",
    "ROLLBACK AND NO CHAIN",
]


def abort(session: DbSession) -> None:
    session.begin()
    insert(session, 1)
    with pytest.raises(errors.CheckViolation):
        insert(session, -1)


@pytest.mark.parametrize("sql", COMMITS)
@pytest.mark.parametrize("method", ["execute", "query", "stream"])
def test_a_commit_of_an_aborted_transaction_raises_in_any_spelling(
    session: DbSession, method: str, sql: str
) -> None:
    abort(session)
    with pytest.raises(errors.TransactionAborted) as caught:
        list(getattr(session, method)(sql))  # a stream runs when it is read
    assert isinstance(caught.value.__cause__, errors.CheckViolation)
    assert caught.value.sqlstate == "25P02"
    assert not in_transaction(session)
    assert session.state == "rolled_back"
    assert numbers_seen_by_others() == []
    insert(session, 2)
    assert numbers_seen_by_others() == [2]


@pytest.mark.parametrize("sql", ROLLBACKS)
def test_a_rollback_of_an_aborted_transaction_is_fine_in_any_spelling(
    session: DbSession, sql: str
) -> None:
    abort(session)
    session.execute(sql)
    assert session.state == "rolled_back"
    assert numbers_seen_by_others() == []


@pytest.mark.parametrize(
    "sql", ["COMMIT AND CHAIN", "/* x */ end/**/and chain", ";COMMIT WORK AND CHAIN"]
)
def test_a_chained_commit_of_an_aborted_transaction_raises_and_the_next_one_is_open(
    session: DbSession, sql: str
) -> None:
    abort(session)
    with pytest.raises(errors.TransactionAborted) as caught:
        session.execute(sql)
    assert isinstance(caught.value.__cause__, errors.CheckViolation)
    assert in_transaction(session)
    insert(session, 2)
    session.commit()
    assert numbers_seen_by_others() == [2]


@pytest.mark.parametrize("sql", ["ROLLBACK AND CHAIN", ";abort and chain"])
def test_a_chained_rollback_of_an_aborted_transaction_is_fine(session: DbSession, sql: str) -> None:
    abort(session)
    session.execute(sql)
    insert(session, 2)
    session.commit()
    assert numbers_seen_by_others() == [2]


def test_going_back_to_a_savepoint_of_an_aborted_transaction_is_fine(session: DbSession) -> None:
    session.begin()
    insert(session, 1)
    session.execute("SAVEPOINT a")
    with pytest.raises(errors.CheckViolation):
        insert(session, -1)
    session.execute("/* x */ rollback to a")
    session.execute("-- x\ncommit")
    assert session.state == "committed"
    assert numbers_seen_by_others() == [1]


@pytest.mark.parametrize("sql", [sql for sql in COMMITS if "repare" not in sql.lower()])
def test_a_commit_that_succeeds_is_no_error_in_any_spelling(session: DbSession, sql: str) -> None:
    session.begin()
    insert(session, 1)
    session.execute(sql)
    assert session.state == "committed"
    assert numbers_seen_by_others() == [1]


def test_prepare_transaction_without_a_transaction_is_an_error(session: DbSession) -> None:
    session.query("SELECT 1")
    with pytest.raises(errors.NoActiveSqlTransaction, match="PREPARE TRANSACTION"):
        session.execute("PREPARE TRANSACTION 'x'")
    session.execute("ROLLBACK")  # PostgreSQL warns, and so it is no error


def test_the_middle_of_a_statement_is_not_looked_at(session: DbSession) -> None:
    session.execute("INSERT INTO numbers SELECT 7 WHERE 'ROLLBACK' = 'ROLLBACK' -- commit")
    assert numbers_seen_by_others() == [7]
