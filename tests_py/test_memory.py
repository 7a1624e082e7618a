"""What a process keeps of the statements that it has run is bounded, and given back by close."""

from __future__ import annotations

import gc
import json
import os
import sys
import weakref

import either
import pytest
from support import RunPython

from hypern.database import Database, DbSession, register_type

pytestmark = pytest.mark.usefixtures("configured")

# Reads and prints what the process holds, in MB, while and after `run(n)` has run n statements.
GROWTH = """
import asyncio, gc, sys
from hypern.database import Database, adb, db, scope

url, kind, count, text = sys.argv[1], sys.argv[2], int(sys.argv[3]), "x" * int(sys.argv[4])
Database.configure(url, max_size=2)

def resident():
    gc.collect()
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096 // 1_000_000

async def awaited(first, last):
    async with scope():
        for n in range(first, last):
            await adb().query(f"select {n} /* {text} */")

def run(first, last):
    if kind == "awaited":
        asyncio.run(awaited(first, last))
        return
    with scope():
        for n in range(first, last):
            db().query(f"select {n} /* {text} */")

run(0, 20)
before = resident()
run(20, count)
held = resident()
Database.close()
print(held - before, resident() - before)
"""


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
def test_the_texts_of_statements_are_kept_within_bounds(
    run_python: RunPython, configured: str, kind: str
) -> None:
    """2,500 texts of 40 KB are 100 MB, the core's; the extension kept 1,024 of them besides."""
    full = os.environ.get("HYPERN_RELIABILITY") == "full"
    size = ("12000", "100000") if full else ("2500", "40000")
    held, left = run_python(GROWTH, configured, kind, *size).stdout.split()
    assert int(held) < 40, f"{held} MB are held"
    assert int(left) < 40, f"{left} MB are left after close"


class Hooks:
    """Functions of a user's that refer to a session, and so to the pool that refers to them."""

    def __init__(self) -> None:
        self.session: object = None

    def loads(self, text: str) -> object:
        return text.upper()

    def dumps(self, value: object) -> str:
        return json.dumps(value)


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("how", ["json", "register_type", "register_type, used before"])
def test_functions_of_the_users_that_refer_to_their_pool_are_collected(
    configured: str, how: str
) -> None:
    hooks = Hooks()
    given = {"json_loads": hooks.loads, "json_dumps": hooks.dumps} if how == "json" else {}
    Database.configure(configured, alias="collected", **given)  # type: ignore[arg-type]
    session = hooks.session = either.db("the test", "collected")
    if how == "json":
        assert session.query_value("SELECT $1::json", [[True]]) == "[TRUE]"
    else:
        register_type("box", loads=hooks.loads, dumps=str, alias="collected")
        assert session.query_value("SELECT '(2,2),(1,1)'::box") == "(2,2),(1,1)"
        if how != "register_type":  # the plan before has a type of its own
            register_type("box", loads=Hooks().loads, alias="collected")
            assert session.query_value("SELECT $1::int", [1]) == 1
    either.finalize_db("the test", "collected")
    either.close("collected")
    seen = weakref.ref(hooks)
    del hooks, session, given
    gc.collect()
    assert seen() is None


def test_types_are_kept_within_bounds_and_forgotten_by_close(kind: str, session: DbSession) -> None:
    """Types of temporary tables, say: each is new to the pool. 2,300 enums have 2,300 arrays."""

    def loads(text: str) -> str:
        return text

    def select(numbers: range) -> None:
        columns = ", ".join(f"NULL::{kind}{n}[]" for n in numbers)
        assert len(session.query_one(f"SELECT {columns}")) == len(numbers)

    session.execute(
        "DO $$ BEGIN FOR n IN 1..2300 LOOP"
        f" EXECUTE format('CREATE TYPE {kind}%s AS ENUM ()', n); END LOOP; END $$"
    )
    for n in range(1, 501):
        register_type(f"{kind}{n}", loads=loads)
    registered = sys.getrefcount(loads)
    for first in range(1, 2300, 500):
        select(range(first, min(first + 500, 2301)))
    assert sys.getrefcount(loads) == registered + 500, "each type refers to it"
    select(range(2290, 2301))
    assert session.query_value("SELECT 3") == 3
    assert sys.getrefcount(loads) == registered, "beyond 4,096 types the pool begins anew"
    select(range(1, 501))
    assert sys.getrefcount(loads) == registered + 500
    either.finalize_db("the test")
    either.close("default")
    gc.collect()
    assert sys.getrefcount(loads) <= registered, "a closed pool knows none"


FAILS = """
import asyncio, resource, sys
from hypern import errors
from hypern.database import Database, adb, db, scope

url, kind, megabytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
Database.configure(url, max_size=1)

async def awaited(sql):
    async with scope():
        await adb().query(sql)

def run(sql):
    try:
        if kind == "awaited":
            asyncio.run(awaited(sql))
        else:
            with scope():
                db().query(sql)
    except errors.UndefinedTable as error:
        assert error.sql.startswith("SELECT") and len(error.sql) < 70_000, len(error.sql)
        assert len(str(error)) < 1000
    else:
        raise AssertionError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

run("SELECT 1 FROM none")
before = peak()
sql = "SELECT 1 /* " + "x" * (megabytes << 20) + " */ FROM none"
run(sql)
print((peak() - before) / megabytes)
"""


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
def test_a_long_text_that_fails_takes_a_few_times_its_size(
    run_python: RunPython, configured: str, kind: str
) -> None:
    full = os.environ.get("HYPERN_RELIABILITY") == "full"
    times = run_python(FAILS, configured, kind, "256" if full else "48").stdout
    assert float(times) < 5.5, f"{times} times the text's length at the peak"


GIBIBYTE = """
import asyncio, sys
import pytest
from hypern.database import Database, adb, db, scope
from hypern.errors import ProgrammingError

Database.configure(sys.argv[1], max_size=1)
value = bytes(64 << 20)
columns = ", ".join(f"octet_length(${n}::bytea)" for n in range(1, 18))
row = [value] * 17

async def awaited():
    async with scope():
        async with adb().transaction():
            pid = await adb().query_value("SELECT pg_backend_pid()")
            with pytest.raises(ProgrammingError, match=r"parameter \\$16: .* 1 GiB"):
                await adb().query(f"SELECT {columns}", row)
            with pytest.raises(ProgrammingError, match=r"row 1, parameter \\$16: ") as caught:
                await adb().execute_many(f"SELECT {columns}", [[b""] * 17, row])
            assert caught.value.row == 1
            with pytest.raises(ProgrammingError, match="sql is longer than 1 GiB"):
                await adb().query("SELECT 1 --" + "x" * (1 << 30))
            assert await adb().query_value("SELECT pg_backend_pid()") == pid

def blocking():
    with scope(), db().transaction():
        pid = db().query_value("SELECT pg_backend_pid()")
        with pytest.raises(ProgrammingError, match=r"parameter \\$16: .* 1 GiB"):
            db().query(f"SELECT {columns}", row)
        with pytest.raises(ProgrammingError, match=r"row 1, parameter \\$16: ") as caught:
            db().execute_many(f"SELECT {columns}", [[b""] * 17, row])
        assert caught.value.row == 1
        with pytest.raises(ProgrammingError, match="sql is longer than 1 GiB"):
            db().query("SELECT 1 --" + "x" * (1 << 30))
        assert db().query_value("SELECT pg_backend_pid()") == pid

asyncio.run(awaited()) if sys.argv[2] == "awaited" else blocking()
"""


@pytest.mark.skipif(
    os.environ.get("HYPERN_RELIABILITY") != "full", reason="takes more than 2 GB of memory"
)
@pytest.mark.parametrize("kind", ["blocking", "awaited"])
def test_more_than_a_gibibyte_is_an_error_that_says_so(
    run_python: RunPython, configured: str, kind: str
) -> None:
    run_python(GIBIBYTE, configured, kind, seconds=120)
