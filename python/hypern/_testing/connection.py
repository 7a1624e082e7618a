"""The one connection of a test: all sessions share it, and its transaction is never committed."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from hypern import _native
from hypern._testing.session import NestedSession
from hypern._testing.worker import Worker
from hypern.errors import DatabaseError, InFailedSqlTransaction, InterfaceError
from hypern.session.blocking import DbSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypern._testing.transactions import NestedTransactions
    from hypern.config.settings import Settings

_T = TypeVar("_T")
_CLOSE_SECS = 5.0
_PREFIX = "hypern_test_"
_STATEMENT = "hypern_test_statement"


class NestedConnection:
    """One transaction for a whole test, in which each session's transactions are savepoints.

    Its statements are serialised by `lock`, which a session holds over a savepoint, its statement
    and the release. `open` are the sessions with a transaction, by savepoint, the innermost last.
    Everything but the statements is done by `alone`, so that an exception of a signal handler finds
    the transaction and what is known of it in agreement; the statement that it hits is settled
    before the next.
    """

    def __init__(self, settings: Settings) -> None:
        self.lock = threading.RLock()
        self.open: dict[str, NestedTransactions] = {}
        self._worker = Worker()
        self._numbers = itertools.count(1)
        self._running: NestedTransactions | None = None  # whose statement is not settled yet
        self._sessions: dict[tuple[str, str], NestedSession] = {}
        # Pools of its own: the code under test may configure, close and disconnect as it likes.
        self.pool = make_pool(replace(settings, alias="hypern test", max_size=1, min_idle=0))
        self._shells = make_pool(replace(settings, alias="hypern test shells"), NestedSession)
        self.outer: DbSession = self.pool.open("db_session")
        self.outer.begin()

    def session(self, alias: str, request_id: str) -> NestedSession:
        """The session of a request on an alias; the same one until it is finalized."""
        session = self._sessions.get((request_id, alias))
        return session or self.alone(lambda: self._open_session(alias, request_id))

    def _open_session(self, alias: str, request_id: str) -> NestedSession:
        session = self._sessions.get((request_id, alias))
        if session is None:
            # An object of the extension can only be made by a pool. It is finalized at once, so
            # that what NestedSession does not replace cannot reach a server.
            session = self._shells.open(f"{alias}:{request_id}:{self.number()}")
            _native.Session._finalize(session, 0.0)
            session.attach(self, request_id, alias)
            self._sessions[request_id, alias] = session
        return session

    def find(self, request_id: str, alias: str | None) -> list[NestedSession]:
        """The open sessions of a request, as `_native.sessions` has them."""
        with self.lock:
            return [
                session
                for (owner, name), session in self._sessions.items()
                if owner == request_id and alias in (None, name)
            ]

    def forget(self, session: NestedTransactions) -> None:
        """The session has been finalized."""
        self._sessions.pop((session.request_id, session.alias), None)

    def alone(self, work: Callable[[], _T]) -> _T:
        """Do what is not a statement of the code under test, as a whole."""
        if self._worker.is_here():
            return work()
        with self.lock:
            return self._worker(lambda: self._settled(work))

    def within(self, session: NestedTransactions, run: Callable[[], Any], *, writes: bool) -> Any:
        """Run a statement that may fail without harm to what was done before it.

        writes: bool, whether it may have left a deferred constraint to be checked.
        """
        with self.lock:
            checks = self.alone(lambda: self._prepare(session, writes=writes))
            try:
                result = run()
            except BaseException as error:
                cause = error
                self._worker(lambda: self._settle(cause))
                raise
            self._worker(lambda: self._settle(None, checks=checks))
            return result

    def _settled(self, work: Callable[[], _T]) -> _T:
        self._settle(InterfaceError("a statement was interrupted"))
        return work()

    def _prepare(self, session: NestedTransactions, *, writes: bool) -> bool:
        """Whether deferred constraints are to be checked after the statement."""
        session.check_not_aborted()
        self._check_there()
        checks = writes and not session.is_in_transaction
        if checks and self.open:  # what these have broken so far is theirs to mend
            checks = not self._is_broken()
        # Sent now and by itself: a savepoint that is sent with the statement, as the core's own
        # are, may be cancelled with it.
        self.outer.execute(f"SAVEPOINT {_STATEMENT}")
        self._running = session
        return checks

    def _settle(self, cause: BaseException | None, *, checks: bool = False) -> None:
        """End the statement that has run, if any, and undo it if the server has given it up.

        cause: what its transaction was aborted by, if it was.
        """
        session, self._running = self._running, None
        if session is None:
            return
        try:
            if checks:
                self.check_deferred()
            self.outer._release(_STATEMENT)  # refused, without asking the server, if it is aborted
        except InFailedSqlTransaction:
            self.outer._rollback_to(_STATEMENT)
            session.abort(cause)
        except DatabaseError:
            self.outer._rollback_to(_STATEMENT)
            raise

    def check_deferred(self) -> None:
        """Have the server check now what it would check at COMMIT, and wait again afterwards."""
        name = self.push()
        try:
            self.outer.execute("SET CONSTRAINTS ALL IMMEDIATE")
        finally:
            self.outer._rollback_to(name)

    def _is_broken(self) -> bool:
        try:
            self.check_deferred()
        except DatabaseError:
            return True
        return False

    def number(self) -> int:
        """One that is higher than all before."""
        return next(self._numbers)

    def push(self) -> str:
        """A new savepoint; its name."""
        self._check_there()
        name = f"{_PREFIX}{self.number()}"
        self.outer._savepoint(name)
        return name

    def _check_there(self) -> None:
        if not self.outer.is_in_transaction:
            raise InterfaceError("the transaction around the test is gone: db_session has ended")

    def begin(self, session: NestedTransactions) -> str:
        """A savepoint that stands for a session's transaction; its name."""
        name = self.push()
        self.open[name] = session
        return name

    def commit(self, name: str) -> None:
        """End a session's savepoint and keep what was done since."""
        if next(reversed(self.open)) == name:
            self.outer._release(name)
        # Otherwise another session's lies within it and would go with it. It does no harm.
        self.open.pop(name)

    def rollback(self, name: str) -> None:
        """Undo what was done since a session's savepoint, by whichever session."""
        self.outer._rollback_to(name)
        within = list(self.open)[list(self.open).index(name) :]
        self.open.pop(name)
        self._lose(within[1:])

    def has_begun_since(self, number: int) -> bool:
        """Whether a transaction that is open has begun since then; number: of `number()`."""
        return bool(self._begun_since(number))

    def lose_since(self, number: int) -> None:
        """A savepoint of that number has been gone back to."""
        self._lose(self._begun_since(number))

    def _begun_since(self, number: int) -> list[str]:
        return [name for name in self.open if int(name.removeprefix(_PREFIX)) > number]

    def _lose(self, names: list[str]) -> None:
        lost = [self.open.pop(name) for name in names]
        for session in lost:
            session.lose(
                "the test's one connection was rolled back to before this transaction: one "
                "that had begun earlier, in another session, was rolled back"
            )

    def close(self) -> None:
        """Undo everything."""
        with self.lock:
            for session in list(self._sessions.values()):
                session.detach()
            self._sessions.clear()
            try:
                self.outer.set_error()
                self.outer._finalize(0.0)
            finally:
                self.pool.close(_CLOSE_SECS)
                self._shells.close(_CLOSE_SECS)
                self._worker.stop()


def make_pool(settings: Settings, session_type: type[DbSession] = DbSession) -> _native.Pool:
    """A pool that no alias knows of."""
    return _native.Pool(
        settings.alias,
        settings.to_core(),
        session_type=session_type,
        json_loads=settings.json_loads,
        json_dumps=settings.json_dumps,
        infinity_minmax=settings.infinity == "minmax",
        password=settings.password,
    )
