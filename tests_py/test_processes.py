"""Import loads nothing; forks before and after use, nested, and multiprocessing all work."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import pytest
from support import RunPython

import hypern

IMPORT_LOADS_NOTHING = """
import os, sys

def threads():
    return len(os.listdir("/proc/self/task"))

def core_is_mapped():
    return "hypern_core" in open("/proc/self/maps").read()

before = threads()
import hypern
from hypern import _native
from hypern.database import Database, db, finalize_db, scope, PoolStatus
Database.configure(sys.argv[1], alias="default", max_size=3, min_idle=1)
Database.on_statement(lambda *told: None)
assert Database.is_configured()
assert Database.status() == PoolStatus(0, 0, 3)
with scope():
    finalize_db()
finalize_db("nobody")
assert _native.debug() == b"{}" and _native.left_open() == b"[]"
Database.close()
assert not core_is_mapped() and not _native.core_loaded()
assert threads() == before, threads()

Database.configure(sys.argv[1])
assert db("first").query_value("SELECT 1") == 1
assert core_is_mapped() and _native.core_loaded()
finalize_db("first")
"""

FORK_BEFORE_USE = """
import os, sys
from hypern.database import Database, db, scope
Database.configure(sys.argv[1], max_size=2)
children = []
for n in range(4):
    pid = os.fork()
    if pid == 0:
        with scope():
            assert db().query_value("SELECT $1::int", [n]) == n
        Database.close()
        os._exit(0)
    children.append(pid)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
with scope():
    assert db().query_value("SELECT 1") == 1
"""

FORK_AFTER_USE = """
import os, sys, threading, time
from hypern import errors
from hypern.database import Database, db, finalize_db, scope
Database.configure(sys.argv[1], max_size=4)

stop = threading.Event()
failures = []
def busy():
    try:
        while not stop.is_set():
            with scope():
                assert db().query_value("SELECT 7") == 7
    except BaseException as error:
        failures.append(error)
threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads:
    thread.start()

inherited = db("parent").begin()
parent_pid = inherited.query_value("SELECT pg_backend_pid()")

def child(depth):
    try:
        try:
            inherited.query("SELECT 1")
        except errors.Error as error:
            assert "fork" in str(error), error
        else:
            raise AssertionError("the parent's session answered in the child")
        mine = db("parent")
        assert mine is not inherited
        assert not mine.is_in_transaction
        with mine.transaction():
            pid = mine.query_value("SELECT pg_backend_pid()")
        assert pid != parent_pid
        finalize_db("parent")
        assert Database.status().in_use == 0
        if depth:
            fork(depth - 1)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

def fork(depth):
    pid = os.fork()
    if pid == 0:
        child(depth)
    assert os.waitpid(pid, 0)[1] == 0

for _ in range(5):
    fork(3)

assert inherited.query_value("SELECT pg_backend_pid()") == parent_pid
assert inherited.is_in_transaction
finalize_db("parent")
stop.set()
for thread in threads:
    thread.join()
assert failures == [], failures
"""

FORK_IN_A_SCOPE = """
import os, sys
from hypern.database import Database, db, scope
Database.configure(sys.argv[1], max_size=2)
with scope("both") as current:
    db().execute("SELECT 1")
    pid = os.fork()
    if pid == 0:
        assert db() is db(current)
        assert db().query_value("SELECT 2") == 2
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert db().query_value("SELECT 3") == 3
"""

EXIT_OF_A_FORKED_CHILD = """
import os, sys
from hypern.database import Database, db, finalize_db
Database.configure(sys.argv[1], max_size=2)
session = db("parent").begin()
session.query("SELECT 1")
pid = os.fork()
if pid == 0:
    sys.exit(0)  # atexit handlers run, and must leave the parent's connection alone
assert os.waitpid(pid, 0)[1] == 0
assert session.query_value("SELECT 2") == 2
finalize_db("parent")
"""

MULTIPROCESSING = """
import multiprocessing, sys
from hypern.database import Database, db, scope

def work(arguments):
    url, n = arguments
    Database.configure(url, max_size=2)
    with scope():
        return db().query_value("SELECT $1::int * 2", [n])

if __name__ == "__main__":
    method, url, used = sys.argv[1:]
    Database.configure(url, max_size=2)
    if used == "used":
        with scope():
            db().query("SELECT 1")
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(work, [(url, n) for n in range(8)]) == [2 * n for n in range(8)]
        pool.close()
        pool.join()
    with scope():
        assert db().query_value("SELECT 3") == 3
"""

CONCURRENT_FUTURES = """
import sys
from concurrent.futures import ProcessPoolExecutor
from hypern.database import Database, db, scope

def work(n):
    with scope(), db().transaction() as session:
        return session.query_value("SELECT $1::int", [n])

if __name__ == "__main__":
    Database.configure(sys.argv[1], max_size=2)
    with scope():
        db().query("SELECT 1")
    import multiprocessing
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(executor.map(work, range(8))) == list(range(8))
"""

SUBINTERPRETER = """
import sys
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
i = interpreters.create()
code = '''
import sys
try:
    import hypern
except ImportError as error:
    assert "interpreter" in str(error), error
else:
    raise AssertionError("it was loaded")
'''
result = interpreters.run_string(i, code)
assert result is None, result
"""

FORK_IN_A_SIGNALS_HANDLER = """
import asyncio, os, signal, socket, sys, threading, time
from hypern import errors
from hypern.database import Database, adb, db, finalize_db, scope

url, kind, what, ends = sys.argv[1:]
Database.configure(url, max_size=1 if what == "a connection" else 2, acquire_timeout_secs=20)

class Stop(Exception):
    pass

child = None
pairs = []

def handler(number, frame):
    global child
    child = os.fork()
    if child == 0:
        signal.alarm(15)  # one that hangs is killed
        for _ in range(5):  # these have the numbers of the parent's connections
            pairs.extend(socket.socketpair())
        for end in pairs:
            end.send(b"x")
        if ends == "raises":
            raise Stop

signal.signal(signal.SIGUSR1, handler)

def rows():
    yield []
    os.kill(os.getpid(), signal.SIGUSR1)
    for _ in range(1000):
        yield []

def wait(session):
    if what == "rows":
        return session.execute_many("SELECT 1", rows())
    if what == "an answer":
        return session.query_value("SELECT 1 FROM pg_sleep(1)")
    return session.query_value("SELECT 1")

async def awaited():
    return await wait(adb("waits"))

def hold(name):
    db(name).query_value("SELECT 1 FROM pg_sleep(1)")
    if what == "a connection":
        finalize_db(name)

if what in ("a connection", "the session"):
    name = "waits" if what == "the session" else "holds"
    threading.Thread(target=hold, args=(name,), daemon=True).start()
    time.sleep(0.2)
else:
    db("waits").query_value("SELECT 1")
if what != "rows":
    main = os.getpid()
    threading.Timer(0.2, os.kill, (main, signal.SIGUSR1)).start()
try:
    # asyncio.run() would clean up in the child with the parent's selector.
    loop = asyncio.new_event_loop()
    outcome = loop.run_until_complete(awaited()) if kind == "awaited" else wait(db("waits"))
except BaseException as error:
    outcome = error
if child == 0:
    try:
        expected = Stop if ends == "raises" else errors.InterfaceError
        assert type(outcome) is expected, outcome
        assert ends == "raises" or "fork" in str(outcome), outcome
        assert [end.recv(2, socket.MSG_DONTWAIT) for end in pairs] == [b"x"] * 10
        with scope():
            assert db().query_value("SELECT 2") == 2
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
assert child is not None
assert outcome == (1001 if what == "rows" else 1), outcome
assert os.waitpid(child, 0)[1] == 0
finalize_db("waits")
with scope():
    assert db().query_value("SELECT 2") == 2
"""

HIGH_DESCRIPTORS = """
import os, resource, sys
from hypern.database import Database, db, scope
from proc import sockets
Database.configure(sys.argv[1], max_size=1)

lowest = int(sys.argv[2])
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 100, most))
before = sockets()
null = os.open("/dev/null", os.O_RDONLY)
while os.dup(null) < lowest:
    pass
with scope():
    assert db().query_value("SELECT 1") == 1
    ours = sockets().keys() - before.keys()
    assert ours and all(fd > lowest for fd in ours), ours
    pid = os.fork()
    if pid == 0:
        os._exit(1 if sockets().keys() & ours else 0)
    assert os.waitpid(pid, 0)[1] == 0
    assert db().query_value("SELECT 2") == 2
"""

CORE_CUT_SHORT = """
import asyncio, os, shutil, sys
package, kept, loaded, kind = sys.argv[2], float(sys.argv[3]), sys.argv[4] == "loaded", sys.argv[5]
sys.path.insert(0, os.path.dirname(package))
import hypern
assert os.path.dirname(hypern.__file__) == package
from hypern import errors
from hypern.database import Database, adb, db, scope

async def awaited():
    async with scope():
        return await adb().query_value("SELECT 1")

def ask():
    if kind == "awaited":
        return asyncio.run(awaited())
    with scope():
        return db().query_value("SELECT 1")

Database.configure(sys.argv[1])
if loaded:
    assert ask() == 1
core = os.path.join(package, "libhypern_core.so")
os.rename(core, core + ".whole")
size = os.stat(core + ".whole").st_size
shutil.copy(core + ".whole", core)
os.truncate(core, int(size * kept))
pid = os.fork()
if pid == 0:
    status = 1
    try:
        ask()
    except errors.CoreUnavailable as error:
        print(error)
        status = 0
    sys.stdout.flush()
    os._exit(status)
assert os.waitpid(pid, 0)[1] == 0
os.replace(core + ".whole", core)
assert ask() == 1
"""

EXIT_WITH_STATEMENT_RUNNING = """
import sys, threading, time
from hypern.database import Database, db
Database.configure(sys.argv[1])
def work():
    try:
        db("stuck").query("SELECT pg_sleep(60)")
    except BaseException:
        pass
threading.Thread(target=work, daemon=True).start()
time.sleep(0.5)
"""


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(IMPORT_LOADS_NOTHING, id="import and configure load nothing"),
        pytest.param(FORK_BEFORE_USE, id="fork before use"),
        pytest.param(FORK_AFTER_USE, id="fork after use, nested"),
        pytest.param(FORK_IN_A_SCOPE, id="fork in a scope"),
        pytest.param(EXIT_OF_A_FORKED_CHILD, id="exit of a forked child"),
        pytest.param(CONCURRENT_FUTURES, id="concurrent.futures"),
        pytest.param(SUBINTERPRETER, id="sub-interpreters are refused"),
        pytest.param(EXIT_WITH_STATEMENT_RUNNING, id="exit with a statement running"),
    ],
)
def test_a_process(database: str, run_python: RunPython, script: str) -> None:
    run_python(script, database)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("used", ["unused", "used"])
def test_multiprocessing(database: str, run_python: RunPython, method: str, used: str) -> None:
    run_python(MULTIPROCESSING, method, database, used)


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
@pytest.mark.parametrize("what", ["an answer", "a connection", "the session", "rows"])
@pytest.mark.parametrize("ends", ["raises", "returns"])
def test_a_fork_in_a_signals_handler(
    database: str, run_python: RunPython, kind: str, what: str, ends: str
) -> None:
    """The child leaves the wait at once, with its handler's exception or one that says why."""
    if kind == "awaited" and ends == "returns":
        pytest.skip("the child would go on with the parent's event loop, which asyncio cannot do")
    if kind == "awaited" and what == "rows":
        pytest.skip("the rows of a task are encoded in the event loop's callback, which logs")
    run_python(FORK_IN_A_SIGNALS_HANDLER, database, kind, what, ends, seconds=30)


@pytest.mark.parametrize("lowest", [1000, 66_000])
def test_descriptors_of_any_number_are_closed_in_a_child(
    database: str, run_python: RunPython, lowest: int
) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY and most < lowest + 100:
        pytest.skip(f"no process here can open more than {most} files")
    run_python(HIGH_DESCRIPTORS, database, str(lowest))


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
@pytest.mark.parametrize("loaded", ["loaded", "not loaded"])
@pytest.mark.parametrize("kept", [0.0, 0.0001, 0.5, 0.9999])
def test_a_core_cut_short_on_disk_is_an_error_in_a_forked_child(
    database: str, run_python: RunPython, tmp_path: Path, kept: float, loaded: str, kind: str
) -> None:
    """As a copy to a full disk leaves it; the kernel would end the child with SIGBUS."""
    package = tmp_path / "hypern"
    shutil.copytree(Path(hypern.__file__).parent, package)
    done = run_python(CORE_CUT_SHORT, database, str(package), str(kept), loaded, kind)
    assert "core cannot be loaded" in done.stdout
    assert kept < 0.1 or "is cut short; reinstall hypern" in done.stdout
