"""A request imports nothing: a child that is forked during an import would wait for it forever."""

from __future__ import annotations

from support import RunPython

# Another thread may import a module while this one forks. The child then has the module's lock,
# without the thread that holds it.
REQUESTS = """
import asyncio, sys
from dataclasses import dataclass
from hypern.database import Database, adb, db, listen, scope
Database.configure(sys.argv[1], password=lambda: "not needed")
Database.on_connect(lambda session: session.execute("SET search_path TO public"))

@dataclass
class Row:
    a: int

def request():
    with scope(), db().transaction() as session:
        session.query("SELECT :a::int", {"a": 1})
        session.query("SELECT 1 AS a", into=Row)
        session.result("SELECT now(), '{1}'::int[], '[1,2)'::int4range, '{}'::jsonb, 1.5")
        session.execute_script("SELECT 1; SELECT 2")
        session.execute_many("SELECT $1::int", [[1], [2]])
        with session.batch() as batch:
            batch.query("SELECT 1")
        assert [row["n"] for row in session.stream("SELECT 1 AS n")] == [1]
        session.notify("channel", "payload")
        session.execute("DO $$ BEGIN RAISE NOTICE 'a notice'; END $$")
    try:
        with scope():
            db().query("SELECT missing")
    except RuntimeError:
        pass

async def awaited():
    async with scope(), adb().transaction() as session:
        await session.query("SELECT 1 AS a", into=Row)
        assert [row["n"] async for row in session.stream("SELECT 1 AS n")] == [1]
    async with listen("channel") as events:
        await events.get(timeout=0)

before = set(sys.modules)
request()
with listen("channel") as events:
    events.get(timeout=0)
print(sorted(set(sys.modules) - before))
asyncio.run(awaited())
print(sorted(name for name in set(sys.modules) - before if name.startswith("hypern")))
"""


def test_a_request_imports_no_module(database: str, run_python: RunPython) -> None:
    assert run_python(REQUESTS, database).stdout.splitlines() == ["[]", "[]"]
