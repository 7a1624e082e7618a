"""Every code block of every page runs as it is printed, or says in a comment why not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import blocks
from pages.blocks import ROOT, Block
from pages.running import SHOWN, Runner

from hypern.database import Database, db, scope

# What a test of its own runs: tests_py/test_specification.py, test_tutorial.py and test_testing.py.
OWN = {"docs/spec/database.md", "docs/testing.md", "docs/tutorial/index.md"}
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path.relative_to(ROOT).as_posix() not in OWN and "```" in path.read_text("utf-8")
)
TABLES = """
CREATE TYPE order_status AS ENUM ('open', 'paid', 'sent');
CREATE TABLE users (id serial PRIMARY KEY, name text, team int DEFAULT 1,
    email text CONSTRAINT users_email_key UNIQUE, active bool NOT NULL DEFAULT true);
CREATE TABLE accounts (id serial PRIMARY KEY, cents bigint NOT NULL DEFAULT 0,
    balance numeric NOT NULL DEFAULT 0, CONSTRAINT accounts_cents_check CHECK (cents >= 0));
CREATE TABLE products (id serial PRIMARY KEY, name text UNIQUE NOT NULL, price numeric NOT NULL,
    stock int NOT NULL DEFAULT 0 CONSTRAINT products_stock_check CHECK (stock >= 0),
    tags text[] NOT NULL DEFAULT '{}', details jsonb NOT NULL DEFAULT '{}');
CREATE TABLE orders (id serial PRIMARY KEY, user_id int REFERENCES users, product_id int,
    amount int NOT NULL DEFAULT 1, status order_status NOT NULL DEFAULT 'open',
    total numeric NOT NULL DEFAULT 0, placed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE events (id bigserial PRIMARY KEY, kind text, body jsonb, at timestamptz DEFAULT now());
INSERT INTO users (name, email) VALUES ('Ann', 'ann@example.com'), ('Bob', 'bob@example.com');
INSERT INTO accounts (cents, balance) VALUES (1000, 10), (500, 5);
INSERT INTO products (name, price, stock, tags, details) VALUES
    ('Lamp', 19.90, 5, '{light,home}', '{"color": "red"}'), ('Desk', 129, 2, '{home}', '{}');
INSERT INTO orders (user_id, product_id, total) VALUES (1, 1, 19.90), (1, 2, 129), (2, 1, 39.80);
"""


@pytest.fixture
def runner(request: pytest.FixtureRequest, database: str) -> Iterator[Runner]:
    """A page's runner, on a database with the tables above."""
    page: Path = request.param
    made = Runner(page, database)
    made.configure()
    with scope():
        db().execute_script("DROP SCHEMA public CASCADE; CREATE SCHEMA public;" + TABLES)
    sys.modules["page"] = made.module  # where dataclasses look up annotations
    yield made
    del sys.modules["page"]
    Database.close()


def plain(rows: object) -> list[object]:
    """Rows of any driver, as tuples."""
    assert isinstance(rows, list)
    assert rows
    return [tuple(row.values()) if isinstance(row, dict) else tuple(row) for row in rows]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("runner", PAGES, ids=name_of, indirect=True)
def test_the_blocks_of_a_page_run(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", runner.url)
    monkeypatch.chdir(tmp_path)  # where a page's files go
    other = None
    compared = 0
    for block in blocks.read(runner.page.read_text("utf-8")):
        runner.names.pop("rows", None) if block.title else None
        try:
            runner.run(block)
        except BaseException:
            print(f"{name_of(runner.page)}:{block.line}")
            raise
        if runner.page.parent.name == "coming-from" and block.title:
            # The other driver's block comes first; both leave what they have found in `rows`.
            if block.title == "hypern":
                assert plain(runner.names["rows"]) == plain(other), block.line
                compared += 1
            other = runner.names["rows"]
    if runner.page.parent.name == "coming-from":
        assert compared > 0 or runner.page.stem in ("hypern", "index")


def test_a_reason_is_a_sentence_that_says_why() -> None:
    for page in PAGES:
        for block in blocks.read(page.read_text("utf-8")):
            if block.reason is not None:
                where = f"{name_of(page)}:{block.line}"
                assert len(block.reason.split()) >= 4, where
                assert block.language not in SHOWN, where


def test_blocks_are_found_wherever_they_are() -> None:
    page = (
        "# T\n\n    make x\n\n- a list\n\n    still the list\n\ntext\n\n<!-- not run: b c d -->\n"
        '```console title="a/b"\n$ x\n```\n\n<!-- run:\nx = 1\n-->\n'
        "<!-- raises: E -->\n```python\ny\n```\n<!-- from: 3.14 -->\n```python\nz\n```\n"
    )
    found = [(b.line, b.language, b.title, b.reason, b.raises, b.since) for b in blocks.read(page)]
    assert found == [
        (3, "", "", None, None, ()),
        (13, "console", "a/b", "b c d", None, ()),
        (17, "hidden", "", None, None, ()),
        (21, "python", "", None, "E", ()),
        (25, "python", "", None, None, (3, 14)),
    ]


@pytest.mark.parametrize("runner", [ROOT / "README.md"], indirect=True, ids=["page"])
def test_a_block_that_takes_a_later_python_is_left_out(runner: Runner) -> None:
    runner.run(Block(1, "python", "", "no python", since=(99, 0)))
    with pytest.raises(SyntaxError):
        runner.run(Block(1, "python", "", "no python", since=(3, 10)))


@pytest.mark.parametrize(
    ("language", "code", "error"),
    [
        ("python", "assert db().query_value('SELECT 1') == 2", AssertionError),
        ("python", "assert await session.query_value('SELECT 1') == 2", AssertionError),
        ("console", "$ make", AssertionError),
        ("yaml", "a: [", Exception),
    ],
)
@pytest.mark.parametrize("runner", [ROOT / "README.md"], indirect=True, ids=["page"])
def test_a_block_that_is_wrong_is_noticed(
    runner: Runner, language: str, code: str, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        runner.run(Block(1, language, "", code))
    with pytest.raises(AssertionError, match="no UniqueViolation"):
        runner.run(Block(1, "python", "", "pass", raises="UniqueViolation"))
