"""The requests that are run while a connection is broken under them, and what must be true then.

Each writes rows under its own name into a ledger, so that what the caller was told can be compared
with what the server kept. They are written once, as coroutines: a blocking session's calls are over
before they are awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, Protocol

from reliability.own_server import OwnServer

from hypern import errors
from hypern.database import Database, DbSession, adb, db, scope
from hypern.session.batch import Statements

_TABLE = """
CREATE TABLE IF NOT EXISTS ledger (run text NOT NULL, request text NOT NULL, row int NOT NULL,
    PRIMARY KEY (run, request, row))
"""
_INSERT = "INSERT INTO ledger VALUES ($1, $2, $3)"
_KEPT = "SELECT count(*) FROM ledger WHERE run = $1 AND request = $2"
_ROWS = "SELECT n, repeat('x', n % 50) AS x FROM generate_series(1, $1::int) n"
_MANY = 8
_SECONDS = 1.0  # how long a statement may take


@dataclass(frozen=True)
class Outcome:
    """What the caller of a request was told: success, or an error."""

    request: str
    error: errors.Error | None


class Session(Protocol):
    """What the requests need of a session: AsyncDbSession has it, `_Blocking` gives it to another.

    `params` are a statement's parameters, `timeout` is in seconds.
    """

    def begin(self) -> Awaitable[object]: ...
    def commit(self) -> Awaitable[object]: ...
    def rollback(self) -> Awaitable[object]: ...
    def set_error(self) -> object: ...
    def execute(self, sql: str, params: Sequence[Any], *, timeout: float) -> Awaitable[int]: ...
    def execute_many(
        self, sql: str, rows: Sequence[Sequence[Any]], *, timeout: float
    ) -> Awaitable[int]: ...
    def query(
        self, sql: str, params: Sequence[Any] | None = None, *, timeout: float
    ) -> Awaitable[list[dict[str, Any]]]: ...
    def query_many(
        self, sql: str, rows: Sequence[Sequence[Any]], *, timeout: float
    ) -> Awaitable[list[dict[str, Any]]]: ...
    def batch(self, *, timeout: float) -> contextlib.AbstractAsyncContextManager[Statements]: ...
    def stream(
        self, sql: str, params: Sequence[Any], *, chunk_rows: int, timeout: float
    ) -> AsyncIterator[dict[str, Any]]: ...
    def copy_in(
        self, table: str, rows: Iterable[Sequence[Any]], *, timeout: float
    ) -> Awaitable[int]: ...
    def copy_in_raw(
        self, sql: str, chunks: Iterable[bytes], *, timeout: float
    ) -> Awaitable[int]: ...
    def copy_out(self, query: str, *, timeout: float) -> AsyncIterator[dict[str, Any]]: ...


class _Blocking:
    """A blocking session whose calls can be awaited; they are over by then."""

    def __init__(self, session: DbSession) -> None:
        self._session = session

    async def begin(self) -> object:
        return self._session.begin()

    async def commit(self) -> object:
        return self._session.commit()

    async def rollback(self) -> object:
        return self._session.rollback()

    def set_error(self) -> object:
        return self._session.set_error()

    async def execute(self, sql: str, params: Sequence[Any], *, timeout: float) -> int:
        return self._session.execute(sql, params, timeout=timeout)

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Any]], *, timeout: float) -> int:
        return self._session.execute_many(sql, rows, timeout=timeout)

    async def query(
        self, sql: str, params: Sequence[Any] | None = None, *, timeout: float
    ) -> list[dict[str, Any]]:
        return self._session.query(sql, params, timeout=timeout)

    async def query_many(
        self, sql: str, rows: Sequence[Sequence[Any]], *, timeout: float
    ) -> list[dict[str, Any]]:
        return self._session.query_many(sql, rows, timeout=timeout)

    @contextlib.asynccontextmanager
    async def batch(self, *, timeout: float) -> AsyncIterator[Statements]:
        with self._session.batch(timeout=timeout) as batch:
            yield batch

    async def stream(
        self, sql: str, params: Sequence[Any], *, chunk_rows: int, timeout: float
    ) -> AsyncIterator[dict[str, Any]]:
        for row in self._session.stream(sql, params, chunk_rows=chunk_rows, timeout=timeout):
            yield row

    async def copy_in(self, table: str, rows: Iterable[Sequence[Any]], *, timeout: float) -> int:
        return self._session.copy_in(table, rows, timeout=timeout)

    async def copy_in_raw(self, sql: str, chunks: Iterable[bytes], *, timeout: float) -> int:
        return self._session.copy_in_raw(sql, chunks, timeout=timeout)

    async def copy_out(self, query: str, *, timeout: float) -> AsyncIterator[dict[str, Any]]:
        for row in self._session.copy_out(query, timeout=timeout):
            yield row


async def _insert(session: Session, run: str, request: str) -> None:
    assert await session.execute(_INSERT, [run, request, 1], timeout=_SECONDS) == 1


async def _commit(session: Session, run: str) -> None:
    await session.begin()
    await _insert(session, run, "commit")
    rows = await session.query(
        "SELECT row FROM ledger WHERE run = $1 AND request = 'commit'", [run], timeout=_SECONDS
    )
    assert rows == [{"row": 1}]
    await session.commit()


async def _finalize(session: Session, run: str) -> None:
    await session.begin()
    await _insert(session, run, "finalize")


async def _statement(session: Session, run: str) -> None:
    await _insert(session, run, "statement")


async def _rollback(session: Session, run: str) -> None:
    await session.begin()
    await _insert(session, run, "rollback")
    await session.rollback()


async def _marked(session: Session, run: str) -> None:
    await session.begin()
    await _insert(session, run, "marked")
    session.set_error()


async def _many(session: Session, run: str) -> None:
    rows = [[run, "many", n] for n in range(_MANY)]
    assert await session.execute_many(_INSERT, rows, timeout=_SECONDS) == _MANY


async def _query_many(session: Session, run: str) -> None:
    rows = [[run, "query_many", n] for n in range(_MANY)]
    found = await session.query_many(f"{_INSERT} RETURNING row", rows, timeout=_SECONDS)
    assert found == [{"row": n} for n in range(_MANY)]


async def _batch(session: Session, run: str) -> None:
    async with session.batch(timeout=_SECONDS) as batch:
        for n in range(_MANY):
            batch.execute(_INSERT, [run, "batch", n])
        count = batch.query_value(_KEPT, [run, "batch"])
    assert count.value == _MANY


async def _batch_of_runs(session: Session, run: str) -> None:
    async with session.batch(timeout=_SECONDS) as batch:
        batch.execute(_INSERT, [run, "batch of runs", 0])
        batch.execute("SET LOCAL search_path TO public")
        for n in range(1, _MANY):
            batch.execute(_INSERT, [run, "batch of runs", n])
        count = batch.query_value(_KEPT, [run, "batch of runs"])
    assert count.value == _MANY


_THIRTY = [{"n": n, "x": "x" * (n % 50)} for n in range(1, 31)]


async def _rows(session: Session, run: str) -> None:
    assert await session.query(_ROWS, [30], timeout=_SECONDS) == _THIRTY


async def _stream(session: Session, run: str) -> None:
    stream = session.stream(_ROWS, [30], chunk_rows=12, timeout=_SECONDS)
    assert [row async for row in stream] == _THIRTY


async def _copy_in(session: Session, run: str) -> None:
    rows = [[run, "copy in", n] for n in range(_MANY)]
    assert await session.copy_in("ledger", rows, timeout=_SECONDS) == _MANY


async def _copy_data(session: Session, run: str) -> None:
    lines = [f"{run}\tcopy data\t{n}\n".encode() for n in range(_MANY)]
    copy = "COPY ledger FROM STDIN"
    assert await session.copy_in_raw(copy, lines, timeout=_SECONDS) == _MANY


class _GivenUpError(Exception):
    pass


async def _copy_fail(session: Session, run: str) -> None:
    def lines() -> Iterator[bytes]:
        yield f"{run}\tcopy fail\t0\n".encode()
        raise _GivenUpError

    with contextlib.suppress(_GivenUpError):
        await session.copy_in_raw("COPY ledger FROM STDIN", lines(), timeout=_SECONDS)


async def _copy_out(session: Session, run: str) -> None:
    stream = session.copy_out(_ROWS.replace("$1", "30"), timeout=_SECONDS)
    assert [row async for row in stream] == _THIRTY


async def _cancel(session: Session, run: str) -> None:
    await session.query("SELECT 1", timeout=_SECONDS)  # a short time would be spent on the pool
    try:
        await session.query("SELECT pg_sleep(5)", timeout=0.05)
    except (errors.QueryCanceled, errors.ConnectionLost) as error:
        # Of a server that does not confirm in time the connection is given up.
        if "timeout=0.05 s" not in str(error):
            raise
        assert await session.query("SELECT 7 AS n", timeout=_SECONDS) == [{"n": 7}]
    else:
        raise AssertionError("pg_sleep(5) took no time")


REQUESTS: dict[str, Callable[[Session, str], Coroutine[Any, Any, None]]] = {
    "commit": _commit,
    "finalize": _finalize,
    "statement": _statement,
    "rollback": _rollback,
    "marked": _marked,
    "many": _many,
    "query_many": _query_many,
    "batch": _batch,
    "batch of runs": _batch_of_runs,
    "rows": _rows,
    "stream": _stream,
    "copy in": _copy_in,
    "copy data": _copy_data,
    "copy fail": _copy_fail,
    "copy out": _copy_out,
    "cancel": _cancel,
}
_ROLLED_BACK = {"rollback", "marked"}
_WRITES_MANY = {"many", "query_many", "batch", "batch of runs", "copy in", "copy data"}
_WRITES_NOTHING = {"rows", "stream", "copy fail", "copy out", "cancel"}


def run_requests(alias: str, run: str, awaited: bool = False) -> list[Outcome]:
    """Run every request once, each in a scope of its own: by `db()`, or awaited by `adb()`."""
    if awaited:
        return asyncio.run(_run_awaited(alias, run))
    return [Outcome(name, _run_blocking(alias, run, name)) for name in REQUESTS]


def _run_blocking(alias: str, run: str, name: str) -> errors.Error | None:
    try:
        with scope():
            coroutine = REQUESTS[name](_Blocking(db(alias=alias)), run)
            try:
                coroutine.send(None)
            except StopIteration:
                return None
            raise AssertionError("a blocking call waited for an event loop")
    except errors.Error as raised:
        return raised


async def _run_awaited(alias: str, run: str) -> list[Outcome]:
    outcomes = []
    for name, request in REQUESTS.items():
        error: errors.Error | None = None
        try:
            async with scope():
                await request(adb(alias=alias), run)
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
    due = _MANY if name in _WRITES_MANY else 1
    if name in _WRITES_NOTHING:
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
        connect_timeout_secs=3,
        acquire_timeout_secs=6,
        application_name=alias,
        password=password,
    )


@contextlib.contextmanager
def serving(server: OwnServer) -> Iterator[OwnServer]:
    """The server with the ledger in it, under the alias "admin" too."""
    Database.configure(server.admin, alias="admin", max_size=20)
    with scope():
        db(alias="admin").execute(_TABLE)
    yield server
    Database.close()
