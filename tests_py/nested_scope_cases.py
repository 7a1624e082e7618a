"""Tests that test_pytest_plugin.py runs with the plugin, in a pytest of its own: the options of a
scope hold under `db_session`, too. The table `notes` is that module's.
"""

from __future__ import annotations

import pytest

from hypern.database import DbSession, db, scope, scoped
from hypern.errors import UndefinedTable

SHOW = "SELECT nullif(current_setting('app.user_id', true), '')"


def add(session: DbSession, n: int) -> None:
    session.execute("INSERT INTO notes VALUES ($1)", [n])


def count() -> int:
    number: int = db("look").query_value("SELECT count(*) FROM notes")
    return number


def test_an_atomic_scope_that_raises_leaves_nothing(db_session: DbSession) -> None:
    @scoped(atomic=True)
    def job() -> None:
        add(db(), 1)
        add(db(), 2)
        raise LookupError("a bug")

    for _ in range(2):
        with pytest.raises(LookupError):
            job()
        assert count() == 0


def test_an_atomic_scope_commits_at_its_end(db_session: DbSession) -> None:
    with scope(atomic=True):
        db().execute_many("INSERT INTO notes VALUES ($1)", [[1], [2]])
        assert db().is_in_transaction
        db().commit()
        assert not db().is_in_transaction
        db().commit()
        add(db(), 3)
        db().rollback()
        add(db(), 4)
    assert count() == 3


def test_a_block_in_an_atomic_scope_is_a_savepoint(db_session: DbSession) -> None:
    for is_first in (True, False):
        with scope(atomic=True):
            if not is_first:
                add(db(), 1)
            with pytest.raises(LookupError), db().transaction():  # noqa: PT012
                add(db(), 2)
                raise LookupError("a bug")
            with db().transaction():
                add(db(), 3)
            assert db().is_in_transaction
            db().rollback()
        assert count() == 0


def test_settings_hold_in_their_scope_alone(db_session: DbSession) -> None:
    with scope(settings={"app.user_id": "42", "search_path": "pg_catalog"}):
        assert db().query_value(SHOW) == "42"
        with scope(settings={"app.user_id": "43"}):
            assert db().query_value(SHOW) == "43"
            assert db().query_value("SHOW search_path") != "pg_catalog"
        assert [row["v"] for row in db().stream(f"{SHOW} AS v")] == ["42"]
        assert db().query_value("SHOW search_path") == "pg_catalog"
        db().commit()
        db().execute_script("SELECT 1")
        assert db().query_value(SHOW) == "42"
        with pytest.raises(UndefinedTable), db().transaction():
            db().query("SELECT * FROM nowhere")
        assert db().query_value(SHOW) == "42"
        db().set_local(**{"app.user_id": "44"})
        assert db().query_value(SHOW) == "44"
    with scope():
        assert db().query_value(SHOW) is None
        assert db().query_value("SHOW search_path") != "pg_catalog"


def test_a_role_holds_in_its_scope_alone(db_session: DbSession) -> None:
    db_session.execute("CREATE ROLE hypern_nested_role")
    with scope(role="hypern_nested_role"):
        for _ in range(2):
            assert db().query_value("SELECT current_user") == "hypern_nested_role"
    assert db_session.query_value("SELECT current_user") != "hypern_nested_role"


def test_an_error_in_an_atomic_scope(db_session: DbSession) -> None:
    with scope(atomic=True):
        add(db(), 1)
        with pytest.raises(UndefinedTable):
            db().query("SELECT * FROM nowhere")
        db().rollback()
        add(db(), 2)
    assert count() == 1
