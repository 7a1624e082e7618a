"""begin, commit, rollback, and what begin() can ask for, on a real PostgreSQL."""

from __future__ import annotations

import time

import pytest
from either import db, finalize_db
from support import in_transaction, insert, numbers_seen_by_others

from hypern import errors
from hypern._literals import Isolation
from hypern.database import DbSession
from hypern.session.begin import begin_sql

pytestmark = pytest.mark.usefixtures("kind", "numbers")


def test_commit_makes_it_visible(session: DbSession) -> None:
    session.begin()
    insert(session, 1)
    assert numbers_seen_by_others() == []
    session.commit()
    assert numbers_seen_by_others() == [1]
    assert not in_transaction(session)


def test_rollback_undoes_it(session: DbSession) -> None:
    session.begin()
    insert(session, 1)
    session.rollback()
    assert numbers_seen_by_others() == []


def test_begin_takes_the_connection_and_says_nothing(configured: str) -> None:
    session = db("lazy").begin()
    assert session.state == "in_transaction"
    time.sleep(0.3)
    age = session.query_value("SELECT extract(epoch FROM clock_timestamp() - now())::float8")
    assert age < 0.2  # BEGIN travelled with this statement
    finalize_db("lazy")


def test_an_empty_transaction_commits_and_rolls_back(session: DbSession) -> None:
    assert session.begin().commit().state == "committed"
    assert session.begin().rollback().state == "rolled_back"
    with session.transaction():
        pass
    assert session.state == "committed"


def test_begin_twice_and_commit_without_begin_are_errors(session: DbSession) -> None:
    session.begin()
    insert(session, 1)
    with pytest.raises(errors.InterfaceError, match=r"^begin\(\) inside a transaction") as caught:
        session.begin()
    assert caught.value.sqlstate is None
    session.commit()
    for call in (session.commit, session.rollback):
        with pytest.raises(errors.NoActiveSqlTransaction):
            call()
    assert numbers_seen_by_others() == [1]


def test_commit_of_an_aborted_transaction_raises_with_the_first_error_as_cause(
    session: DbSession,
) -> None:
    session.begin()
    insert(session, 1)
    with pytest.raises(errors.CheckViolation) as first:
        insert(session, -1)
    assert in_transaction(session)
    assert session.state == "in_transaction"
    with pytest.raises(errors.InFailedSqlTransaction):
        session.query("SELECT 1")
    with pytest.raises(errors.TransactionAborted) as caught:
        session.commit()
    assert caught.value.sqlstate == "25P02"
    assert isinstance(caught.value.__cause__, errors.CheckViolation)
    assert caught.value.__cause__.message == first.value.message
    assert not in_transaction(session)
    assert numbers_seen_by_others() == []


def test_raw_begin_is_a_transaction_like_any_other(session: DbSession) -> None:
    session.execute("BEGIN")
    assert in_transaction(session)
    insert(session, 1)
    session.execute("ROLLBACK")
    assert not in_transaction(session)
    session.execute("BEGIN")
    insert(session, 2)
    session.commit()
    assert numbers_seen_by_others() == [2]


def test_a_deferred_constraint_fails_at_commit(session: DbSession) -> None:
    session.execute("CREATE TABLE d (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    session.begin()
    session.execute_many("INSERT INTO d VALUES ($1)", [[1], [1]])
    with pytest.raises(errors.UniqueViolation):
        session.commit()
    assert not in_transaction(session)
    assert session.query_value("SELECT count(*) FROM d") == 0
    session.execute("DROP TABLE d")


@pytest.mark.parametrize(
    ("isolation", "expected"),
    [
        ("serializable", "serializable"),
        ("Repeatable_Read", "repeatable read"),
        ("READ COMMITTED", "read committed"),
        (None, "read committed"),
    ],
)
def test_begin_sets_the_isolation_level(
    session: DbSession, isolation: Isolation | None, expected: str
) -> None:
    session.begin(isolation=isolation)
    assert session.query_value("SELECT current_setting('transaction_isolation')") == expected
    session.commit()
    with session.transaction(isolation):
        assert session.query_value("SELECT current_setting('transaction_isolation')") == expected


def test_begin_read_only_refuses_writes(session: DbSession) -> None:
    session.begin(read_only=True)
    with pytest.raises(errors.ReadOnlySqlTransaction):
        insert(session, 1)
    session.rollback()
    session.begin("serializable", read_only=True, deferrable=True)
    assert session.query_value("SELECT current_setting('transaction_deferrable')") == "on"
    session.commit()


def test_the_text_of_begin() -> None:
    assert begin_sql(None, None, None) == "BEGIN"
    assert begin_sql(" serializable ", True, True) == (  # type: ignore[arg-type]
        "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE"
    )
    assert begin_sql(None, False, False) == "BEGIN READ WRITE NOT DEFERRABLE"


def test_begin_refuses_unknown_options(session: DbSession) -> None:
    with pytest.raises(ValueError, match="serializable"):
        session.begin("chaos; DROP TABLE numbers")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="isolation"):
        session.begin(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="read_only"):
        session.begin(read_only="yes")  # type: ignore[arg-type]
    session.begin()
    with (
        pytest.raises(errors.InterfaceError, match="no options"),
        session.transaction("serializable"),
    ):
        pass
    session.rollback()
