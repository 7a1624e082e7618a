"""The requests that are run while a connection is broken under them, and what must be true then.

Each writes rows under its own name into a ledger, so that what the caller was told can be compared
with what the server kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypern import errors
from hypern.database import Database, DbSession, db, scope

TABLE = """
CREATE TABLE IF NOT EXISTS ledger (run text NOT NULL, request text NOT NULL, row int NOT NULL,
    PRIMARY KEY (run, request, row))
"""
_INSERT = "INSERT INTO ledger VALUES ($1, $2, $3)"
_ROWS = "SELECT n, repeat('x', n % 50) AS x FROM generate_series(1, $1::int) n"
_MANY = 8
_SECONDS = 0.5  # how long a statement may take


@dataclass(frozen=True)
class Outcome:
    """What the caller of a request was told: success, or an error."""

    request: str
    error: errors.Error | None


def _insert(session: DbSession, run: str, request: str) -> None:
    assert session.execute(_INSERT, [run, request, 1], timeout=_SECONDS) == 1


def _commit(session: DbSession, run: str) -> None:
    session.begin()
    _insert(session, run, "commit")
    rows = session.query(
        "SELECT row FROM ledger WHERE run = $1 AND request = 'commit'", [run], timeout=_SECONDS
    )
    assert rows == [{"row": 1}]
    session.commit()


def _finalize(session: DbSession, run: str) -> None:
    session.begin()
    _insert(session, run, "finalize")


def _statement(session: DbSession, run: str) -> None:
    _insert(session, run, "statement")


def _rollback(session: DbSession, run: str) -> None:
    session.begin()
    _insert(session, run, "rollback")
    session.rollback()


def _marked(session: DbSession, run: str) -> None:
    session.begin()
    _insert(session, run, "marked")
    session.set_error()


def _many(session: DbSession, run: str) -> None:
    rows = [[run, "many", n] for n in range(_MANY)]
    assert session.execute_many(_INSERT, rows, timeout=_SECONDS) == _MANY


def _rows(session: DbSession, run: str) -> None:
    rows = session.query(_ROWS, [30], timeout=_SECONDS)
    assert rows == [{"n": n, "x": "x" * (n % 50)} for n in range(1, 31)]


def _cancel(session: DbSession, run: str) -> None:
    session.query("SELECT 1", timeout=_SECONDS)  # a short time would be spent on the pool
    try:
        session.query("SELECT pg_sleep(5)", timeout=0.05)
    except errors.QueryCanceled:
        assert session.query_value("SELECT 7", timeout=_SECONDS) == 7
    else:
        raise AssertionError("pg_sleep(5) took no time")


REQUESTS: dict[str, Callable[[DbSession, str], None]] = {
    "commit": _commit,
    "finalize": _finalize,
    "statement": _statement,
    "rollback": _rollback,
    "marked": _marked,
    "many": _many,
    "rows": _rows,
    "cancel": _cancel,
}
_ROLLED_BACK = {"rollback", "marked"}


def run_requests(alias: str, run: str) -> list[Outcome]:
    """Run every request once, each in a scope of its own."""
    outcomes = []
    for name, request in REQUESTS.items():
        error: errors.Error | None = None
        try:
            with scope():
                request(db(alias=alias), run)
        except errors.Error as raised:
            error = raised
        outcomes.append(Outcome(name, error))
    return outcomes


def broken_promises(outcomes: list[Outcome], run: str, admin: str) -> list[str]:
    """What the callers were told and the ledger denies; `admin` is an alias that nothing breaks."""
    with scope():
        counted = db(alias=admin).query(
            "SELECT request, count(*) AS n FROM ledger WHERE run = $1 GROUP BY request", [run]
        )
    kept = {row["request"]: row["n"] for row in counted}
    return [why for outcome in outcomes if (why := _broken(outcome, kept)) is not None]


def _broken(outcome: Outcome, kept: dict[str, int]) -> str | None:
    name, error = outcome.request, outcome.error
    rows = kept.get(name, 0)
    due = _MANY if name == "many" else 1
    if name in ("rows", "cancel"):
        due = 0
    if name in _ROLLED_BACK:
        return f"{name}: rolled back, and there are {rows} rows" if rows else None
    if error is None:
        return None if rows == due else f"{name}: reported done, and there are {rows} rows"
    if rows not in (0, due):
        return f"{name}: {rows} rows of {due}: neither all nor none"
    if not isinstance(error, errors.ConnectionLost) and rows:
        return f"{name}: {error!r}, but it was committed"
    if error.safe_to_retry and rows:
        return f"{name}: {error!r} says that it is safe to retry, but it was committed"
    return None


def configure(url: str, alias: str, password: str) -> None:
    """A pool for the requests: small, and quick to give up."""
    Database.configure(
        url,
        alias=alias,
        max_size=2,
        connect_timeout_secs=1,
        acquire_timeout_secs=3,
        application_name=alias,
        password=password,
    )
