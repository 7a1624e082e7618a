"""Runs the blocks of a page, one after the other, in one namespace on one database."""

from __future__ import annotations

import ast
import asyncio
import configparser
import inspect
import json
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import yaml
from pages.blocks import ROOT, Block

from hypern.config.parse import parse
from hypern.database import Database, adb, db, scope

_URL = re.compile(r"""(?<=["'])postgresql://[^"'\s]*(?=["'])""")
# What is only looked at: it has no code that could run.
SHOWN = {"text"}
PARSED: dict[str, Callable[[str], object]] = {
    "ini": lambda text: configparser.ConfigParser().read_string(text),
    "json": json.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
}


def as_others_read_it(url: str) -> str:
    """The URL with user and database where every driver looks for them."""
    found = {name: quote(value, safe="") for name, value in parse(url).items()}
    user = found.get("user", "postgres")
    if found.get("password"):
        user += ":" + found["password"]
    host, port = found.get("host", "localhost"), found.get("port") or "5432"
    if host.startswith("%2F"):
        return f"postgresql://{user}@/{found['dbname']}?host={host}&port={port}"
    return f"postgresql://{user}@{host}:{port}/{found['dbname']}"


class Runner:
    """One page's namespace. Outside of a block "default" is configured, on `url`."""

    def __init__(self, page: Path, url: str) -> None:
        url = as_others_read_it(url)
        self.page, self.url = page, url
        self.module = types.ModuleType("page")
        self.names = self.module.__dict__
        self.names |= {"url": url, "db": db, "adb": adb, "Database": Database, "scope": scope}

    def configure(self) -> None:
        """Configure the page's database as any block may take it for granted."""
        Database.close()
        Database.configure(self.url, max_size=4, acquire_timeout_secs=5)

    def run(self, block: Block) -> None:
        """Run a block, or read it if its language is one of data."""
        if block.language in SHOWN or block.reason is not None or sys.version_info < block.since:
            return
        if block.language in PARSED:
            PARSED[block.language](block.code)
        elif block.language == "sql":
            with scope():
                db().execute_script(block.code)
        elif block.language in ("python", "hidden"):
            self._run_expecting(block)
        else:
            raise AssertionError(f"nothing runs a block of {block.language or 'no language'}")

    def _run_expecting(self, block: Block) -> None:
        if block.raises is None:
            self._run_python(block)
            return
        try:
            self._run_python(block)
        except Exception as error:
            if type(error).__name__ != block.raises:
                raise
        else:
            raise AssertionError(f"it raised no {block.raises}")

    def _run_python(self, block: Block) -> None:
        code = block.code
        if block.language == "python":
            for written in _URL.findall(code):
                parse(written)  # what the page has must be a URL that works, too
            code = _URL.sub(lambda _: self.url, code)
        configures = block.language == "python" and "Database.configure(" in code
        if configures:
            Database.close()
        # Tracebacks name the page and its line.
        path = str(self.page.relative_to(ROOT))
        tree = ast.parse("\n" * (block.line - 1) + code, path)
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        compiled = compile(tree, path, "exec", flags, dont_inherit=True)
        try:
            if compiled.co_flags & inspect.CO_COROUTINE:
                asyncio.run(self._awaited(compiled))
            elif configures:
                exec(compiled, self.names)
            else:
                with scope():
                    self.names["session"] = db()
                    exec(compiled, self.names)
        finally:
            if configures:
                self.configure()

    async def _awaited(self, compiled: types.CodeType) -> None:
        async with scope():
            self.names["session"] = adb()
            await eval(compiled, self.names)
