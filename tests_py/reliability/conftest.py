"""Fixtures of the reliability suite, and the table of what it has tried.

`make test/reliability` sets HYPERN_RELIABILITY=full: everything is tried, the table is printed and
kept in docs/reliability.md, or in the file that HYPERN_TALLY names, beside what is there. Without
it a sample of each kind runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reliability.own_server import PASSWORD, OwnServer
from reliability.requests_script import serving
from reliability.tally import Tally

from hypern.database import Database

_tally = Tally()


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether everything is to be tried."""
    return os.environ.get("HYPERN_RELIABILITY") == "full"


@pytest.fixture
def thorough(full: bool) -> None:
    """For a test that takes too long to be part of a sample."""
    if not full:
        pytest.skip("make test/reliability tries it")


@pytest.fixture
def tally() -> Tally:
    """Where a test notes what it has tried, and how often."""
    return _tally


@pytest.fixture(scope="session")
def running_server() -> Iterator[OwnServer]:
    """A server for all tests here: one that stops it starts it again."""
    server = OwnServer()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def own_server(running_server: OwnServer) -> Iterator[OwnServer]:
    """A server that may be stopped and started, with the ledger in it."""
    with serving(running_server) as server:
        yield server


@pytest.fixture(scope="module")
def tls_server() -> Iterator[OwnServer]:
    """A server that speaks TLS, with a certificate nobody checks."""
    server = OwnServer(tls=True)
    yield server
    server.remove()


@pytest.fixture
def default(own_server: OwnServer) -> Iterator[OwnServer]:
    """The server, configured as "default" with eight connections by TCP."""
    Database.configure(
        own_server.url(),
        max_size=8,
        connect_timeout_secs=5,
        application_name="default",
        password=PASSWORD,
    )
    yield own_server
    Database.close("default")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker process tells the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tally"] = _tally.rows


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take in what a worker has tried; one that died has told nothing."""
    for what, (times, result) in getattr(node, "workeroutput", {}).get("tally", {}).items():
        _tally.add(what, times, result)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Print the table, and keep it where all of it was tried."""
    if os.environ.get("HYPERN_RELIABILITY") != "full" or not _tally.rows:
        return
    terminalreporter.section("what was tried")
    terminalreporter.write_line(_tally.table())
    if path := os.environ.get("HYPERN_TALLY"):
        kept = Path(path)
        before = json.loads(kept.read_text()) if kept.exists() else {}
        kept.write_text(json.dumps({**before, **_tally.rows}))
    else:
        directory = str(Path(__file__).parent.relative_to(config.rootpath))
        chosen = config.getoption("keyword") or config.getoption("markexpr")
        _tally.keep(directory in config.args and not chosen and exitstatus == 0)
