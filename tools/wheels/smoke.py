"""What has to work of an installed wheel. It runs where that is installed, with two frameworks.

`python smoke.py README.md index.md`, with the server's URL in HYPERN_TEST_URL, prints a line for
each check, and a last one; the exit status is 1 if one has failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import decimal
import io
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from hypern.database import Database, adb, db, scope
from hypern.errors import QueryCanceled, UniqueViolation

URL = os.environ["HYPERN_TEST_URL"]
SCHEMA = """
    DROP TABLE IF EXISTS users, accounts;
    CREATE TABLE users (id serial, name text, email text CONSTRAINT users_email_key UNIQUE,
                        active bool);
    INSERT INTO users (name, email, active) VALUES ('Ann', 'ann@example.com', true);
    CREATE TABLE accounts (id int, balance numeric);
    INSERT INTO accounts VALUES (1, 100), (2, 0);
"""


def the_machine_has_no_compiler_and_no_go() -> None:
    assert not [name for name in ("cc", "gcc", "clang", "go") if shutil.which(name)]


def the_quick_start_of_the_readme() -> None:
    code = _blocks(sys.argv[1])[0]
    with scope():
        db().execute_script(SCHEMA)
    Database.close()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        _run(code, "README.md")
    assert printed.getvalue().split()[-2:] == ["users_email_key", "23505"], printed.getvalue()
    with scope():  # what the transaction had done is rolled back
        assert db().query_value("SELECT balance FROM accounts WHERE id = 1") == 100


def _blocks(page: str) -> list[str]:
    """The blocks of Python of a page, on this server."""
    with open(page, encoding="utf-8") as file:
        text = file.read()
    blocks = re.findall(r"^```python[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    blocks = [re.sub(r'"postgresql://[^"]*/shop"', repr(URL), block) for block in blocks]
    assert repr(URL) in blocks[0]
    return blocks


def _run(code: str, page: str) -> dict[str, Any]:
    """Run a block as a script of its own; its names."""
    names: dict[str, Any] = {"__name__": "__main__"}
    # Without the imports from __future__ of this one.
    exec(compile(code, page, "exec", dont_inherit=True), names)
    return names


def the_ten_lines_of_the_home_page() -> None:
    from starlette.testclient import TestClient

    with scope():
        db().execute_script(SCHEMA)
    Database.close()
    fastapi, flask = (block for block in _blocks(sys.argv[2]) if "import Database" in block)
    assert "import FastAPI" in fastapi
    assert "import Flask" in flask
    with TestClient(_run(fastapi, "FastAPI")["app"]) as client:
        answer = client.post("/users?name=Cid&email=c@example.com")
        assert (answer.status_code, answer.json()) == (201, {"id": 2}), answer.text
        assert client.post("/users?name=Cid").status_code == 422
    Database.close()
    other = _run(flask, "Flask")["app"].test_client().post("/users", data={"name": "Dan"})
    assert (other.status_code, other.json) == (201, {"id": 3}), other.text
    with scope():
        assert db().query_values("SELECT name FROM users ORDER BY id") == ["Ann", "Cid", "Dan"]


def values_come_back_as_they_were() -> None:
    zone = datetime.timezone.utc
    values = {
        "int8": 2**62,
        "numeric": decimal.Decimal("0.10"),
        "text": "é\n",
        "bytea": b"\0\xff",
        "timestamptz": datetime.datetime(2024, 2, 29, 12, tzinfo=zone),
        "uuid": uuid.uuid4(),
        "jsonb": {"a": [1, None, 2.5]},
        "int4[]": [1, None, 3],
        "float8": 0.1,
        "interval": datetime.timedelta(days=1, microseconds=1),
    }
    with scope():
        for kind, value in values.items():
            assert db().query_value(f"SELECT $1::{kind}", [value]) == value, kind
        assert db().query_value("SELECT NULL::text") is None


def rows_in_bulk_and_streamed() -> None:
    with scope():
        session = db()
        session.execute("CREATE TEMP TABLE bulk (n int, t text)")
        session.execute_many("INSERT INTO bulk VALUES ($1, $2)", [(n, str(n)) for n in range(5000)])
        total = 0
        with session.transaction():
            for row in session.stream("SELECT n FROM bulk"):
                total += row["n"]
        assert total == sum(range(5000))


def an_error_is_its_class_and_rolls_back() -> None:
    with scope():
        session = db()
        session.execute("CREATE TEMP TABLE once (n int CONSTRAINT once_n UNIQUE)")
        try:
            with session.transaction():
                session.execute("INSERT INTO once VALUES (1), (2)")
                session.execute("INSERT INTO once VALUES (2)")
        except UniqueViolation as error:
            caught: str | None = error.constraint
        assert caught == "once_n"
        assert session.query_value("SELECT count(*) FROM once") == 0


def blocks_are_entered_by_others() -> None:
    with scope(), contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(db().transaction())
        assert db().query_value("SELECT 1") == 1
    with scope():
        assert db().run(lambda session: session.query_value("SELECT 2")) == 2


def threads_share_the_pool() -> None:
    found: list[int] = []

    def work(n: int) -> None:
        for _ in range(20):
            with scope():
                found.append(db().query_value("SELECT $1::int", [n]))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(list(range(8)) * 20)


def coroutines_are_awaited_and_cancelled() -> None:
    async def main() -> None:
        async with scope():
            session = adb()
            assert await session.query_value("SELECT 1") == 1
            task = asyncio.ensure_future(session.query("SELECT pg_sleep(60)"))
            await asyncio.sleep(0.3)
            task.cancel()
            began = time.monotonic()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert time.monotonic() - began < 20
            assert await session.query_value("SELECT 2") == 2

    asyncio.run(main())


def a_deadline_ends_the_statement() -> None:
    with scope():
        try:
            db().execute("SELECT pg_sleep(60)", timeout=0.3)
        except QueryCanceled:
            pass
        else:
            raise AssertionError("no error")
        assert db().query_value("SELECT 1") == 1


class RungError(Exception):
    pass


def a_signal_interrupts_a_statement() -> None:
    def ring(*_: object) -> None:
        raise RungError

    with _handler(ring), scope():
        began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        try:
            db().execute("SELECT pg_sleep(60)")
        except RungError:
            assert time.monotonic() - began < 20
        else:
            raise AssertionError("no exception")
        assert db().query_value("SELECT 1") == 1


@contextlib.contextmanager
def _handler(ring: Callable[..., None]) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def a_forked_child_has_a_core_of_its_own() -> None:
    with scope():
        mine = db().query_value("SELECT pg_backend_pid()")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with scope():
                    assert db().query_value("SELECT pg_backend_pid()") != mine
                with open("/proc/self/maps", encoding="utf-8") as maps:
                    status = 0 if "/memfd:hypern_core" in maps.read() else 2
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == 0, {2: "the child's core is no copy in memory"}.get(status, status)
        assert db().query_value("SELECT pg_backend_pid()") == mine


def the_connection_is_encrypted() -> None:
    if "sslmode=require" in URL:
        with scope():
            assert db().query_value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")


def the_doctor_finds_nothing_wrong() -> None:
    command = [sys.executable, "-m", "hypern", "doctor", URL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wheel" in done.stdout


CHECKS = (
    the_machine_has_no_compiler_and_no_go,
    the_quick_start_of_the_readme,
    the_ten_lines_of_the_home_page,
    values_come_back_as_they_were,
    rows_in_bulk_and_streamed,
    an_error_is_its_class_and_rolls_back,
    blocks_are_entered_by_others,
    threads_share_the_pool,
    coroutines_are_awaited_and_cancelled,
    a_deadline_ends_the_statement,
    a_signal_interrupts_a_statement,
    a_forked_child_has_a_core_of_its_own,
    the_connection_is_encrypted,
    the_doctor_finds_nothing_wrong,
)


def main() -> int:
    failed = 0
    for check in CHECKS:
        began = time.monotonic()
        Database.configure(URL, max_size=4)
        try:
            check()
        except BaseException:
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print(f"FAILED {check.__name__}", flush=True)
        else:
            print(f"ok {check.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        finally:
            Database.close()
    where = f"CPython {platform.python_version()}, {' '.join(platform.libc_ver())}"
    print(f"{len(CHECKS) - failed} passed, {failed} failed on {where}, {platform.machine()}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
