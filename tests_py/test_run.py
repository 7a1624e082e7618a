"""run(): a transaction called again where the server gave it up for the sake of others."""

from __future__ import annotations

import threading

import pytest
from either import db, finalize_db
from support import insert, numbers_seen_by_others

from hypern import errors
from hypern.database import DbSession

pytestmark = pytest.mark.usefixtures("kind", "numbers")


def fail(session: DbSession, sqlstate: str) -> None:
    """Have the server raise an error with this SQLSTATE."""
    session.execute(f"DO $$ BEGIN RAISE EXCEPTION 'on demand' USING ERRCODE = '{sqlstate}'; END $$")


def test_run_commits_and_returns_what_the_function_returned(session: DbSession) -> None:
    assert session.run(lambda s: s.query_value("INSERT INTO numbers VALUES (1) RETURNING n")) == 1
    assert session.state == "committed"
    assert numbers_seen_by_others() == [1]


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_run_repeats_what_the_server_gave_up(session: DbSession, sqlstate: str) -> None:
    attempts: list[int] = []
    committed: list[int] = []

    def work(s: DbSession) -> int:
        attempts.append(len(attempts))
        insert(s, attempts[-1])
        s.on_commit(lambda n=attempts[-1]: committed.append(n))  # type: ignore[misc]
        if len(attempts) < 3:
            fail(s, sqlstate)
        return attempts[-1]

    assert session.run(work) == 2
    assert committed == [2]
    assert numbers_seen_by_others() == [2]


def test_run_gives_up_after_its_retries(session: DbSession) -> None:
    attempts: list[int] = []

    def work(s: DbSession) -> None:
        attempts.append(1)
        fail(s, "40001")

    for retries in (0, 2):
        attempts.clear()
        with pytest.raises(errors.SerializationFailure):
            session.run(work, retries=retries)
        assert len(attempts) == retries + 1
        assert session.state == "rolled_back"


def test_run_rolls_back_and_raises_any_other_error(session: DbSession) -> None:
    attempts: list[int] = []

    def work(s: DbSession) -> None:
        attempts.append(1)
        insert(s, 1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        session.run(work)
    with pytest.raises(errors.CheckViolation):
        session.run(lambda s: insert(s, -1))
    assert len(attempts) == 1
    assert numbers_seen_by_others() == []


def test_run_refuses_an_open_transaction(session: DbSession) -> None:
    session.begin()
    with pytest.raises(errors.InterfaceError, match="inside an open transaction"):
        session.run(lambda s: None)
    session.rollback()


def test_run_repeats_a_commit_that_tells_of_a_conflict_swallowed(session: DbSession) -> None:
    attempts: list[int] = []

    def work(s: DbSession) -> None:
        attempts.append(1)
        insert(s, len(attempts))
        if len(attempts) == 1:
            with pytest.raises(errors.SerializationFailure):
                fail(s, "40001")

    session.run(work)
    assert numbers_seen_by_others() == [2]


def test_run_never_repeats_what_was_committed(session: DbSession) -> None:
    attempts: list[int] = []

    def refuse() -> None:
        raise errors.SerializationFailure("of the function's own")

    def work(s: DbSession) -> None:
        attempts.append(1)
        insert(s, len(attempts))
        s.on_commit(refuse)

    with pytest.raises(errors.SerializationFailure):
        session.run(work)
    assert numbers_seen_by_others() == [1]


def test_run_checks_its_arguments(session: DbSession) -> None:
    with pytest.raises(ValueError, match="retries"):
        session.run(lambda s: None, retries=-1)
    with pytest.raises(TypeError, match="retries"):
        session.run(lambda s: None, retries=1.5)  # type: ignore[arg-type]
    assert session.state != "in_transaction"


def test_transfers_in_both_directions_all_succeed(session: DbSession) -> None:
    """Deadlocks and write conflicts of real transactions: no transfer is lost, none is doubled."""
    insert(session, 1000)
    insert(session, 2000)
    session.execute("ALTER TABLE numbers ADD balance int DEFAULT 0 NOT NULL")
    failures: list[BaseException] = []

    def transfer(s: DbSession, source: int, target: int) -> None:
        s.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        for n, amount in ((source, -1), (target, 1)):
            balance = s.query_value("SELECT balance FROM numbers WHERE n = $1", [n])
            s.execute("UPDATE numbers SET balance = $2 WHERE n = $1", [n, balance + amount])

    def work(name: str, source: int, target: int) -> None:
        try:
            for _ in range(25):
                db(name).run(lambda s: transfer(s, source, target), retries=100)
        except BaseException as error:
            failures.append(error)
        finally:
            finalize_db(name)

    threads = [
        threading.Thread(target=work, args=("up", 1000, 2000)),
        threading.Thread(target=work, args=("down", 2000, 1000)),
        threading.Thread(target=work, args=("up again", 1000, 2000)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    balances = session.query("SELECT balance FROM numbers ORDER BY n")
    assert [row["balance"] for row in balances] == [-25, 25]
