"""A scope's deadline: what is left of it bounds each wait, statement and commit; no rollback."""

from __future__ import annotations

import threading
import time
from typing import Any

import either
import pytest
from either import db, scope
from support import numbers_seen_by_others

from hypern.database import Database
from hypern.errors import PoolTimeout, QueryCanceled

pytestmark = pytest.mark.usefixtures("kind", "configured")

_SHORT = 0.3


@pytest.fixture(autouse=True)
def _table(configured: str) -> None:
    with scope():
        db().execute("DROP TABLE IF EXISTS numbers")
        db().execute("CREATE TABLE numbers (n int PRIMARY KEY)")


def _pass_deadline() -> None:
    time.sleep(_SHORT + 0.05)


def test_a_statement_has_what_is_left_and_its_error_names_the_deadline() -> None:
    began = time.monotonic()
    with scope(deadline_secs=_SHORT):
        db().execute("SELECT 1")
        with pytest.raises(QueryCanceled, match=r"canceling .* due to deadline_secs=0\.3 s"):
            db().execute("SELECT pg_sleep(60)")
        with pytest.raises(QueryCanceled, match=r"deadline_secs=0\.3 s .* nothing was sent"):
            db().execute("SELECT 1")
    assert time.monotonic() - began < 30


def test_a_shorter_timeout_of_the_statement_counts_and_is_named() -> None:
    with scope(deadline_secs=60), pytest.raises(QueryCanceled, match=r"due to timeout=0\.05 s"):
        db().execute("SELECT pg_sleep(60)", timeout=0.05)


def test_a_longer_timeout_does_not_lift_the_deadline() -> None:
    with scope(deadline_secs=_SHORT), pytest.raises(QueryCanceled, match="due to deadline_secs"):
        db().execute("SELECT pg_sleep(60)", timeout=60)


def test_every_kind_of_statement_is_refused_after_it() -> None:
    with scope(deadline_secs=_SHORT):
        session = db()
        session.execute("SELECT 1")
        _pass_deadline()
        calls: list[Any] = [
            lambda: session.query("SELECT 1"),
            lambda: session.execute_many("INSERT INTO numbers VALUES ($1)", [[1], [2]]),
            lambda: session.execute_script("SELECT 1; SELECT 2"),
            lambda: list(session.stream("SELECT 1")),
            session.begin,
            lambda: session.transaction().__enter__(),
        ]
        for call in calls:
            with pytest.raises(QueryCanceled, match="deadline_secs"):
                call()
    assert numbers_seen_by_others() == []


def test_a_stream_ends_at_it_in_mid_course_and_is_rolled_back() -> None:
    read = 0
    with pytest.raises(QueryCanceled, match="nothing was sent"), scope(deadline_secs=_SHORT):  # noqa: PT012
        rows = "INSERT INTO numbers SELECT generate_series(1, 1000) RETURNING n"
        for _ in db().stream(rows, chunk_rows=100):
            read += 1
            if read == 100:
                _pass_deadline()
    assert read == 100
    assert numbers_seen_by_others() == []


def test_a_stream_that_was_left_open_is_not_committed_after_it() -> None:
    with pytest.raises(QueryCanceled, match="was not committed"), scope(deadline_secs=_SHORT):  # noqa: PT012
        rows = "INSERT INTO numbers SELECT generate_series(1, 1000) RETURNING n"
        next(iter(db().stream(rows, chunk_rows=100)))
        _pass_deadline()
    assert numbers_seen_by_others() == []


def test_a_wait_for_a_connection_has_what_is_left(database: str) -> None:
    Database.configure(database, max_size=1, alias="one", acquire_timeout_secs=60)
    with scope():
        db(alias="one").execute("SELECT 1")
        with scope(deadline_secs=_SHORT), pytest.raises(PoolTimeout, match=r"deadline_secs=0\.3 s"):
            db(alias="one").execute("SELECT 1")
        with scope(deadline_secs=_SHORT), pytest.raises(PoolTimeout, match=r"deadline_secs=0\.3 s"):
            db(alias="one").begin()
    either.close("one")


def test_a_wait_for_another_thread_has_what_is_left() -> None:
    with scope(deadline_secs=_SHORT):
        session = db()
        session.execute("SELECT 1")
        started = threading.Event()

        def occupy() -> None:
            started.set()
            with pytest.raises(QueryCanceled):
                session.execute("SELECT pg_sleep(60)")

        thread = threading.Thread(target=occupy)
        thread.start()
        started.wait()
        time.sleep(0.05)
        with pytest.raises(QueryCanceled, match="deadline_secs"):
            session.execute("SELECT 1")
        thread.join()


def test_commit_after_it_is_refused_and_rollback_is_allowed() -> None:
    with scope(deadline_secs=_SHORT):
        session = db()
        session.begin()
        session.execute("INSERT INTO numbers VALUES (1)")
        _pass_deadline()
        with pytest.raises(QueryCanceled, match=r"deadline_secs=0\.3 s .* was not committed"):
            session.commit()
        assert session.is_in_transaction
        session.rollback()
    assert numbers_seen_by_others() == []


def test_a_block_that_ends_after_it_is_rolled_back() -> None:
    with scope(deadline_secs=_SHORT):
        session = db()
        with pytest.raises(QueryCanceled, match="was not committed"), session.transaction():  # noqa: PT012
            session.execute("INSERT INTO numbers VALUES (1)")
            _pass_deadline()
        assert not session.is_in_transaction
    assert numbers_seen_by_others() == []


def test_a_scope_that_ends_after_it_is_rolled_back_and_says_so() -> None:
    with pytest.raises(QueryCanceled, match="was not committed"), scope(deadline_secs=_SHORT):  # noqa: PT012
        db().begin()
        db().execute("INSERT INTO numbers VALUES (1)")
        _pass_deadline()
    assert numbers_seen_by_others() == []


def test_a_scope_without_an_open_transaction_may_end_after_it() -> None:
    with scope(deadline_secs=_SHORT):
        db().execute("INSERT INTO numbers VALUES (1)")
        db().begin()
        _pass_deadline()
    assert numbers_seen_by_others() == [1]


def test_an_exception_of_the_block_is_the_one_that_is_raised() -> None:
    with pytest.raises(LookupError), scope(deadline_secs=_SHORT):  # noqa: PT012
        db().begin()
        db().execute("INSERT INTO numbers VALUES (1)")
        _pass_deadline()
        raise LookupError("a bug")
    assert numbers_seen_by_others() == []
