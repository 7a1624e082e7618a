"""What changes under a cached statement, as functions that fail where a wrong answer comes.

Each uses `either.db` and its alias "default", whose connection should be the only one, and "other",
another session of the same database. They run direct and behind a pooler.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from either import db, scope

from hypern.database import DbSession

Scenario = Callable[[], None]
ALL: dict[str, Scenario] = {}
DIRECT: dict[str, Scenario] = {}  # where the client keeps its server


def everywhere(scenario: Scenario) -> Scenario:
    ALL[scenario.__name__] = DIRECT[scenario.__name__] = scenario
    return scenario


def where_the_session_is_kept(scenario: Scenario) -> Scenario:
    DIRECT[scenario.__name__] = scenario
    return scenario


@contextmanager
def _tables(*names: str) -> Iterator[None]:
    def drop() -> None:
        with scope():
            for name in names:
                db().execute(f"DROP TABLE IF EXISTS {name} CASCADE")

    drop()
    yield
    drop()


@everywhere
def own_alter_table() -> None:
    with _tables("own"), scope():
        db().execute("CREATE TABLE own (zip int)")
        insert = "INSERT INTO own VALUES ($1)"
        for _ in range(3):
            db().execute(insert, [1])
        db().execute("ALTER TABLE own ALTER zip TYPE text")
        db().execute(insert, ["01234"])
        assert db().query_value("SELECT zip FROM own ORDER BY length(zip) DESC") == "01234"


def _values(session: DbSession, kind: str, value: Any) -> Any:
    session.execute(f"CREATE TEMP TABLE IF NOT EXISTS scratch (v {kind}) ON COMMIT DROP")
    session.execute("INSERT INTO scratch VALUES ($1)", [value])
    return session.query_value("SELECT v FROM scratch")


@everywhere
def a_temporary_table_made_anew_in_two_transactions() -> None:
    with scope():
        for kind, value in [("int", 7), ("text", "007"), ("int", 7), ("text", "007")]:
            with db().transaction():
                assert _values(db(), kind, value) == value
        for kind, value in [("float4", 1.5), ("numeric", Decimal("1234567.89"))]:
            with db().transaction():
                assert _values(db(), kind, value) == value


@everywhere
def a_temporary_table_made_anew_in_two_requests() -> None:
    for kind, value in [
        ("int", 7),
        ("text", "007"),
        ("float4", 1.5),
        ("numeric", Decimal("1234567.89")),
    ]:
        with scope(), db().transaction():
            assert _values(db(), kind, value) == value


@where_the_session_is_kept
def a_temporary_table_that_the_reset_drops() -> None:
    with _tables("shadowed"):
        with scope():
            db().execute("CREATE TABLE shadowed (v int)")
        for _ in range(3):
            with scope():
                db().execute("CREATE TEMP TABLE shadowed (v text)")
                db().execute("INSERT INTO shadowed VALUES ($1)", ["007"])
                assert db().query_value("SELECT v FROM shadowed") == "007"
            with scope():
                db().execute("INSERT INTO shadowed VALUES ($1)", [7])
                assert db().query_value("SELECT v FROM shadowed") == 7


@where_the_session_is_kept
def two_schemas_by_set_search_path() -> None:
    with _tables("sa.t", "sb.t"):
        with scope():
            for schema, kind in [("sa", "int"), ("sb", "text")]:
                db().execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
                db().execute(f"CREATE TABLE {schema}.t (v {kind})")
        for _ in range(3):
            with scope():
                for schema, value in [("sa", 7), ("sb", "007")]:
                    db().execute(f"SET search_path TO {schema}")
                    db().execute("INSERT INTO t VALUES ($1)", [value])
                    assert db().query_value("SELECT v FROM t") == value


TENANTS = ["tenant1", "tenant2", "tenant3"]


@everywhere
def tenants_alternate() -> None:
    """Identical tables with an enum, or varchar of two lengths."""
    with scope():
        for n, tenant in enumerate(TENANTS):
            db().execute(f"DROP SCHEMA IF EXISTS {tenant} CASCADE")
            db().execute(f"CREATE SCHEMA {tenant}")
            db().execute(f"CREATE TYPE {tenant}.mood AS ENUM ('calm', 'only{n}')")
            db().execute(f"CREATE TABLE {tenant}.t (m {tenant}.mood, v varchar({n + 3}), n int)")
    for turn in range(12):
        n = turn % len(TENANTS)
        with scope(), db().transaction():
            if turn < 6:
                db().execute(f"SET LOCAL search_path TO {TENANTS[n]}")
            else:
                db().query_value("SELECT set_config('search_path', $1, true)", [TENANTS[n]])
            db().execute("INSERT INTO t VALUES ($1, $2, $3)", [f"only{n}", "x" * (n + 3), turn])
            row = db().query_one("SELECT m, v FROM t WHERE n = $1", [turn])
            assert row == {"m": f"only{n}", "v": "x" * (n + 3)}
            assert len(db().query("SELECT * FROM t")) == turn // len(TENANTS) + 1
    with scope():
        for tenant in TENANTS:
            db().execute(f"DROP SCHEMA {tenant} CASCADE")


@everywhere
def own_ddl_inside_a_transaction() -> None:
    with _tables("grows"):
        with scope():
            db().execute("DROP TYPE IF EXISTS flavour CASCADE")
            db().execute("CREATE TYPE flavour AS ENUM ('sweet')")
            db().execute("CREATE TABLE grows (n int, f flavour)")
            db().execute("INSERT INTO grows VALUES (1, 'sweet')")
        with scope():
            with db().transaction():
                for _ in range(2):
                    assert db().query("SELECT * FROM grows") == [{"n": 1, "f": "sweet"}]
                db().execute("ALTER TABLE grows ADD COLUMN more text DEFAULT 'x'")
                assert db().query("SELECT * FROM grows") == [{"n": 1, "f": "sweet", "more": "x"}]
            select = "SELECT * FROM grows WHERE f = $1"
            with db().transaction():
                assert len(db().query(select, ["sweet"])) == 1
                db().execute("ALTER TABLE grows ALTER f TYPE text")
                db().execute("DROP TYPE flavour")
                db().execute("CREATE TYPE flavour AS ENUM ('sour')")
                db().execute("ALTER TABLE grows ALTER f TYPE flavour USING 'sour'")
                assert len(db().query(select, ["sour"])) == 1
            assert len(db().query(select, ["sour"])) == 1


@everywhere
def ddl_that_is_rolled_back() -> None:
    with _tables("tried"), scope():
        db().execute("CREATE TABLE tried (v int)")
        insert = "INSERT INTO tried VALUES ($1)"
        db().execute(insert, [1])
        db().begin()
        db().execute("ALTER TABLE tried ALTER v TYPE text")
        db().execute(insert, ["007"])
        db().rollback()
        db().execute(insert, [7])
        with db().transaction():
            try:
                with db().transaction():
                    db().execute("ALTER TABLE tried ALTER v TYPE float8")
                    db().execute(insert, [0.5])
                    raise KeyError
            except KeyError:
                db().execute(insert, [8])
        assert db().query("SELECT v FROM tried ORDER BY v") == [{"v": n} for n in (1, 7, 8)]


@everywhere
def a_table_made_from_a_query() -> None:
    with _tables("made"), scope():
        for text, value in [("1::int", 2), ("'x'::text", "02")]:
            for create in (
                f"CREATE TABLE made AS SELECT {text} AS v",
                f"SELECT {text} AS v INTO made",
            ):
                db().execute("DROP TABLE IF EXISTS made")
                db().execute(create)
                db().execute("INSERT INTO made VALUES ($1)", [value])
                assert {"v": value} in db().query("SELECT v FROM made")


@everywhere
def a_stream_open_across_ddl() -> None:
    with _tables("streamed"):
        with scope():
            db().execute("CREATE TABLE streamed (n int)")
            db().execute_many("INSERT INTO streamed VALUES ($1)", [[n] for n in range(5)])
        with scope(), db().transaction():
            sql = "SELECT * FROM streamed ORDER BY n"
            rows = db().stream(sql, chunk_rows=2)
            assert next(rows) == {"n": 0}
            db().execute("ALTER TABLE streamed ADD COLUMN more text DEFAULT 'x'")
            assert next(db().stream(sql, chunk_rows=2)) == {"n": 0, "more": "x"}
            db().execute("ALTER TABLE streamed ALTER n TYPE text")
            assert next(db().stream(sql, chunk_rows=2)) == {"n": "0", "more": "x"}


@everywhere
def literals_that_depend_on_the_time() -> None:
    for _ in range(2):
        with scope():
            first = db().query_value("SELECT 'now'::timestamptz")
            time.sleep(0.01)
            assert db().query_value("SELECT 'now'::timestamptz") > first
            assert db().query_value("SELECT timestamptz 'now' - clock_timestamp() < '1 s'")
            for text in (
                "SELECT 'today'::date = current_date",
                "SELECT $$ tomorrow $$::date > now()",
            ):
                assert db().query_value(text)


@where_the_session_is_kept
def literals_that_depend_on_settings() -> None:
    instant = "SELECT extract(epoch FROM timestamptz '2024-01-01 00:00')::int8"
    day = "SELECT '01/02/2024'::date::text"
    seen = []
    for zone, style in [("UTC", "ISO, MDY"), ("Asia/Tokyo", "ISO, DMY"), ("UTC", "ISO, MDY")]:
        with scope():
            db().execute(f"SET TimeZone TO '{zone}'")
            db().execute(f"SET DateStyle TO '{style}'")
            seen.append((db().query_value(instant), db().query_value(day)))
        with scope(), db().transaction():
            db().execute(f"SET LOCAL TimeZone TO '{zone}'")
            db().query_value("SELECT set_config('DateStyle', $1, true)", [style])
            assert (db().query_value(instant), db().query_value(day)) == seen[-1]
    assert seen[0] == seen[2] == (1704067200, "2024-01-02")
    assert seen[1] == (1704067200 - 9 * 3600, "2024-02-01")


@where_the_session_is_kept
def settings_of_a_function_that_is_called() -> None:
    """TimeZone is reported, whoever sets it."""
    with scope():
        db().execute(
            "CREATE OR REPLACE FUNCTION hide_zone(z text) RETURNS text LANGUAGE sql AS "
            "$$ SELECT set_config('TimeZone', z, false) $$"
        )
        instant = "SELECT extract(epoch FROM timestamptz '2024-01-01 00:00')::int8"
        for zone, expected in [("UTC", 1704067200), ("Asia/Tokyo", 1704034800)]:
            db().query_value("SELECT hide_zone($1)", [zone])
            assert db().query_value(instant) == expected


@where_the_session_is_kept
def everything_in_do() -> None:
    with _tables("done"), scope():
        for kind, value in [("int", 7), ("text", "007")]:
            db().execute(
                f"DO $$ BEGIN DROP TABLE IF EXISTS done; CREATE TABLE done (v {kind}); END $$"
            )
            db().execute("INSERT INTO done VALUES ($1)", [value])
            assert db().query_value("SELECT v FROM done") == value


@everywhere
def a_name_that_is_looked_up_while_parsing() -> None:
    with _tables("looked"), scope():
        for _ in range(2):
            db().execute("CREATE TABLE looked (v int)")
            found = db().query_value("SELECT 'looked'::regclass::oid::int8")
            with scope("the other"):
                other = db("the other", alias="other")
                other.execute("DROP TABLE looked")
                other.execute("CREATE TABLE looked (v int)")
            assert db().query_value("SELECT 'looked'::regclass::oid::int8") != found
            db().execute("DROP TABLE looked")


@where_the_session_is_kept
def prepared_statements_dropped_unseen() -> None:
    with scope():
        db().execute(
            "CREATE OR REPLACE FUNCTION drop_all() RETURNS int LANGUAGE plpgsql AS "
            "$$ BEGIN EXECUTE 'deallocate all'; RETURN 1; END $$"
        )
    for way in ("DO $$ BEGIN EXECUTE 'deallocate all'; END $$", "SELECT drop_all()"):
        for _ in range(2):
            with scope():
                assert db().query_value("SELECT $1::int", [1]) == 1
                db().execute(way)
            for _ in range(3):
                with scope():
                    assert db().query_value("SELECT $1::int", [1]) == 1
                    with db().transaction():
                        assert db().query_value("SELECT $1::int", [1]) == 1
                    with db().transaction():
                        assert db().query_value("SELECT $1::int + 0", [1]) == 1


@where_the_session_is_kept
def settings_changed_by_roundabout_ways() -> None:
    """Each stores '007' in the schema that it has made the present one."""
    with scope():
        for schema, kind in [("ra", "int"), ("rb", "text")]:
            db().execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            db().execute(f"CREATE SCHEMA {schema}")
            db().execute(f"CREATE TABLE {schema}.t (v {kind})")
    ways = [
        ["DECLARE c CURSOR FOR SELECT set_config('search_path', 'rb', false)", "FETCH c"],
        ["UPDATE pg_settings SET setting = 'rb' WHERE name = 'search_path'"],
        ["PREPARE p AS SELECT set_config('search_path', 'rb', false)", "EXECUTE p"],
        [
            "DO $$ BEGIN EXECUTE "
            "'PREPARE p AS SELECT set_config(''search_path'', ''rb'', false)'; END $$",
            "RESET application_name",
            "EXECUTE p",
        ],
    ]
    insert = "INSERT INTO t VALUES ($1)"
    for way in ways:
        with scope():
            db().execute("SET search_path TO ra")
            with db().transaction():
                for step in way[:-1]:
                    db().execute(step)
                db().execute(insert, [7])
                db().execute(way[-1])
                db().execute(insert, ["007"])
        with scope():
            assert db().query("SELECT v FROM rb.t") == [{"v": "007"}]
            db().execute("TRUNCATE ra.t, rb.t")


@everywhere
def a_right_to_a_schema_is_granted() -> None:
    with scope():
        for schema, kind in [("ga", "int"), ("gb", "text")]:
            db().execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            db().execute(f"CREATE SCHEMA {schema}")
            db().execute(f"CREATE TABLE {schema}.t (v {kind})")
            db().execute(f"GRANT ALL ON {schema}.t TO PUBLIC")
        db().execute("DROP ROLE IF EXISTS granted")
        db().execute("CREATE ROLE granted")
        db().execute("GRANT USAGE ON SCHEMA ga TO granted")
    insert = "INSERT INTO t VALUES ($1)"
    with scope(), db().transaction():
        for value in (7, "007"):
            db().execute("SET LOCAL search_path TO gb, ga")
            db().execute("SET LOCAL role TO granted")
            db().execute(insert, [value])
            db().execute("RESET role")
            db().execute("GRANT USAGE ON SCHEMA gb TO granted")
    with scope():
        assert db().query("SELECT v FROM gb.t") == [{"v": "007"}]
        for schema in ("ga", "gb"):
            db().execute(f"DROP SCHEMA {schema} CASCADE")
        db().execute("DROP ROLE granted")
