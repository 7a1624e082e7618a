"""Atomic scopes: the first statement begins a transaction, which ends with the scope."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import either
import pytest
from either import db, scope
from support import in_transaction, numbers_seen_by_others

from hypern.database import Database, DbSession
from hypern.errors import (
    ActiveSqlTransaction,
    InterfaceError,
    ReadOnlySqlTransaction,
    SerializationFailure,
    TransactionAborted,
    UniqueViolation,
)

pytestmark = pytest.mark.usefixtures("kind", "configured")


@pytest.fixture(autouse=True)
def _table(configured: str, kind: str) -> None:
    with scope():
        db().execute("DROP TABLE IF EXISTS numbers")
        db().execute("CREATE TABLE numbers (n int PRIMARY KEY)")


@contextlib.contextmanager
def abandoned(**options: Any) -> Iterator[None]:
    """A scope whose block raises at its end."""

    class BugError(Exception):
        pass

    with contextlib.suppress(BugError), scope(**options):
        yield
        raise BugError


def put(n: int, session: DbSession | None = None) -> None:
    (session or db()).execute("INSERT INTO numbers VALUES ($1)", [n])


def test_a_scope_that_raises_after_two_inserts_leaves_none() -> None:
    with abandoned(atomic=True):
        put(1)
        put(2)
    assert numbers_seen_by_others() == []


def test_a_scope_that_ends_commits_all() -> None:
    with scope(atomic=True):
        put(1)
        assert numbers_seen_by_others() == []
        put(2)
        assert in_transaction(db())
        assert db().state == "in_transaction"
    assert numbers_seen_by_others() == [1, 2]


def test_nothing_is_begun_before_the_first_statement() -> None:
    with scope(atomic=True):
        assert not in_transaction(db())
        assert db().state == "idle"
    with scope(atomic=True):
        db().commit()
        db().rollback()


def test_without_it_each_statement_commits_by_itself() -> None:
    with abandoned():
        put(1)
    assert numbers_seen_by_others() == [1]


def test_an_alias_may_have_it_as_its_default(configured: str) -> None:
    Database.configure(configured, alias="careful", max_size=2, atomic=True)
    with abandoned():
        put(1, db(alias="careful"))
    assert numbers_seen_by_others() == []
    with scope(atomic=False):
        put(2, db(alias="careful"))
        assert numbers_seen_by_others() == [2]
    put(3, db("by hand", alias="careful"))
    assert numbers_seen_by_others() == [2]
    either.finalize_db("by hand")
    assert numbers_seen_by_others() == [2, 3]
    either.close("careful")


def test_every_kind_of_statement_is_in_it() -> None:
    with abandoned(atomic=True):
        session = db()
        session.execute_many("INSERT INTO numbers VALUES ($1)", [[1], [2]])
        session.execute_script("INSERT INTO numbers VALUES (3); INSERT INTO numbers VALUES (4)")
        rows = session.stream("INSERT INTO numbers SELECT generate_series(5, 9) RETURNING n")
        assert [row["n"] for row in rows] == [5, 6, 7, 8, 9]
        assert session.query_value("SELECT count(*) FROM numbers") == 9
    assert numbers_seen_by_others() == []


@pytest.mark.parametrize(
    "first",
    [
        lambda s: s.execute("INSERT INTO numbers VALUES (1)"),
        lambda s: s.execute_many("INSERT INTO numbers VALUES ($1)", [[1]]),
        lambda s: s.execute_script("INSERT INTO numbers VALUES (1)"),
        lambda s: list(s.stream("INSERT INTO numbers VALUES (1) RETURNING n")),
        lambda s: s.query("INSERT INTO numbers VALUES (1) RETURNING n"),
    ],
)
def test_any_of_them_begins_it(first: Any) -> None:
    for _ in range(2):  # the second time the connection knows the statement
        with abandoned(atomic=True):
            first(db())
            assert in_transaction(db())
        assert numbers_seen_by_others() == []


def test_commit_outside_a_block_commits_and_the_next_statement_begins_anew() -> None:
    with abandoned(atomic=True):
        put(1)
        db().commit()
        assert not in_transaction(db())
        assert numbers_seen_by_others() == [1]
        put(2)
        assert numbers_seen_by_others() == [1]
    assert numbers_seen_by_others() == [1]


def test_rollback_outside_a_block_rolls_back_and_the_next_statement_begins_anew() -> None:
    with scope(atomic=True):
        put(1)
        db().rollback()
        put(2)
    assert numbers_seen_by_others() == [2]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_block_is_a_savepoint(is_first: bool) -> None:
    with abandoned(atomic=True):
        if not is_first:
            put(1)
        with db().transaction():
            put(2)
        assert in_transaction(db())
        assert numbers_seen_by_others() == []
    assert numbers_seen_by_others() == []


@pytest.mark.parametrize("is_first", [True, False])
def test_a_block_that_raises_undoes_itself_alone(is_first: bool) -> None:
    with scope(atomic=True):
        if not is_first:
            put(1)
        with pytest.raises(UniqueViolation), db().transaction():
            db().execute("INSERT INTO numbers VALUES (2), (2)")
        put(3)
    assert numbers_seen_by_others() == ([3] if is_first else [1, 3])


def test_a_block_in_which_nothing_is_done_leaves_the_scope_alone() -> None:
    with scope(atomic=True):
        with db().transaction():
            pass
        put(1)
        with pytest.raises(LookupError), db().transaction():
            raise LookupError("a bug")
        put(2)
    assert numbers_seen_by_others() == [1, 2]


def test_commit_inside_a_block_is_refused() -> None:
    with scope(atomic=True):
        session = db()
        with session.transaction(), pytest.raises(InterfaceError, match=r"commit\(\) inside"):
            session.commit()


def test_a_block_with_options_is_refused() -> None:
    with scope(atomic=True):
        with pytest.raises(InterfaceError, match="atomic scope is a savepoint"):
            db().transaction(isolation="serializable").__enter__()
        put(1)
        with pytest.raises(InterfaceError, match="a savepoint and takes no options"):
            db().transaction(isolation="serializable").__enter__()


def test_begin_opens_it_with_options_of_its_own() -> None:
    with scope(atomic=True):
        db().begin(isolation="serializable")
        assert db().query_value("SHOW transaction_isolation") == "serializable"
        with pytest.raises(InterfaceError, match=r"begin\(\) inside a transaction"):
            db().begin()
        db().commit()
        assert db().query_value("SHOW transaction_isolation") == "read committed"


def test_its_own_options_hold_for_each_of_its_transactions() -> None:
    with scope(atomic={"isolation": "repeatable read", "read_only": True}):
        for _ in range(2):
            assert db().query_value("SHOW transaction_isolation") == "repeatable read"
            with pytest.raises(ReadOnlySqlTransaction):
                put(1)
            db().rollback()


def test_an_error_aborts_it_and_is_not_swallowed() -> None:
    with (
        pytest.raises(TransactionAborted),
        scope(atomic=True),
        contextlib.suppress(UniqueViolation),
    ):
        db().execute("INSERT INTO numbers VALUES (1), (1)")
    assert numbers_seen_by_others() == []


def test_after_an_error_and_a_rollback_the_next_statement_begins_anew() -> None:
    with scope(atomic=True):
        put(1)
        with pytest.raises(UniqueViolation):
            put(1)
        db().rollback()
        put(2)
    assert numbers_seen_by_others() == [2]


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN"])
def test_sql_may_end_it_and_the_next_statement_begins_anew(end: str) -> None:
    with abandoned(atomic=True):
        put(1)
        db().execute(end)
        assert in_transaction(db()) == end.endswith("CHAIN")
        assert numbers_seen_by_others() == ([1] if end.startswith("COMMIT") else [])
        put(2)
        assert in_transaction(db())
    assert numbers_seen_by_others() == ([1] if end.startswith("COMMIT") else [])


def test_sql_may_begin_it_with_options() -> None:
    with scope(atomic=True):
        db().execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
        assert db().query_value("SHOW transaction_isolation") == "serializable"
        put(1)
    assert numbers_seen_by_others() == [1]


def test_what_cannot_run_in_a_transaction_says_how_to() -> None:
    with scope(atomic=True):
        with pytest.raises(ActiveSqlTransaction, match=r"run it in a scope\(atomic=False\)"):
            db().execute("VACUUM numbers")
        db().rollback()
    with scope(atomic=False):
        db().execute("VACUUM numbers")


def test_run_has_transactions_of_its_own_while_none_is_open() -> None:
    tries = []

    def work(session: DbSession) -> int:
        tries.append(1)
        put(len(tries), session)
        if len(tries) == 1:
            raise SerializationFailure("made up")
        return 7

    with abandoned(atomic=True):
        assert db().run(work) == 7
        assert numbers_seen_by_others() == [2]
        put(5)
        with pytest.raises(InterfaceError, match="inside an open transaction"):
            db().run(work)
    assert numbers_seen_by_others() == [2]


def test_on_commit_is_called_with_the_commit_of_the_scope() -> None:
    called: list[str] = []
    with scope(atomic=True):
        put(1)
        db().on_commit(lambda: called.append("first"))
        db().commit()
        assert called == ["first"]
        put(2)
        db().on_commit(lambda: called.append("second"))
        assert called == ["first"]
    assert called == ["first", "second"]
    with abandoned(atomic=True):
        put(3)
        db().on_commit(lambda: called.append("never"))
    assert called == ["first", "second"]


def test_set_error_and_auto_commit_roll_it_back() -> None:
    with scope(atomic=True):
        put(1)
        db().set_error()
    with scope(atomic=True):
        put(2)
        db().set_auto_commit(False)
    assert numbers_seen_by_others() == []


def test_the_savepoints_of_sql_are_in_it() -> None:
    with scope(atomic=True):
        db().execute("SAVEPOINT a")
        put(1)
        db().execute("ROLLBACK TO a")
        put(2)
    assert numbers_seen_by_others() == [2]


def test_each_alias_has_a_transaction_of_its_own(configured: str) -> None:
    Database.configure(configured, alias="other", max_size=2)
    with abandoned(atomic=True):
        put(1)
        put(2, db(alias="other"))
        db(alias="other").commit()
    assert numbers_seen_by_others() == [2]
    either.close("other")


def test_a_statement_that_is_stale_is_run_anew_in_it() -> None:
    with scope(atomic=True):
        assert db().query("SELECT * FROM numbers") == []
    with scope():
        db().execute("ALTER TABLE numbers ADD COLUMN m int DEFAULT 7")
    for _ in range(2):
        with scope(atomic=True):
            put(1)
            db().rollback()
            assert db().query("SELECT * FROM numbers") == []
    with scope(atomic=True):
        db().execute("INSERT INTO numbers VALUES (1)")
        assert db().query("SELECT * FROM numbers") == [{"n": 1, "m": 7}]
