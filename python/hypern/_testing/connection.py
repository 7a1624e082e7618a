"""The one connection of a test: all sessions share it, and its transaction is never committed."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypern import _native
from hypern._session import DbSession
from hypern._testing.session import NestedSession
from hypern.errors import InterfaceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypern._config import Settings
    from hypern._testing.transactions import NestedTransactions

_CLOSE_SECS = 5.0


class NestedConnection:
    """One transaction for a whole test, in which each session's transactions are savepoints.

    Its statements are serialised by `lock`, which a session holds over a savepoint, its statement
    and the release. `open` are the sessions with a transaction, by savepoint, the innermost last.
    """

    def __init__(self, settings: Settings) -> None:
        self.lock = threading.RLock()
        self.open: dict[str, NestedTransactions] = {}
        self._names = (f"hypern_test_{n}" for n in itertools.count(1))
        self._sessions: dict[tuple[str, str], NestedSession] = {}
        # Pools of its own: the code under test may configure, close and disconnect as it likes.
        self.pool = make_pool(replace(settings, alias="hypern test", max_size=1, min_idle=0))
        self._shells = make_pool(replace(settings, alias="hypern test shells"), NestedSession)
        self.outer: DbSession = self.pool.open("db_session")
        self.outer.begin()

    def session(self, alias: str, request_id: str) -> NestedSession:
        """The session of a request on an alias; the same one until it is finalized."""
        with self.lock:
            session = self._sessions.get((request_id, alias))
            if session is None:
                # An object of the extension can only be made by a pool. It is finalized at once, so
                # that what NestedSession does not replace cannot reach a server.
                session = self._shells.open(f"{alias}:{request_id}:{next(self._names)}")
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

    def within(self, run: Callable[[], Any]) -> Any:
        """Run a statement that may fail without harm to what was done before it."""
        name = self.push()
        try:
            result = run()
        except BaseException:
            self.outer._rollback_to(name)
            raise
        self.outer._release(name)
        return result

    def push(self) -> str:
        """A new savepoint; its name."""
        if not self.outer.is_in_transaction:
            raise InterfaceError("the transaction around the test is gone: db_session has ended")
        name = next(self._names)
        self.outer._savepoint(name)
        return name

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
        for lost in within:
            session = self.open.pop(lost)
            if lost != name:
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
