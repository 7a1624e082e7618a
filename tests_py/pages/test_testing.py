"""The page on testing: its blocks are the files of a suite, which runs as the page says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pages import blocks
from pages.blocks import ROOT
from support import url_with

import hypern

PAGE = ROOT / "docs" / "testing.md"
# What a reader has already: an application, its schema, and a client in conftest.py.
APP = """
from flask import Flask, request
from hypern.database import db
from hypern.middleware.flask import init_app

app = Flask("shop")
init_app(app, atomic=True)

@app.post("/orders")
def order():
    sql = "UPDATE products SET stock = stock - 1 WHERE name = $1"
    db().execute(sql, [request.json["product"]])
    return {}, 201
"""
SCHEMA = "CREATE TABLE IF NOT EXISTS products (name text, stock int);"
CLIENT = """
import builtins
import shop
builtins.client = shop.app.test_client()
"""
NOWHERE = "postgresql://nobody@127.0.0.1:1/shop"


def files() -> dict[str, str]:
    """The page's files by name."""
    return {b.title: b.code for b in blocks.read(PAGE.read_text("utf-8")) if b.title}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The page's suite."""
    written = files()
    for name in ("shop", "tests"):
        (tmp_path / name).mkdir()
    (tmp_path / "shop" / "__init__.py").write_text(written["shop/__init__.py"] + APP)
    (tmp_path / "tests" / "schema.sql").write_text(SCHEMA)
    (tmp_path / "tests" / "conftest.py").write_text(written["tests/conftest.py"] + CLIENT)
    (tmp_path / "tests" / "test_orders.py").write_text(written["tests/test_orders.py"])
    return tmp_path


def run(folder: Path, command: str, **variables: str) -> str:
    """The output of a command in the suite's directory, which must succeed."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("PG", "HYPERN", "PYTEST"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    modules = f"{folder}:{Path(hypern.__file__).parents[1]}"
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={**kept, **variables, "PATH": path, "PYTHONPATH": modules},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_suite_runs_on_a_private_server(folder: Path) -> None:
    assert "1 passed" in run(folder, "python -m pytest", DATABASE_URL=NOWHERE)


def test_the_command_of_the_page_runs_on_the_server_it_names(folder: Path, database: str) -> None:
    page = blocks.read(PAGE.read_text("utf-8"))
    (block,) = [block for block in page if block.language == "console"]
    command, expected = block.code.splitlines()
    url = url_with(database)
    command = command.removeprefix("$ ").replace("postgresql://localhost/shop_test", f"'{url}'")
    assert expected in run(folder, command.replace("pytest", "python -m pytest"))


def test_a_factory_has_the_fixture_of_the_page(folder: Path) -> None:
    factory = files()["tests/factory.py"]
    (folder / "tests" / "conftest.py").write_text(files()["tests/conftest.py"])
    test = "\n\ndef test_it(client, db_session):\n    assert client.get('/').status_code == 404\n"
    (folder / "tests" / "test_factory.py").write_text(factory + test)
    output = run(folder, "python -m pytest tests/test_factory.py", DATABASE_URL=NOWHERE)
    assert "1 passed" in output


def test_every_block_of_the_page_is_one_of_these() -> None:
    page = blocks.read(PAGE.read_text("utf-8"))
    assert {b.language for b in page if not b.title} == {"console", "ini"}
    assert len(files()) == 4
