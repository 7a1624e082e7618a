"""Forks in every order, under load, by every means; and ends without a farewell."""

from __future__ import annotations

import sys

import pytest
from reliability.tally import Tally
from support import RunPython

# The parent's threads work while it forks again and again; each child uses the database, some fork
# themselves, and none touches a socket of the parent's, which are told by their inodes.
FORKS_UNDER_LOAD = """
import os, sys, threading
from hypern.database import Database, db, scope
Database.configure(sys.argv[1], max_size=4)

stop = threading.Event()
failures = []
served = [0]
def busy(n):
    try:
        while not stop.is_set():
            with scope(), db().transaction() as session:
                assert session.query_value("SELECT $1::int", [n]) == n
                served[0] += 1
    except BaseException as error:
        failures.append(error)
threads = [threading.Thread(target=busy, args=(n,)) for n in range(3)]
for thread in threads:
    thread.start()

def sockets():
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue
        if link.startswith("socket:"):
            found.add(link)
    return found

def child(n, ours):
    try:
        assert not sockets() & ours, "a socket of the parent's"
        with scope(), db().transaction() as session:
            assert session.query_value("SELECT $1::int * 2", [n]) == 2 * n
        assert sockets() - ours
        if n % 10 == 0:
            mine = sockets()
            pid = os.fork()
            if pid == 0:
                child(1, ours | mine)
            assert os.waitpid(pid, 0)[1] == 0
        # The work of the sibling's and the parent's connections has not come between.
        with scope():
            assert db().query_value("SELECT 3") == 3
        if n % 2:
            Database.close()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

forks = int(sys.argv[2])
running = []
for n in range(forks):
    ours = sockets()
    pid = os.fork()
    if pid == 0:
        child(n, ours)
    running.append(pid)
    if len(running) == 4:
        assert os.waitpid(running.pop(0), 0)[1] == 0
for pid in running:
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
assert failures == [], failures
assert served[0] > forks
status = Database.status()
assert status.in_use == 0 and status.size <= 4, status
"""

EXECUTOR = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from hypern.database import Database, db, scope

def configure(url):
    Database.configure(url, max_size=2)

def work(n):
    with scope(), db().transaction() as session:
        return session.query_value("SELECT $1::int * 2", [n]), os.getpid()

if __name__ == "__main__":
    url, method, used = sys.argv[1:]
    configure(url)
    if used == "used":
        assert work(1)[0] == 2
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, context, initializer=configure, initargs=(url,)) as executor:
        done = list(executor.map(work, range(20)))
        assert work(4)[0] == 8
    assert [value for value, _ in done] == [2 * n for n in range(20)]
    assert os.getpid() not in {pid for _, pid in done}
    assert work(5)[0] == 10
"""

FORK_OF_A_FORKSERVERS_CHILD = """
import multiprocessing, sys
from hypern.database import Database, db, scope

def work(url, method, depth):
    Database.configure(url, max_size=1)
    with scope():
        assert db().query_value("SELECT 1") == 1
    if depth:
        context = multiprocessing.get_context(method)
        process = context.Process(target=work, args=(url, "fork", depth - 1))
        process.start()
        process.join()
        assert process.exitcode == 0

if __name__ == "__main__":
    work(sys.argv[1], "forkserver", 3)
"""

END_WITHOUT_FAREWELL = """
import os, sys, threading, time
from hypern.database import Database, db
Database.configure(sys.argv[1], max_size=4)
db("open").begin().query("SELECT 1")
threading.Thread(target=lambda: db("busy").query("SELECT pg_sleep(60)"), daemon=True).start()
time.sleep(0.3)
os._exit(0)
"""

DAEMON_THREADS_AT_EXIT = """
import sys, threading, time
from hypern.database import Database, db, scope
Database.configure(sys.argv[1], max_size=4)
def work():
    while True:
        try:
            with scope(), db().transaction():
                db().query("SELECT generate_series(1, 1000) AS n")
        except Exception:
            pass  # the pool is closed under it
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.5)
"""

THREADS_THAT_DIE_WITHOUT_FINALIZE = """
import gc, sys, threading
from hypern.database import Database, db, finalize_db
Database.configure(sys.argv[1], max_size=4, acquire_timeout_secs=5)
for round in range(5):
    def leave(n):
        db(f"left-{n}").begin().query("SELECT 1")
    threads = [threading.Thread(target=leave, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    holders = Database.status().holders
    assert sorted(holder.request_id for holder in holders) == [f"left-{n}" for n in range(4)]
    for n in range(4):
        finalize_db(f"left-{n}")
    assert Database.status().in_use == 0
"""

ATEXIT = """
import atexit, sys
from hypern.database import Database, db, scope
def farewell():
    with scope():
        print(db().query_value("SELECT 'goodbye'"))
if sys.argv[2] == "before":
    atexit.register(farewell)  # runs after the handler of the package, which is registered later
Database.configure(sys.argv[1])
with scope():
    db().query("SELECT 1")
if sys.argv[2] == "after":
    atexit.register(farewell)
"""


@pytest.mark.timeout(300)
def test_forks_under_load(database: str, run_python: RunPython, tally: Tally, full: bool) -> None:
    forks = 300 if full else 20
    run_python(FORKS_UNDER_LOAD, database, str(forks))
    tally.add("`os.fork` under load, one in ten forking again", forks, "all work; no socket shared")


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("used", ["unused", "used"])
def test_concurrent_futures(
    database: str, run_python: RunPython, tally: Tally, full: bool, method: str, used: str
) -> None:
    if not full and (method, used) != ("forkserver", "used"):
        pytest.skip("make test/reliability tries it")
    if method == "fork" and sys.version_info >= (3, 12):
        pytest.skip("the executor's own threads and fork do not go together")
    run_python(EXECUTOR, database, method, used)
    tally.add("ProcessPoolExecutor: fork, forkserver, spawn; before and after use", 1, "all work")


@pytest.mark.parametrize(
    ("what", "script"),
    [
        ("forks of a forkserver's child", FORK_OF_A_FORKSERVERS_CHILD),
        ("`os._exit` with a statement running", END_WITHOUT_FAREWELL),
        ("exit with daemon threads at work", DAEMON_THREADS_AT_EXIT),
        ("threads that end without finalize", THREADS_THAT_DIE_WITHOUT_FINALIZE),
    ],
)
def test_a_process(
    database: str, run_python: RunPython, tally: Tally, what: str, script: str
) -> None:
    run_python(script, database)
    tally.add(what, 1, "as it should")


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_database_can_be_used_in_an_exit_handler(
    database: str, run_python: RunPython, when: str
) -> None:
    assert run_python(ATEXIT, database, when).stdout == "goodbye\n"
