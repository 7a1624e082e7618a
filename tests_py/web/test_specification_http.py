"""The specification's applications as printed, on the Hypern application, over real HTTP.

Only the connection strings and the port are the test's. What an example takes for granted (an
`app`, its imports, configured databases) stands before it.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_specification import BLOCKS, BODY, TABLES, Block
from web.serving import Client, Server, wait_until_it_listens

from hypern.database import Database, db, scope

GRANTED = """
from hypern import Hypern
from hypern.database import Database, db, finalize_db

app = Hypern()
URL, PORT, start = {url!r}, {port}, Hypern.start
Hypern.start = Hypern.run = lambda self, **options: start(self, **{{**options, "port": PORT}})

@app.on_startup
def configure():
    for alias in ("default", "analytics", "logging"):
        if not Database.is_configured(alias):
            Database.configure(URL, max_size=3, alias=alias)

granted = app
"""

# A block that makes its own application still takes databases for granted.
SERVE = """
app is granted or app.on_startup(configure)
app.start()
"""

APPLICATIONS = [block for block in BLOCKS if "@app." in block.code and "(req, res" in block.code]


@pytest.fixture
def tables(configured: str) -> str:
    """The URL of a database with the examples' tables."""
    with scope():
        db().execute("DROP SCHEMA public CASCADE")
        db().execute("CREATE SCHEMA public")
        for statement in TABLES.split(";"):
            db().execute(statement)
    return configured


def serve(block: Block, url: str, directory: Path) -> list[tuple[str, int, str]]:
    """Serve a block's application and make each request that it has a route for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    code = re.sub(r'url="[^"]*"', "url=URL", block.code)
    own_start = "__main__" in code
    script = directory / "app.py"
    script.write_text(GRANTED.format(url=url, port=port) + code + ("" if own_start else SERVE))
    if own_start:  # as printed: started by its own last lines
        script.write_text(
            script.read_text().replace("if __name__", "app.on_startup(configure)\nif __name__")
        )
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, str(script)], stdout=output, stderr=output)
    answers = []
    try:
        wait_until_it_listens(port, process, log)
        with Client(Server(process, port).port) as client:
            for method, path in re.findall(r'@app\.(\w+)\("([^"]+)"\)', block.code):
                body: Any = BODY if method == "post" else None
                answer = client.request(method.upper(), path.replace(":id", "1"), body)
                answers.append((f"{method} {path}", *answer))
    finally:
        process.terminate()
        process.wait(20)
    return answers


@pytest.mark.parametrize(
    "block", APPLICATIONS, ids=[f"line {b.line}, {b.heading}" for b in APPLICATIONS]
)
def test_an_application_serves_as_printed(block: Block, tables: str, tmp_path: Path) -> None:
    answers = serve(block, tables, tmp_path)
    assert answers
    for route, status, text in answers:
        if "Oops!" in block.code:
            assert status == 500
            assert "Oops!" not in text
        else:
            assert status in (200, 201), (route, text, (tmp_path / "log").read_text())
    with scope():
        assert db().query_value("SELECT balance FROM accounts WHERE id = 1") == 1000
        in_use = db().query_value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND application_name = 'hypern' AND state <> 'idle'"
        )
    assert in_use == 0
    assert Database.status().in_use == 0


def test_there_are_applications() -> None:
    assert len(APPLICATIONS) >= 7
