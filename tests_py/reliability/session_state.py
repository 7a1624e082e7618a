"""What a request may leave behind in its database session, and how the next one could see it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from hypern import errors
from hypern.database import DbSession

# One row that tells all that a session can carry. The two rows of sequences and advisory locks
# belong to this server process only, so that other connections do not show.
LOOK = """
SELECT current_user AS role, session_user AS login,
    current_setting('search_path') AS search_path, current_setting('TimeZone') AS zone,
    current_setting('work_mem') AS work_mem, current_setting('statement_timeout') AS timeout,
    current_setting('row_security') AS row_security,
    coalesce(current_setting('app.tenant', true), '') AS tenant,
    current_setting('transaction_isolation') AS isolation,
    current_setting('default_transaction_read_only') AS read_only,
    (SELECT count(*) FROM pg_class WHERE relname LIKE 'left%' AND relpersistence = 't'
        AND relnamespace = pg_my_temp_schema()) AS temp_tables,
    (SELECT count(*) FROM pg_cursors WHERE name LIKE 'left%') AS cursors,
    (SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'left%') AS prepared,
    (SELECT count(*) FROM pg_listening_channels()) AS channels,
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
    (SELECT count(*) FROM left_rows) AS rows
"""

SCHEMA = (
    "CREATE TABLE left_rows (n int)",
    "CREATE SEQUENCE left_sequence",
    "CREATE ROLE left_role",
    "CREATE SCHEMA left_schema",
    "GRANT ALL ON left_rows TO left_role",
    "CREATE PROCEDURE left_procedure(run text) LANGUAGE plpgsql AS 'BEGIN EXECUTE run; END'",
    "CREATE FUNCTION left_function(run text) RETURNS int LANGUAGE plpgsql AS "
    "'BEGIN EXECUTE run; RETURN 1; END'",
)


def _run(*statements: str) -> Callable[[DbSession], None]:
    def run(session: DbSession) -> None:
        for sql in statements:
            session.execute(sql)

    return run


def _copy_in(session: DbSession) -> None:
    with contextlib.suppress(errors.NotSupportedError):
        session.execute("COPY left_rows FROM STDIN")


def _copy_out(session: DbSession) -> None:
    with contextlib.suppress(errors.NotSupportedError):
        session.execute("COPY (SELECT generate_series(1, 1000)) TO STDOUT")


def _fail(session: DbSession) -> None:
    session.execute("INSERT INTO left_rows VALUES (1 / 0)")


def _time_out(session: DbSession) -> None:
    session.query("SELECT pg_sleep(5)", timeout=0.01)


def _half_a_stream(session: DbSession) -> None:
    next(iter(session.stream("SELECT generate_series(1, 1000) AS n", chunk_rows=10)))


def _many(session: DbSession) -> None:
    session.execute_many("INSERT INTO left_rows VALUES ($1::text::int)", [["1"], ["x"]])


def _prepare_many(session: DbSession) -> None:
    session.execute_many("PREPARE left_by_many AS SELECT 1", [[]])


def _deallocate_many(session: DbSession) -> None:
    session.execute_many("DEALLOCATE ALL", [[], []])


def _prepare_and_fail(session: DbSession) -> None:
    session.execute(
        "DO $$ BEGIN EXECUTE 'PREPARE left_by_failure AS SELECT 1'; RAISE 'left'; END $$"
    )


# Any of these may be followed by any other, in a transaction or outside; some then fail, as they
# may. What matters is what the next request sees.
LITTER: dict[str, Callable[[DbSession], Any]] = {
    "SET": _run("SET work_mem = '5MB'"),
    "SET LOCAL": _run("SET LOCAL work_mem = '6MB'"),
    "SET TIME ZONE": _run("SET TIME ZONE 'Asia/Tokyo'"),
    "SET search_path": _run("SET search_path = left_schema, public"),
    "SET ROLE": _run("SET ROLE left_role"),
    "SET SESSION AUTHORIZATION": _run("SET SESSION AUTHORIZATION left_role"),
    "SET a setting of one's own": _run("SET app.tenant = 'somebody'"),
    "set_config": _run("SELECT set_config('app.tenant', 'somebody', false)"),
    "row-level security off": _run("SET row_security = off"),
    "statement_timeout": _run("SET statement_timeout = '1h'"),
    "read only by default": _run("SET default_transaction_read_only = on"),
    "isolation by default": _run("SET default_transaction_isolation = 'serializable'"),
    "SET SESSION CHARACTERISTICS": _run(
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ"
    ),
    "temporary table": _run("CREATE TEMP TABLE IF NOT EXISTS left_table (n int)"),
    "temporary table that shadows": _run("CREATE TEMP TABLE left_rows AS SELECT 1 AS n"),
    "cursor": _run("DECLARE left_cursor CURSOR FOR SELECT 1"),
    "cursor WITH HOLD": _run("DECLARE left_held CURSOR WITH HOLD FOR SELECT 1"),
    "PREPARE": _run("PREPARE left_statement AS SELECT 1"),
    "PREPARE in DO": _run("DO $$ BEGIN EXECUTE 'PREPARE left_in_do AS SELECT 1'; END $$"),
    "PREPARE in a DO that fails": _prepare_and_fail,
    "PREPARE in a procedure": _run("CALL left_procedure('PREPARE left_in_procedure AS SELECT 1')"),
    "PREPARE by execute_many": _prepare_many,
    "DEALLOCATE ALL": _run("DEALLOCATE ALL"),
    "DEALLOCATE ALL in DO": _run("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"),
    "DEALLOCATE ALL in a procedure": _run("CALL left_procedure('DEALLOCATE ALL')"),
    "DEALLOCATE ALL in a function": _run("SELECT left_function('DEALLOCATE ALL')"),
    "DEALLOCATE ALL by execute_many": _deallocate_many,
    "DISCARD ALL": _run("DISCARD ALL"),
    "DISCARD PLANS": _run("DISCARD PLANS"),
    "LISTEN": _run("DO $$ BEGIN EXECUTE 'LISTEN left_channel'; END $$"),
    "NOTIFY": _run(
        "DO $$ BEGIN EXECUTE 'LISTEN left_channel'; END $$", "NOTIFY left_channel, 'left'"
    ),
    "advisory lock": _run("SELECT pg_advisory_lock(77)"),
    "advisory lock of the transaction": _run("SELECT pg_advisory_xact_lock(78)"),
    "sequence": _run("SELECT nextval('left_sequence')"),
    "BEGIN": _run("BEGIN", "INSERT INTO left_rows VALUES (1)"),
    "BEGIN ISOLATION LEVEL": _run("BEGIN ISOLATION LEVEL SERIALIZABLE"),
    "SAVEPOINT": _run("SAVEPOINT left_savepoint"),
    "a failing statement": _fail,
    "a timeout": _time_out,
    "COPY FROM": _copy_in,
    "COPY TO": _copy_out,
    "half a stream": _half_a_stream,
    "execute_many that fails": _many,
    "a notice": _run("DO $$ BEGIN RAISE WARNING 'left'; END $$"),
}
