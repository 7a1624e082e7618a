"""The specification's applications as printed, on the Hypern application, over real HTTP.

Only the connection strings and the port are the test's. What an example takes for granted (an
`app`, its imports, configured databases) stands before it.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import wait_until
from test_specification import BLOCKS, BODY, SPECIFICATION, TABLES, Block
from web.serving import Client, wait_until_it_listens

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
            Database.configure(URL, max_size=3, alias=alias, application_name=alias)

granted = app
"""

# A block that makes its own application still takes databases for granted.
SERVE = """
app is granted or app.on_startup(configure)
app.start()
"""

ROUTE = re.compile(r'@app\.(get|post|put|patch|delete|route)\("([^"]+)"')

ROUTED = [block for block in BLOCKS if ROUTE.search(block.code)]

# The two blocks of the quick start are one application: what is configured, and what is served.
QUICK_START = Block(
    BLOCKS[0].line, "Quick Start, both blocks", BLOCKS[0].code + "\n" + ROUTED[0].code
)
APPLICATIONS = [QUICK_START, *ROUTED]

ANN = {
    "id": 1,
    "name": "Ann",
    "email": "ann@example.com",
    "active": True,
    "status": "new",
    "metadata": None,
}
DUP = {
    "id": 2,
    "name": "Dup",
    "email": "duplicate@email.com",
    "active": True,
    "status": None,
    "metadata": None,
}
SHORT = [{key: user[key] for key in ("id", "name", "email")} for user in (ANN, DUP)]
BASIC = [
    ("get /users", 200, {"users": SHORT, "stats": [{"total": 0}]}),
    ("get /users/:id", 200, ANN),
    ("post /users", 201, {"created": 1}),
]
# What each route answers, in the order of the block, which is the order of the requests.
ANSWERS: dict[str, list[tuple[str, int, Any]]] = {
    "Quick Start, both blocks": BASIC,
    "Basic Usage": BASIC,
    '`db(ctx_or_request_id, alias="default")`': [("get /data", 200, None)],
    "Cross-Database Operations": [("post /analytics", 200, {"success": True})],
    "Database-Specific Error Handling": [
        ("get /robust-data", 200, {"users": [ANN, DUP], "stats": [{"total": 0}]})
    ],
    "Auto-Finalization": [("get /users", 200, [ANN, DUP])],
    "Error Handling": [("post /transfer", 500, {"error": "Internal Server Error"})],
    "Lazy Initialization": [("get /data", 200, None)],
    "Complete Example": [
        (
            "get /products",
            200,
            [
                {"id": 2, "name": "Desk", "price": "129.00", "stock": 10},
                {"id": 1, "name": "Lamp", "price": "9.99", "stock": 10},
            ],
        ),
        ("post /orders", 201, {"success": True}),
        (
            "get /stats",
            200,
            {"total_orders": 3, "revenue": 50.48, "avg_order": pytest.approx(50.48 / 3)},
        ),
    ],
}

# What the handlers have left in the tables, by the application that is to have done it.
LEFT = {
    "Basic Usage": "SELECT user_id = 1 AND action = 'view_user' AND by = 'logging' AND"
    " timestamp BETWEEN now() - interval '5 minutes' AND now() FROM access_logs",
    "Cross-Database Operations": "SELECT e = row(1, 'user_created', 'analytics')::user_events"
    " AND EXISTS (SELECT FROM users WHERE name = 'Alice') FROM user_events e",
    "Complete Example": "SELECT stock = 8 FROM products WHERE id = 1",
}


@pytest.fixture
def tables(configured: str) -> str:
    """The URL of a database with the examples' tables, which note whose pool it was."""
    with scope():
        db().execute("DROP SCHEMA public CASCADE")
        db().execute("CREATE SCHEMA public")
        for statement in TABLES.split(";"):
            db().execute(statement)
        for table in ("access_logs", "user_events"):
            db().execute(
                f"ALTER TABLE {table} ADD by text DEFAULT current_setting('application_name')"
            )
    return configured


@contextmanager
def served(block: Block, url: str, directory: Path) -> Iterator[Client]:
    """Serve a block's application; a client of it."""
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
    try:
        wait_until_it_listens(port, process, log)
        with Client(port) as client:
            yield client
    finally:
        process.terminate()
        process.wait(20)


def connections() -> int:
    """How many connections the applications have."""
    with scope():
        number: int = db().query_value(
            """
            SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND application_name IN ('default', 'analytics', 'logging')
            """
        )
    return number


def ask(client: Client, block: Block) -> list[tuple[str, int, Any]]:
    """Make each request that a block has a route for; what was answered."""
    answers = []
    for method, path in ROUTE.findall(block.code):
        body: Any = BODY if method == "post" else None
        status, text = client.request(method.upper(), path.replace(":id", "1"), body)
        answer: Any = json.loads(text) if text else None
        if status == 500:
            assert answer.pop("request_id")
        answers.append((f"{method} {path}", status, answer))
    return answers


@pytest.mark.parametrize(
    "block", APPLICATIONS, ids=[f"line {b.line}, {b.heading}" for b in APPLICATIONS]
)
def test_an_application_serves_as_printed(block: Block, tables: str, tmp_path: Path) -> None:
    with served(block, tables, tmp_path) as client:
        assert ask(client, block) == ANSWERS[block.heading], (tmp_path / "log").read_text()
    with scope():
        if block.heading in LEFT:
            assert [list(row.values()) for row in db().query(LEFT[block.heading])] == [[True]]
        assert db().query_value("SELECT balance FROM accounts WHERE id = 1") == 1000
    wait_until(lambda: connections() == 0)
    assert Database.status().in_use == 0


def test_a_user_that_does_not_exist_is_an_error_and_nothing_is_logged(
    tables: str, tmp_path: Path
) -> None:
    with served(ROUTED[0], tables, tmp_path) as client:
        status, text = client.request("GET", "/users/999")
        assert (status, json.loads(text)["error"]) == (500, "Internal Server Error")
        assert client.request("GET", "/users/2") == (200, json.dumps(DUP, separators=(",", ":")))
    with scope():
        assert [row["user_id"] for row in db().query("SELECT user_id FROM access_logs")] == [2]


def test_no_route_of_the_specification_is_left_out() -> None:
    text = SPECIFICATION.read_text()
    routes = ROUTE.findall(text)
    assert len(routes) == len(re.findall(r"^ *def \w+\(req, res, ctx\)", text, re.M)) == 12
    assert [route for block in ROUTED for route in ROUTE.findall(block.code)] == routes
    answered = [route for block in ROUTED for route, *_ in ANSWERS[block.heading]]
    assert answered == [f"{method} {path}" for method, path in routes]
