"""Tests that test_plugin_sql.py runs with the plugin, in a pytest of its own: templates,
parameters by name and scripts in a test with `db_session`. The table `notes` is that module's.
"""

from __future__ import annotations

import pytest
from either import db, finalize_db
from nested_notes import found

from hypern import errors
from hypern.sql import identifier, sql

pytest_plugins = ("nested_notes",)


def test_names_and_templates() -> None:
    session, table = db("a"), identifier("notes")
    assert session.execute("INSERT INTO notes VALUES (:n)", {"n": 1}) == 1
    assert session.execute(sql("INSERT INTO {} VALUES ({})", table, 2)) == 1
    assert session.execute_many("INSERT INTO notes VALUES (:n)", [{"n": 3}, {"n": 4}]) == 2
    assert session.execute_many(sql("INSERT INTO {} VALUES ($1)", table), iter([[5]])) == 1
    assert session.query("SELECT n FROM notes WHERE n > :n", {"n": 4}) == [{"n": 5}]
    assert session.query_one(sql("SELECT n FROM {} WHERE n = {}", table, 1), strict=True) == {
        "n": 1
    }
    assert list(session.stream("SELECT n FROM notes WHERE n < :n", {"n": 2})) == [{"n": 1}]
    assert found() == [1, 2, 3, 4, 5]
    with pytest.raises(errors.TooManyRows):
        session.query_one("SELECT n FROM notes", strict=True)
    with pytest.raises(errors.ProgrammingError, match="no value for :b"):
        session.query("SELECT :b", {})
    assert found() == [1, 2, 3, 4, 5]


def test_a_transaction_command_may_be_a_template() -> None:
    session = db("a")
    session.execute(sql("BEGIN"))
    session.execute("INSERT INTO notes VALUES (:n)", {"n": 1})
    assert session.is_in_transaction
    session.execute(sql("ROLLBACK"))
    assert found() == []


def test_scripts() -> None:
    session = db("a")
    session.execute_script("INSERT INTO notes VALUES (1); SET search_path = ''; SELECT 1")
    assert session.query_value("SHOW search_path") == '"$user", public'
    with pytest.raises(errors.DivisionByZero) as raised:
        session.execute_script("INSERT INTO notes VALUES (2);\nSELECT 1/0")
    assert (raised.value.statement, raised.value.line) == (2, 2)
    assert found() == [1]
    session.begin()
    session.execute_script("INSERT INTO notes VALUES (3); INSERT INTO notes VALUES (4)")
    assert found() == [1, 3, 4]
    session.rollback()
    assert found() == [1]
    session.begin()
    with pytest.raises(errors.DivisionByZero):
        session.execute_script("SELECT 1/0; SELECT 1")
    with pytest.raises(errors.InFailedSqlTransaction):
        session.execute_script("SELECT 1")
    session.rollback()
    session.execute_script("INSERT INTO notes VALUES (5); SELECT 1", atomic=False)
    assert found() == [1, 5]
    finalize_db("a")
    assert found() == [1, 5]


def test_a_script_cannot_end_the_tests_transaction() -> None:
    session = db("a")
    for atomic in (True, False):
        with pytest.raises((errors.NotSupportedError, errors.InterfaceError), match="COMMIT"):
            session.execute_script("INSERT INTO notes VALUES (1); COMMIT", atomic=atomic)
    assert found() == []


def test_a_script_outside_a_transaction_checks_deferred_constraints() -> None:
    session = db("a")
    session.execute_script(
        "CREATE TABLE parents (id int PRIMARY KEY); "
        "CREATE TABLE children (p int REFERENCES parents DEFERRABLE INITIALLY DEFERRED)"
    )
    for text in ("INSERT INTO children VALUES (5)", "INSERT INTO children VALUES (5); SELECT 1"):
        with pytest.raises(errors.ForeignKeyViolation):
            session.execute_script(text)
    db("b").execute("INSERT INTO parents VALUES (1)")
    assert session.query("SELECT * FROM children") == []


def test_a_refused_encoding_leaves_no_transaction() -> None:
    session = db("a")
    with pytest.raises(errors.NotSupportedError):
        session.execute("SET client_encoding = 'LATIN1'")
    assert not session.is_in_transaction
    with session.transaction():
        session.execute("INSERT INTO notes VALUES (1)")
    with pytest.raises(errors.UniqueViolation):
        session.execute("INSERT INTO notes VALUES (1)")
    assert found() == [1]
