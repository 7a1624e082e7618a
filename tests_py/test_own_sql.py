"""The package's own SQL means the same under any search_path.

A role that may create objects in one of its schemas must not get its functions run by those who use
the package.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pglast
import pytest
from either import KINDS, choose, db, finalize_db
from pglast.visitors import Visitor
from sql_recorder import SQLRecorder
from support import url_with
from test_pgbouncer import Bouncer, bouncer

from hypern import errors
from hypern.config.parse import parse
from hypern.database import Database, register_type
from hypern.database import db as blocking_db

__all__ = ["bouncer"]  # the fixture

pooled = pytest.mark.parametrize("bouncer", ["transaction"], indirect=True, scope="module")

ROOT = Path(__file__).parent.parent
MINE = "/* the test's */ "

# Every name that a text may use, in a schema ahead of pg_catalog: an operator for each pair of
# types, functions with the arguments that PostgreSQL's have, types and tables. Each advances a
# sequence when it is called, since that outlives a transaction that fails.
TRAPS = """
CREATE SEQUENCE trap.calls;
CREATE FUNCTION trap.note() RETURNS bool LANGUAGE plpgsql VOLATILE AS
  $f$ BEGIN PERFORM pg_catalog.nextval('trap.calls'); RETURN true; END $f$;
DO $$
DECLARE
  types text[] := '{oid,int2,int4,int8,"char",text,name,bool,regclass,timestamptz,
    "text[]","oid[]"}';
  a text; b text; o text; f record;
BEGIN
  FOREACH a IN ARRAY types LOOP
    FOREACH b IN ARRAY types LOOP
      EXECUTE format('CREATE FUNCTION trap.compare(pg_catalog.%s, pg_catalog.%s) RETURNS bool'
        ' LANGUAGE plpgsql AS ''BEGIN RETURN trap.note(); END''', a, b);
      FOREACH o IN ARRAY '{=,<>,<,>,<=,>=,||,+,-,~}'::text[] LOOP
        EXECUTE format('CREATE OPERATOR trap.%s (LEFTARG = pg_catalog.%s,'
          ' RIGHTARG = pg_catalog.%s, FUNCTION = trap.compare)', o, a, b);
      END LOOP;
    END LOOP;
  END LOOP;
  FOR f IN SELECT proname AS name, prorettype::regtype AS result, proretset AS many,
      oidvectortypes(proargtypes) AS args
    FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY
      ('{pg_backend_pid,pg_postmaster_start_time,timestamptz_send,current_database,
        like_escape,pg_get_object_address,pg_relation_filepath,encode,
        current_setting,set_config,texteq,textne,
        pg_control_system,pg_advisory_unlock_all,json_object_keys}') LOOP
    EXECUTE format('CREATE FUNCTION trap.%I(%s) RETURNS %s %s LANGUAGE plpgsql AS'
      ' ''BEGIN PERFORM trap.note(); RAISE EXCEPTION $x$trapped$x$; END''',
      f.name, f.args, CASE WHEN f.many THEN 'SETOF' ELSE '' END, f.result);
  END LOOP;
  FOREACH a IN ARRAY '{concat,json_build_array,json_agg,row_to_json,record_send}'::text[] LOOP
    FOREACH b IN ARRAY '{anyelement,"VARIADIC anyarray"}'::text[] LOOP
      EXECUTE format('CREATE FUNCTION trap.%I(%s) RETURNS pg_catalog.json LANGUAGE plpgsql AS'
        ' ''BEGIN PERFORM trap.note(); RETURN NULL; END''', a, b);
    END LOOP;
  END LOOP;
  FOREACH a IN ARRAY types[1:10] LOOP
    EXECUTE format('CREATE DOMAIN trap.%s AS pg_catalog.%s CHECK (trap.note())', a, a);
  END LOOP;
  FOREACH a IN ARRAY '{pg_type,pg_namespace,pg_range,pg_attribute,pg_database}'::text[] LOOP
    b := CASE a WHEN 'pg_attribute' THEN 'attrelid, attname, atttypid, attnum, attisdropped'
      ELSE '*' END;
    EXECUTE format('CREATE VIEW trap.%s AS SELECT %s FROM pg_catalog.%s WHERE trap.note()',
      a, b, a);
  END LOOP;
END $$;
"""

TYPES = """
CREATE TYPE public.mood AS ENUM ('ok');
CREATE DOMAIN public.slug AS pg_catalog.text;
CREATE TYPE public.pair AS (a int, m public.mood);
CREATE TYPE public.span AS RANGE (subtype = pg_catalog.float8,
  multirange_type_name = public.spans);
CREATE TABLE public.things (p public.pair, s public.slug, m public.mood[], r public.span,
  h public.spans);
INSERT INTO public.things VALUES (ROW(1, 'ok'), 'x', '{ok}', '[1,2)', '{[1,2)}')
"""


def _run_as_admin(url: str, *statements: str) -> None:
    Database.configure(url, alias="the test's", max_size=1)
    try:
        session = blocking_db("the test", "the test's")
        for statement in statements:
            session.execute(statement)
        session._finalize(0.0)
    finally:
        Database.close("the test's")


@pytest.fixture(scope="module")
def trapped(database: str) -> Iterator[str]:
    """The module's database, with the traps first in its search_path."""
    name = parse(database)["dbname"]
    *head, block = TRAPS.split("DO $$")
    statements = [s for s in head[0].split(";\n") if s.strip()]
    _run_as_admin(
        database,
        "CREATE SCHEMA trap",
        *statements,
        "DO $$" + block,
        *TYPES.split(";"),
        f"ALTER DATABASE {name} SET search_path = trap, pg_catalog, public",
    )
    yield database
    Database.close()


def _caught(url: str) -> bool:
    """Whether any trap was sprung; sets them all again."""
    Database.configure(url, alias="the test's", max_size=1)
    session = blocking_db("the test", "the test's")
    called = session.query_value("SELECT is_called FROM trap.calls")
    session.execute("SELECT pg_catalog.setval('trap.calls', 1, false)")
    session._finalize(0.0)
    Database.close("the test's")
    return bool(called)


def _use_everything(shared: bool = False) -> None:
    """Make the package send every SQL text that it has; the statements here are qualified."""
    register_type("public.slug", loads=str.upper)
    session = db("r")
    row = session.query_one(MINE + "SELECT * FROM public.things")
    assert (row["p"], row["s"], row["m"]) == ({"a": 1, "m": "ok"}, "X", ["ok"])
    insert = MINE + "INSERT INTO public.things (p) VALUES ($1) RETURNING p"
    for value in ({"a": 2, "m": "ok"}, {"b": 2, "m": "ok"}, {"a": 2, "m": "ok"}):
        assert session.query_value(insert, [value]) == value
        session.begin()
        assert session.query_value(insert, [value]) == value
        with session.transaction():
            session.execute_many(insert, [[value], [value]])
        with pytest.raises(errors.DataError), session.transaction():
            session.execute_many(insert, [[value], [{"x": 1}]])
        with pytest.raises(errors.DataError):
            session.execute(insert, [{"x": 1}])
        session.commit()
        if not shared:
            session.execute_many(insert, [[value]])
            assert next(session.stream(MINE + "SELECT p FROM public.things"))
        old, new = ("a", "b") if "a" in value else ("b", "a")
        session.execute(MINE + f"ALTER TYPE public.pair RENAME ATTRIBUTE {old} TO {new}")
        session.begin()
        assert session.query_value(MINE + "SELECT p FROM public.things LIMIT 1")[new] == 1
        session.rollback()
    session.execute(MINE + f"ALTER TYPE public.pair RENAME ATTRIBUTE {new} TO a")
    session.execute(MINE + "DELETE FROM public.things WHERE s IS NULL")
    if not shared:
        session.execute(MINE + "SET SESSION AUTHORIZATION postgres")
        session.execute(MINE + "PREPARE mine AS SELECT 1")
    finalize_db("r")
    for name in ("a", "b", "a"):
        assert db(name).query_value(MINE + "SELECT 1") == 1
        finalize_db(name)
    Database.close()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Either kind of session."""
    choose(request.param)
    yield request.param
    Database.close()
    choose("blocking")


@pytest.fixture(scope="module")
def texts(trapped: str, bouncer: Bouncer) -> set[str]:
    """What the package sends of its own, directly and through a pooler."""
    return _texts(trapped, bouncer)


def _texts(url: str, bouncer: Bouncer) -> set[str]:
    sent: set[str] = set()
    server = parse(url)
    socket = Path(server["host"]) / f".s.PGSQL.{server.get('port', '5432')}"
    for mode in ("auto", "off", "describe"):
        with SQLRecorder(socket) as recorder:
            Database.configure(
                url_with(url, host=recorder.host, port="5432", sslmode="disable"),
                statement_cache=mode,
                max_size=2,
            )
            _use_everything()
            sent |= recorder.texts
    with SQLRecorder(Path(parse(bouncer.url)["host"]) / ".s.PGSQL.6432") as recorder:
        Database.configure(
            url_with(bouncer.url, host=recorder.host, port="5432", sslmode="disable"), max_size=2
        )
        _use_everything(shared=True)
        sent |= recorder.texts
    return {text for text in sent if not text.startswith(MINE)}


def test_the_traps_are_sprung_by_what_is_not_qualified(trapped: str, kind: str) -> None:
    for careless in (
        "SELECT oid FROM pg_catalog.pg_type WHERE typelem <> 0 LIMIT 1",
        "SELECT oid FROM pg_catalog.pg_type WHERE oid IN (1, 2)",
        "SELECT oid FROM pg_catalog.pg_type WHERE oid = ANY ($1)",
        "SELECT CASE typtype WHEN 'd' THEN 1 END FROM pg_catalog.pg_type LIMIT 1",
        "SELECT pg_backend_pid()",
        "SELECT 1::int4",
        "SELECT 1 FROM pg_namespace",
    ):
        Database.configure(trapped)
        with contextlib.suppress(errors.RaiseException):
            db("r").query(careless, [[1]] if "$1" in careless else None)
        finalize_db("r")
        Database.close()
        assert _caught(trapped), careless


@pooled
def test_nothing_of_the_packages_own_springs_a_trap(
    trapped: str, kind: str, bouncer: Bouncer
) -> None:
    assert not _caught(trapped)
    assert len(_texts(trapped, bouncer)) > 20
    assert not _caught(trapped)


class _Unqualified(Visitor):
    """Collects what is looked up by search_path."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def _look(self, names: Any, what: str) -> None:
        if not names or len(names) < 2 or names[0].sval != "pg_catalog":
            self.found.append(f"{what} {[n.sval for n in names or ()]}")

    def visit_A_Expr(self, _: Any, node: Any) -> None:  # noqa: N802
        self._look(node.name, f"operator ({node.kind.name})")

    def visit_FuncCall(self, _: Any, node: Any) -> None:  # noqa: N802
        self._look(node.funcname, "function")

    def visit_TypeName(self, _: Any, node: Any) -> None:  # noqa: N802
        self._look(node.names, "type")

    def visit_RangeVar(self, _: Any, node: Any) -> None:  # noqa: N802
        if node.schemaname != "pg_catalog":
            self.found.append(f"relation {node.relname}")

    def visit_CaseExpr(self, _: Any, node: Any) -> None:  # noqa: N802
        if node.arg is not None:
            self.found.append("CASE that compares")

    def visit_SubLink(self, _: Any, node: Any) -> None:  # noqa: N802
        if node.testexpr is not None:
            self._look(node.operName, "operator of a subquery")

    def visit_JoinExpr(self, _: Any, node: Any) -> None:  # noqa: N802
        if node.usingClause or node.isNatural:
            self.found.append("JOIN that compares")


def _unqualified(text: str) -> list[str]:
    visitor = _Unqualified()
    visitor(pglast.parse_sql(text))
    return visitor.found


def test_the_check_finds_what_is_not_qualified() -> None:
    for careless in (
        "SELECT 1 FROM pg_catalog.pg_type t WHERE t.oid = 1",
        "SELECT 1 WHERE 1 IN (1)",
        "SELECT 1 WHERE NULLIF(1, 2) IS NULL",
        "SELECT 1 WHERE 1 IN (SELECT 1)",
        "SELECT 1 WHERE 1 IS DISTINCT FROM 1",
        "SELECT CASE 1 WHEN 1 THEN 1 END",
        "SELECT concat()",
        "SELECT 1::int4",
        "SELECT 1 FROM pg_type",
        "SELECT 1 FROM pg_catalog.pg_type JOIN pg_catalog.pg_class USING (oid)",
    ):
        assert _unqualified(careless), careless


@pooled
def test_every_text_that_is_sent_is_qualified(texts: set[str]) -> None:
    for text in texts:
        assert _unqualified(text) == [], text


COMMANDS = (
    "select|with|insert|update|delete|begin|commit|rollback|savepoint|release|set|reset|discard"
    "|close|deallocate|unlisten|listen|create|alter|drop|show|prepare|execute|lock|copy|values|do"
)
SQL = re.compile(rf"^\s*;?(?:{COMMANDS})\b(?: [^.]|$)", re.I)
ENGLISH = ("COPY FROM STDIN and COPY TO STDOUT are",)  # begins as a command does


def _go_literals(text: str) -> Iterator[str]:
    text = re.sub(r"(?m)^\s*//.*$|(?<=\s)// .*$", "", text)
    for raw, quoted in re.findall(r'`([^`]*)`|"((?:[^"\\\n]|\\.)*)"', text):
        yield raw or quoted.encode().decode("unicode_escape")


def _python_literals(text: str) -> Iterator[str]:
    tree = ast.parse(text)
    inside: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside.update(node.values)
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "x" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inside:
            yield node.value


def _literals() -> Iterator[tuple[Path, str]]:
    for path in (ROOT / "go").rglob("*.go"):
        if "pgtest" not in path.parts and not path.name.endswith("_test.go"):
            yield from ((path, literal) for literal in _go_literals(path.read_text()))
    for path in (ROOT / "python" / "hypern").rglob("*.py"):
        yield from ((path, literal) for literal in _python_literals(path.read_text()))


def _squeezed(text: str) -> str:
    return " ".join(text.split()).lower()


@pooled
def test_no_text_in_the_sources_escapes_the_check(texts: set[str]) -> None:
    """What is not sent as it stands, or only on another occasion, is parsed here."""
    sent = _squeezed("\n".join(texts))
    seen = 0
    for path, literal in _literals():
        if not SQL.match(literal) or len(literal) < 6 or literal.startswith(ENGLISH):
            continue
        if re.fullmatch(r"[A-Z ]+", literal):
            continue  # a command's tag, or one in which no name is looked up
        if re.fullmatch(r"(?:PREPARE TRANSACTION|(?:COMMIT|ROLLBACK) PREPARED) x", literal):
            continue  # x stands for the quoted id of a transaction
        if literal == "SELECT * FROM x(x)":
            continue  # callproc(), whose function the caller names
        if _squeezed(literal).strip("; ") in sent:
            seen += 1
            continue
        try:
            found = _unqualified(literal.strip("; "))
        except pglast.parser.ParseError:
            is_sql = re.match(r"\s*;?[A-Z]{2,} [A-Z]|select ", literal)
            assert not is_sql, f"{path}: {literal}"
            continue  # English that begins with such a word
        seen += 1
        assert found == [], f"{path}: {literal}"
    assert seen > 15
