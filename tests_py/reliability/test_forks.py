"""Forks in every order, under load, by every means."""

from __future__ import annotations

import pytest
from reliability.tally import Tally
from support import RunPython

# The parent's threads work while it forks again and again; each child uses the database, some fork
# themselves, and none touches a socket of the parent's, which are told by their inodes.
FORKS_UNDER_LOAD = """
import os, sys, threading
import proc
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
threads = [threading.Thread(target=busy, args=(n,), daemon=True) for n in range(3)]
for thread in threads:
    thread.start()

def sockets():
    return set(proc.sockets().values())

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


@pytest.mark.timeout(520)
def test_forks_under_load(database: str, run_python: RunPython, tally: Tally, full: bool) -> None:
    forks = 1000 if full else 20
    run_python(FORKS_UNDER_LOAD, database, str(forks), seconds=500)
    tally.add("`os.fork` under load, one in ten forking again", forks, "all work; no socket shared")


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("used", ["unused", "used"])
def test_concurrent_futures(
    database: str, run_python: RunPython, tally: Tally, full: bool, method: str, used: str
) -> None:
    if not full and (method, used) != ("forkserver", "used"):
        pytest.skip("make test/reliability tries it")
    run_python(EXECUTOR, database, method, used)
    tally.add(f"ProcessPoolExecutor, {method}, {used} before the fork: tasks", 20, "all work")


def test_forks_of_a_forkservers_child(database: str, run_python: RunPython, tally: Tally) -> None:
    run_python(FORK_OF_A_FORKSERVERS_CHILD, database)
    tally.add("forks of a forkserver's child, three deep", 3, "all work")
