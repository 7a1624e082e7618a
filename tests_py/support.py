"""What several test files share that is no fixture."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from typing import Protocol
from urllib.parse import quote

from hypern.config.parse import parse
from hypern.database import DbSession, db, scope


class RunPython(Protocol):
    """The fixture `run_python`."""

    def __call__(
        self,
        code: str,
        *arguments: str,
        options: tuple[str, ...] = (),
        status: int = 0,
        seconds: float = 60,
    ) -> subprocess.CompletedProcess[str]: ...


def url_with(url: str, **keywords: str) -> str:
    """The URL with other keywords of libpq (`dbname`, `user`, ...)."""
    merged = {**parse(url), **keywords}
    return "postgresql:///?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in merged.items())


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for a condition, which must come true within some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def insert(session: DbSession, n: int) -> None:
    """Add a number to the table of the fixture `numbers`; below zero it violates a constraint."""
    session.execute("INSERT INTO numbers VALUES ($1)", [n])


def numbers_seen_by_others() -> list[int]:
    """What is committed in the table of the fixture `numbers`."""
    with scope():
        return [row["n"] for row in db().query("SELECT n FROM numbers ORDER BY n")]


def in_transaction(session: DbSession) -> bool:
    """The session's property, which a type checker takes to be constant between two asserts."""
    return session.is_in_transaction


def in_threads(count: int, work: Callable[[int], object]) -> None:
    """Run `work(n)` in so many threads at once; raises what the first failing one raised."""
    failures: list[BaseException] = []
    ready = threading.Barrier(count)

    def run(n: int) -> None:
        try:
            ready.wait()
            work(n)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
