"""Every Python block of docs/spec/database.md runs, on real tables, as it is printed.

A block is run with the names its text takes for granted (`app`, `session`, `user_id`, ...), and
its connection strings are pointed at the test's databases. Applications are stand-ins that keep the
handlers; each handler is then called as a server would, within a scope of its own. No block is left
out.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from stand_in import Application, Request, Response
from support import url_with

from hypern import errors
from hypern.database import Database, db, finalize_db, scope

SPECIFICATION = Path(__file__).resolve().parent.parent / "docs" / "spec" / "database.md"

TABLES = """
CREATE TABLE users (id serial PRIMARY KEY, name text, email text UNIQUE, active bool DEFAULT true,
                    status text, metadata jsonb);
CREATE TABLE user_visits (id serial);
CREATE TABLE access_logs (user_id int, action text, timestamp timestamp);
CREATE TABLE accounts (id serial PRIMARY KEY, name text, balance numeric DEFAULT 1000);
CREATE TABLE transactions (amount numeric);
CREATE TABLE orders (id serial, user_id int, total numeric, created_at timestamptz DEFAULT now());
CREATE TABLE inventory (id serial, stock int);
CREATE TABLE products (id serial PRIMARY KEY, name text, price numeric, stock int DEFAULT 10,
                       active bool DEFAULT true);
CREATE TABLE events (id serial, date date, time time, timestamp timestamp);
CREATE TABLE user_events (user_id int, event text);
CREATE TABLE logs (message text);
CREATE TABLE files (data bytea);
CREATE TABLE t (smallint_col int2, int_col int4, bigint_col int8);
INSERT INTO users (name, email, status) VALUES ('Ann', 'ann@example.com', 'new');
INSERT INTO users (name, email) VALUES ('Dup', 'duplicate@email.com');
INSERT INTO accounts (name) VALUES ('one'), ('two');
INSERT INTO inventory (stock) VALUES (5);
INSERT INTO products (name, price) VALUES ('Lamp', 9.99), ('Desk', 129.00);
INSERT INTO orders (user_id, total) VALUES (1, 10), (1, 20.5)
"""


class Block(NamedTuple):
    """A Python block of the specification."""

    line: int
    heading: str
    code: str


def python_blocks(text: str) -> list[Block]:
    """The blocks fenced as python, with the heading they stand under."""
    blocks: list[Block] = []
    lines: list[str] = []
    heading, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if start and line.strip() == "```":
            blocks.append(Block(start, heading, textwrap.dedent("\n".join(lines))))
            start = 0
        elif start:
            lines.append(line)
        elif line.strip() == "```python":
            start, lines = number, []
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    return blocks


BLOCKS = python_blocks(SPECIFICATION.read_text(encoding="utf-8"))


BODY = {
    "name": "Zoe",
    "email": "zoe@example.com",
    "user_id": 1,
    "total": 19.98,
    "items": [{"product_id": 1, "quantity": 2}],
}


@pytest.fixture
def url(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The module's database with fresh tables; nothing configured, Hypern the stand-in."""
    Database.close()
    Database.configure(database, alias="setup")
    with scope():
        session = db(alias="setup")
        session.execute("DROP SCHEMA public CASCADE")
        session.execute("CREATE SCHEMA public")
        for statement in TABLES.split(";"):
            session.execute(statement)
    Database.close()
    module = types.ModuleType("hypern.app")
    module.Hypern = Application  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hypern.app", module)
    yield database
    for request_id in ("the request", "the reader's own"):
        finalize_db(request_id)
    Database.close()


def configure_what_the_text_takes_for_granted(url: str) -> None:
    for alias in ("default", "analytics", "logging"):
        if not Database.is_configured(alias):
            Database.configure(url, max_size=3, alias=alias)


def names_taken_for_granted() -> dict[str, Any]:
    """What a block uses that an earlier one, or the reader's own code, has defined."""
    return {
        "__name__": "__main__",
        "Hypern": Application,
        "app": Application(),
        "ctx": types.SimpleNamespace(request_id="the request"),
        "user_id": 1,
        "from_id": 1,
        "to_id": 2,
        "user_input": "Ann'; DROP TABLE users --",
        "Database": Database,
        "db": db,
        "finalize_db": finalize_db,
    }


def run_block(block: Block, url: str) -> dict[str, Any]:
    """Run the block's own code, and what it hands to its application."""
    code = re.sub(r'url="[^"]*"', lambda _: f"url={url!r}", block.code)
    names = names_taken_for_granted()
    if "configure(" not in code and "PoolConfig(" not in code:
        configure_what_the_text_takes_for_granted(url)
    if "session." in code and not re.search(r"^\s*session = db\(", code, re.M):
        configure_what_the_text_takes_for_granted(url)
        names["session"] = db("the reader's own")
    exec(compile("\n" * block.line + code, str(SPECIFICATION), "exec"), names)
    app = names["app"]
    for startup in app.startup:
        result = startup()
        if inspect.isawaitable(result):
            asyncio.run(_finish(result))
    configure_what_the_text_takes_for_granted(url)
    names["responses"] = {route: serve(handler) for route, handler in app.handlers.items()}
    return names


async def _finish(awaitable: Any) -> None:
    await awaitable


def serve(handler: Callable[..., Any]) -> Response | BaseException:
    """Call a handler as a server does; what it raised in place of a response."""
    response = Response()
    try:
        with scope() as ctx:
            handler(Request({"id": "1"}, BODY), response, ctx)
    except Exception as error:
        return error
    return response


@pytest.mark.parametrize(
    "block", BLOCKS, ids=[f"line {block.line}, {block.heading}" for block in BLOCKS]
)
def test_a_block_runs_as_printed(block: Block, url: str) -> None:
    if "❌" in block.code:
        # The warning against string formatting: the wrong line must fail, the right one work.
        wrong, right = block.code.split("# ✅")
        with pytest.raises(errors.SyntaxError):
            run_block(block._replace(code=wrong), url)
        run_block(block._replace(code="# ✅" + right), url)
    else:
        names = run_block(block, url)
        for route, outcome in names["responses"].items():
            if "Oops!" in block.code:
                assert isinstance(outcome, ValueError)
            else:
                assert isinstance(outcome, Response), f"{route}: {outcome!r}"
                assert outcome.code < 300
    for request_id in ("the request", "the reader's own"):
        finalize_db(request_id)
    for alias in ("default", "analytics", "logging"):
        if Database.is_configured(alias):
            assert Database.status(alias).in_use == 0


def block_with(text: str) -> Block:
    (found,) = (block for block in BLOCKS if text in block.code)
    return found


def value(url: str, sql: str) -> Any:
    Database.close()
    Database.configure(url)
    with scope():
        return db().query_value(sql)


def test_the_specification_has_its_blocks() -> None:
    assert len(BLOCKS) == SPECIFICATION.read_text(encoding="utf-8").count("```python") > 20


def test_the_quick_start_serves_what_its_text_says(url: str) -> None:
    names = run_block(block_with("# query_one returns single row"), url)
    responses = names["responses"]
    assert responses["GET /users"].body["users"][0] == {
        "id": 1,
        "name": "Ann",
        "email": "ann@example.com",
    }
    assert responses["GET /users"].body["stats"] == [{"total": 0}]
    assert responses["GET /users/:id"].body["name"] == "Ann"
    assert responses["POST /users"].code == 201
    assert responses["POST /users"].body == {"created": 1}
    assert (
        value(url, "SELECT count(*) FROM access_logs WHERE timestamp > now() - interval '1 h'") == 1
    )


def test_a_handler_that_raises_is_rolled_back(url: str) -> None:
    run_block(block_with("Oops!"), url)
    assert value(url, "SELECT balance FROM accounts WHERE id = 1") == 1000


def test_both_databases_commit_at_the_requests_end(url: str) -> None:
    run_block(block_with("Both will auto-commit"), url)
    assert value(url, "SELECT count(*) FROM users WHERE name = 'Alice'") == 1
    assert value(url, "SELECT count(*) FROM user_events") == 1


def test_the_complete_example_sells(url: str) -> None:
    responses = run_block(block_with("total_orders"), url)["responses"]
    assert [row["name"] for row in responses["GET /products"].body] == ["Desk", "Lamp"]
    assert responses["POST /orders"].code == 201
    assert responses["GET /stats"].body["total_orders"] == 3
    assert responses["GET /stats"].body["revenue"] == 50.48
    assert value(url, "SELECT stock FROM products WHERE id = 1") == 8


def test_the_error_handling_prints_the_servers_words(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_block(block_with("duplicate@email.com"), url)
    printed = capsys.readouterr().out
    assert "PostgreSQL error: duplicate key value violates unique constraint" in printed
    assert "(SQLSTATE 23505)" in printed


def test_an_unavailable_database_is_survived_as_printed(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Database.configure(url)
    Database.configure(url_with(url, dbname="nowhere"), alias="analytics")
    block = block_with("graceful degradation")
    responses = run_block(block, url)["responses"]
    assert responses["GET /robust-data"].body["stats"] == [{"total": 0}]
    assert "Analytics unavailable" in capsys.readouterr().out


def test_parameters_arrive_with_the_types_of_the_columns(url: str) -> None:
    run_block(block_with("smallint_col"), url)
    assert value(url, "SELECT bigint_col FROM t") == 9_999_999_999
    assert str(value(url, "SELECT price FROM products WHERE name IS NULL")) == "99.99"
    assert value(url, "SELECT metadata FROM users WHERE metadata IS NOT NULL") == {
        "role": "admin",
        "permissions": ["read", "write"],
    }
    assert value(url, "SELECT data FROM files") == b"binary content"
    assert str(value(url, "SELECT time FROM events")) == "14:30:00"
