"""What the server says beside its answers: `Database.on_notice` and the logger hypern.notice."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import either
import pytest

from hypern import errors
from hypern.database import Database, DbSession, Notice, db

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture
def heard() -> Iterator[list[Notice]]:
    """The notices that a hook was called with."""
    notices: list[Notice] = []
    Database.on_notice(notices.append)
    yield notices
    Database.on_notice(None)


def _raise(level: str, *options: str) -> str:
    using = f" USING {', '.join(options)}" if options else ""
    return f"DO $$ BEGIN RAISE {level} 'it is %', 'so'{using}; END $$"


def test_a_notice_has_the_fields_of_an_error(session: DbSession, heard: list[Notice]) -> None:
    options = "ERRCODE = '01234'", "DETAIL = 'd'", "HINT = 'h'", "CONSTRAINT = 'c'"
    objects = "TABLE = 't'", "SCHEMA = 's'", "COLUMN = 'k'", "DATATYPE = 'y'"
    sql = _raise("WARNING", *options, *objects)
    session.execute(sql)
    assert heard == [
        Notice(
            "default",
            "the test",
            sql,
            "WARNING",
            "it is so",
            "01234",
            "d",
            "h",
            "c",
            "s",
            "t",
            "k",
            "y",
        )
    ]


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        ("DEBUG", logging.DEBUG),
        ("LOG", logging.INFO),
        ("INFO", logging.INFO),
        ("NOTICE", logging.INFO),
        ("WARNING", logging.WARNING),
    ],
)
def test_it_is_logged_at_its_level(
    session: DbSession, caplog: pytest.LogCaptureFixture, severity: str, level: int
) -> None:
    session.execute("SET client_min_messages = debug1")
    with caplog.at_level(logging.DEBUG, "hypern.notice"):
        caplog.clear()
        session.execute(_raise(severity))
    logged = [r for r in caplog.records if r.name == "hypern.notice" and "so" in r.getMessage()]
    assert [record.levelno for record in logged] == [level]
    assert logged[0].getMessage().startswith('on "default": ' + severity)


def test_a_statement_that_fails_has_its_notices(session: DbSession, heard: list[Notice]) -> None:
    with pytest.raises(errors.DivisionByZero):
        session.execute("DO $$ BEGIN RAISE NOTICE 'before'; PERFORM 1 / 0; END $$")
    assert [notice.message for notice in heard] == ["before"]


def test_each_call_has_its_own(session: DbSession, heard: list[Notice]) -> None:
    session.execute("SET client_min_messages = notice")
    session.execute_script(_raise("NOTICE") + ";" + _raise("WARNING"))
    session.query("SELECT 1")
    assert [notice.severity for notice in heard] == ["NOTICE", "WARNING"]


def test_the_commit_at_the_end_of_a_session_has_them(
    session: DbSession, heard: list[Notice]
) -> None:
    session.execute_script(
        """
        DROP TABLE IF EXISTS told;
        CREATE TABLE told (n int);
        CREATE OR REPLACE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE NOTICE 'committing'; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER later AFTER INSERT ON told DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION tell();
        """
    )
    heard.clear()
    other = either.db("another")
    other.begin()
    other.execute("INSERT INTO told VALUES (1)")
    assert not heard
    either.finalize_db("another")
    assert [(n.message, n.request_id, n.sql) for n in heard] == [("committing", "another", None)]


def test_what_exceeds_a_mebibyte_is_dropped(session: DbSession, heard: list[Notice]) -> None:
    session.execute(
        "DO $$ BEGIN FOR i IN 1..3000 LOOP RAISE NOTICE '%', repeat('x', 1000); END LOOP; END $$"
    )
    assert 900 < len(heard) < 1050
    assert session.query_value("SELECT 1") == 1


def test_an_exception_of_a_hook_is_logged(
    session: DbSession, heard: list[Notice], caplog: pytest.LogCaptureFixture
) -> None:
    def fails(notice: Notice) -> None:
        raise ValueError("no")

    Database.on_notice(None)
    Database.on_notice(fails)
    assert Database.on_notice(heard.append) == heard.append
    session.execute(_raise("NOTICE"))
    assert len(heard) == 1
    assert "the on_notice hook" in caplog.text


def test_a_hook_may_use_the_session(session: DbSession) -> None:
    seen: list[object] = []
    Database.on_notice(lambda notice: seen.append(db(notice.request_id).query_value("SELECT 7")))
    session.execute(_raise("NOTICE"))
    Database.on_notice(None)
    assert seen == [7]


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="a hook must be a callable or None, not int"):
        Database.on_notice(3)  # type: ignore[type-var]
