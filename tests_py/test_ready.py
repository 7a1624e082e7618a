"""`Database.ready` and `Database.drain`: a pool is filled before it is used, and replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import either
import pytest
from support import url_with, wait_until

from hypern import errors
from hypern.database import Database, db, scope

pytestmark = pytest.mark.usefixtures("kind")

PID = "SELECT pg_backend_pid()"


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    Database.close()
    yield
    Database.close()


def ready(alias: str = "default", timeout: float | None = None) -> None:
    if either._loops is None:
        Database.ready(alias, timeout)
    else:
        either.run(Database.aready(alias, timeout))


def test_it_connects_as_many_as_min_idle(database: str) -> None:
    Database.configure(database, max_size=5, min_idle=3, acquire_timeout_secs=30)
    assert Database.status().size == 0
    ready()
    assert Database.status().size >= 3
    wait_until(lambda: Database.status().available >= 3, 20)
    assert Database.status().size <= 4  # one was in use while the others were made
    ready()
    assert Database.status().in_use == 0


def test_without_min_idle_it_connects_one(database: str) -> None:
    Database.configure(database, acquire_timeout_secs=30)
    ready()
    assert (Database.status().size, Database.status().in_use) == (1, 0)


class SealedError(LookupError):
    pass


def _sealed() -> str:
    raise SealedError("sealed")


@pytest.mark.parametrize(
    ("url", "settings", "error", "text"),
    [
        ("postgresql://u@127.0.0.1:1/d", {}, errors.OperationalError, "refused"),
        (None, {"password": "wrong one"}, errors.InvalidPassword, "authentication failed"),
        (None, {"password": _sealed}, SealedError, "sealed"),
    ],
)
def test_it_raises_the_real_error(
    password_server: str, url: str | None, settings: Any, error: type[Exception], text: str
) -> None:
    Database.configure(url or password_server, acquire_timeout_secs=30, **settings)
    with pytest.raises(error, match=text):
        ready()
    assert Database.status().in_use == 0


def test_an_alias_that_is_not_configured_is_refused() -> None:
    for call in (ready, Database.drain):
        with pytest.raises(errors.ConfigurationError, match="no database is configured"):
            call("nowhere")


def test_a_server_with_room_for_fewer_is_an_error(password_server: str) -> None:
    Database.configure(url_with(password_server, user="postgres", dbname="postgres"), alias="admin")
    with scope():
        db(alias="admin").execute("ALTER ROLE alice CONNECTION LIMIT 1")
    try:
        Database.configure(
            password_server, password="right one", max_size=4, min_idle=2, acquire_timeout_secs=30
        )
        with pytest.raises(errors.OperationalError, match=r"no further connection.*too many"):
            ready()
    finally:
        with scope():
            db(alias="admin").execute("ALTER ROLE alice CONNECTION LIMIT -1")


def test_a_timeout_ends_it(database: str) -> None:
    Database.configure(database, max_size=1, acquire_timeout_secs=30)
    holder = either.db("holder")
    holder.execute("SELECT 1")
    with pytest.raises(errors.PoolTimeout):
        ready(timeout=0.1)
    either.finalize_db("holder")
    ready(timeout=30)


def test_awaited_it_does_not_block_the_event_loop(database: str) -> None:
    Database.configure(database, max_size=1, acquire_timeout_secs=30)

    async def main() -> None:
        holder = db("holder")
        await asyncio.to_thread(holder.execute, "SELECT 1")
        waiting = asyncio.create_task(Database.aready())
        while Database.status().waiting == 0:  # as long as this task gets its turns
            await asyncio.sleep(0.001)
        await asyncio.to_thread(holder._finalize, 0.0)
        await waiting

    asyncio.run(asyncio.wait_for(main(), 60))


def _pid(session: Any) -> object:
    return session.query_value(PID)


def test_drain_replaces_idle_connections_at_once(database: str) -> None:
    Database.configure(database, max_size=1, acquire_timeout_secs=30)
    with scope():
        before = _pid(either.db())
    Database.drain()
    wait_until(lambda: Database.status().size == 0, 20)
    with scope():
        assert _pid(either.db()) != before


def test_drain_replaces_connections_in_use_as_they_come_back(database: str) -> None:
    Database.configure(database, max_size=1, acquire_timeout_secs=30)
    session = either.db("r")
    session.begin()
    before = _pid(session)
    Database.drain()
    assert _pid(session) == before  # its transaction goes on
    session.commit()
    either.finalize_db("r")
    with scope():
        after = _pid(either.db())
    assert after != before
    with scope():
        assert _pid(either.db()) == after  # it is drained once
