"""Whatever a request does to its connection, the next one that gets it sees none of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from reliability.own_server import OwnServer
from reliability.session_state import LITTER, LOOK, SCHEMA
from reliability.tally import Tally

from hypern import errors
from hypern.database import Database, DbSession, db, finalize_db, scope


@pytest.fixture
def one_connection(own_server: OwnServer) -> Iterator[None]:
    """The alias "one": a single connection, so that each request follows on the one before."""
    with scope():
        db(alias="admin").execute("DROP SCHEMA IF EXISTS left_schema")
        for statement in SCHEMA:
            db(alias="admin").execute(statement)
    Database.configure(own_server.admin, alias="one", max_size=1, acquire_timeout_secs=10)
    yield
    Database.close("one")
    with scope():
        for what in (
            "TABLE left_rows",
            "SEQUENCE left_sequence",
            "SCHEMA left_schema",
            "PROCEDURE left_procedure",
            "FUNCTION left_function",
        ):
            db(alias="admin").execute(f"DROP {what}")
        db(alias="admin").execute("DROP ROLE left_role")


WaitingThread = Callable[[Callable[[], Any]], Callable[[], Any]]


@pytest.fixture
def waiting_thread() -> Iterator[WaitingThread]:
    """Runs a function that has to wait for the connection of "one", and answers once it does; the
    function it returns gives the outcome."""
    with ThreadPoolExecutor(1) as threads:

        def start(work: Callable[[], Any]) -> Callable[[], Any]:
            future = threads.submit(work)
            while Database.status("one").waiting == 0 and not future.done():
                time.sleep(0.001)
            return lambda: future.result(timeout=10)

        yield start


def _look(session: DbSession) -> tuple[dict[str, Any], Any]:
    """All that can be seen of earlier requests, and the connection it was seen on."""
    seen = session.query_one(LOOK)
    pid = session.query_value("SELECT pg_backend_pid()")
    with pytest.raises(errors.ObjectNotInPrerequisiteState):
        session.query_value("SELECT currval('left_sequence')")
    return seen, pid


class Requests(RuleBasedStateMachine):
    """Requests on one connection. The model is short: a request begins as the very first one did,
    and only rows that were committed are there."""

    statements: ClassVar[int] = 0
    requests: ClassVar[int] = 0

    @initialize()
    def first(self) -> None:
        with scope():
            db(alias="one").execute("DELETE FROM left_rows")
        with scope():
            self.model, self.pid = _look(db(alias="one"))
        self.session: DbSession | None = None

    def _current(self) -> DbSession:
        if self.session is None:
            self.session = db("a request", alias="one")
        return self.session

    @rule()
    def begin(self) -> None:
        session = self._current()
        if not session.is_in_transaction:
            session.begin()

    @rule(name=st.sampled_from(sorted(LITTER)))
    def litter(self, name: str) -> None:
        type(self).statements += 1
        try:
            LITTER[name](self._current())
        except errors.ConnectionLost:
            raise
        except errors.DatabaseError:
            pass  # not allowed here: in the wrong role, in no transaction, in an aborted one

    @rule(how=st.sampled_from(["commit", "rollback", "set_error", "auto_commit off", ""]))
    def end_and_look(self, how: str) -> None:
        type(self).requests += 1
        session = self._current()
        keeps = self._end(session, how)
        with suppress(errors.TransactionAborted):  # by a statement that was not allowed
            finalize_db("a request", alias="one")
        self.session = None
        with scope():
            seen, pid = _look(db(alias="one"))
        assert pid == self.pid, "the connection was not kept"
        if keeps:
            self.model["rows"] = seen["rows"]
        assert seen == self.model

    def _end(self, session: DbSession, how: str) -> bool:
        """End the request one way or another. Whether rows may have been committed."""
        try:
            if how == "commit" and session.is_in_transaction:
                session.commit()
            elif how == "rollback" and session.is_in_transaction:
                session.rollback()
            elif how == "set_error":
                session.set_error()
            elif how == "auto_commit off":
                session.set_auto_commit(False)
        except errors.TransactionAborted:
            return True
        return how in ("commit", "")

    def teardown(self) -> None:
        with suppress(errors.TransactionAborted):
            finalize_db("a request", alias="one")


def test_no_request_sees_what_the_one_before_has_left(
    one_connection: None, full: bool, tally: Tally
) -> None:
    run_state_machine_as_test(
        Requests,
        settings=settings(
            max_examples=300 if full else 20,
            stateful_step_count=25,
            deadline=None,
            derandomize=not full,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
    tally.add("random statements left behind", Requests.statements, "the next request sees none")
    tally.add("requests after them, on the same connection", Requests.requests, "as the first one")


@pytest.mark.parametrize("name", sorted(LITTER))
def test_each_alone_leaves_nothing(one_connection: None, name: str) -> None:
    with scope():
        before = _look(db(alias="one"))
    for transaction in (False, True):
        with scope():
            if transaction:
                db(alias="one").begin()
            try:
                LITTER[name](db(alias="one"))
            except errors.DatabaseError:
                db(alias="one").set_error()
            db(alias="one").set_error()
        with scope():
            after = _look(db(alias="one"))
        after[0]["rows"] = before[0]["rows"]
        assert after == before


@pytest.mark.parametrize("name", sorted(LITTER))
def test_nor_does_a_request_that_waited_for_the_connection(
    one_connection: None, name: str, waiting_thread: WaitingThread
) -> None:
    """It gets the connection without the reset, which goes ahead of its first statement."""
    with scope():
        before = _look(db(alias="one"))
    for transaction in (False, True):
        # COPY fails, and its litter goes on as if it had not.
        with suppress(errors.TransactionAborted), scope("the one before"):
            session = db(alias="one")
            if transaction:
                session.begin()
            try:
                LITTER[name](session)
            except errors.DatabaseError:
                session.set_error()
            look = waiting_thread(lambda: _look(db("the one that waits", alias="one")))
        after = look()
        finalize_db("the one that waits")
        after[0]["rows"] = before[0]["rows"]
        assert after == before


def test_nor_does_a_parameter_depend_on_its_time_zone(
    one_connection: None, waiting_thread: WaitingThread
) -> None:
    """An aware datetime for a timestamp is sent in the session's TimeZone, by the client."""
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    ask = "SELECT $1::timestamp"
    with scope():
        db(alias="one").execute("SET TimeZone = 'UTC'")
        assert db(alias="one").query_value(ask, [noon]) == noon.replace(tzinfo=None)
        db(alias="one").execute("RESET TimeZone")
        usual = db(alias="one").query_value(ask, [noon])
    for far in ("Asia/Tokyo", "America/Lima"):
        with scope():
            db(alias="one").execute(f"SET TimeZone = '{far}'")
        with scope():
            db(alias="one").begin()
            assert db(alias="one").query_value(ask, [noon]) == usual
        with scope("the one before"):
            db(alias="one").execute(f"SET TimeZone = '{far}'")
            answer = waiting_thread(
                lambda: db("the one that waits", alias="one").query_value(ask, [noon])
            )
        assert answer() == usual
        finalize_db("the one that waits")
