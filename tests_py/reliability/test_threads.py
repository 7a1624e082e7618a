"""Many threads on one pool, many on one session, and threads that end and leave things open."""

from __future__ import annotations

from reliability.tally import Tally
from support import RunPython, in_threads

from hypern.database import Database, db, finalize_db, scope

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


def test_sixty_four_threads_on_one_pool(database: str, tally: Tally, full: bool) -> None:
    Database.configure(database, max_size=8, acquire_timeout_secs=30)
    rounds = 200 if full else 25
    with scope():
        db().execute("CREATE TABLE counters (n int PRIMARY KEY, value int NOT NULL)")
        db().execute("INSERT INTO counters SELECT n, 0 FROM generate_series(0, 7) n")
    most = 0

    def work(thread: int) -> None:
        nonlocal most
        for number in range(rounds):
            with scope(), db().transaction() as session:
                mark = f"{thread} {number}"
                assert session.query_value("SELECT $1::text", [mark]) == mark
                add = "UPDATE counters SET value = value + 1 WHERE n = $1"
                assert session.execute(add, [thread % 8]) == 1
            most = max(most, Database.status().size)

    try:
        in_threads(64, work)
        with scope():
            values = [row["value"] for row in db().query("SELECT value FROM counters ORDER BY n")]
            assert values == [8 * rounds] * 8
        status = Database.status()
        assert (status.in_use, status.waiting) == (0, 0)
        assert 1 < most <= 8
    finally:
        Database.close()
    tally.add("64 threads on a pool of 8: transactions", 64 * rounds, "each counted once")


def test_threads_that_share_one_session_get_each_its_own_answers(
    configured: str, tally: Tally, full: bool
) -> None:
    rounds = 200 if full else 20
    session = db("shared")

    def work(thread: int) -> None:
        for number in range(rounds):
            mark = thread * rounds + number
            if thread % 4 == 0:
                rows = session.query("SELECT n FROM generate_series($1::int, $1 + 299) n", [mark])
                assert [row["n"] for row in rows] == list(range(mark, mark + 300))
            else:
                assert session.query_value("SELECT $1::int", [mark]) == mark

    in_threads(32, work)
    assert Database.status().size == 1
    finalize_db("shared")
    tally.add("32 threads on one session: statements", 32 * rounds, "each got its own answer")


def test_threads_that_end_without_finalize_leave_what_can_still_be_finalized(
    database: str, run_python: RunPython, tally: Tally
) -> None:
    run_python(THREADS_THAT_DIE_WITHOUT_FINALIZE, database)
    tally.add("threads that end without finalize", 20, "listed as holders; finalized by others")
