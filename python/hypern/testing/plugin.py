"""The pytest plugin: a server to test on, and tests that leave nothing behind in it.

`hypern_url`: where the server is. `db_session`: a session; whatever the test does through it, or
the code under test through sessions of its own, is undone. `adb_session`: the same one, to be
awaited. `@pytest.mark.hypern_commits`: the
test's commits are real, in a copy of the database that is dropped afterwards. See docs/testing.md.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypern.config.settings import Settings
    from hypern.database import AsyncDbSession, DbSession

_MARKER = "hypern_commits"
_REQUEST_ID = "the test"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}: with db_session, commits are real, in a copy of the database for this test",
    )


@pytest.fixture(scope="session")
def hypern_url() -> Iterator[str]:
    """The URL of a database to test on: HYPERN_TEST_URL if it is set, else that of an embedded
    server. With pytest-xdist each worker has an empty database of its own.
    """
    given = os.environ.get("HYPERN_TEST_URL")
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if not given:
        from hypern import embedded

        try:
            server = embedded.start()
        except ImportError as error:
            pytest.fail(
                f"no PostgreSQL to test on: set HYPERN_TEST_URL to the URL of one, or {error}",
                pytrace=False,
            )
        with server:
            yield server.url
    elif worker:
        yield from _database_of(worker, given)
    else:
        yield given


@pytest.fixture
def db_session(request: pytest.FixtureRequest) -> Iterator[DbSession]:
    """A session on the test's database, which is the alias "default" if it is configured, else
    `hypern_url`. Until the test's end every session of every alias and request, in this process,
    shares its one connection and its one transaction, which is rolled back.
    """
    from hypern import _native
    from hypern import database as _database
    from hypern.pool import registry
    from hypern.session.finalizing import finalizing, report
    from hypern.session.steps import blocking, now
    from hypern.testing.copy import CopyPools
    from hypern.testing.nested import NestedAsyncSession, NestedPools

    settings = registry.settings_of("default") or _settings(request.getfixturevalue("hypern_url"))
    is_real = request.node.get_closest_marker(_MARKER) is not None
    pools = CopyPools(settings) if is_real else NestedPools(settings)

    def open_session(alias: str, request_id: str) -> DbSession:
        if alias != "default" and not registry.is_configured(alias):
            registry.status(alias)  # raises
        return pools.session(alias, request_id)

    # Nothing in the package looks for a test on the way to a session: what leads there is replaced.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "open_session", open_session)
        patch.setattr(_native, "sessions", pools.find)
        if not is_real:
            patch.setattr(_database, "AsyncDbSession", NestedAsyncSession)
        try:
            yield open_session("default", _REQUEST_ID)
        finally:
            try:
                report(_REQUEST_ID, now(finalizing(blocking, _REQUEST_ID, failed=True)))
            finally:
                pools.close()


@pytest.fixture
def adb_session(db_session: DbSession) -> AsyncDbSession:
    """`db_session` to be awaited, under any plugin that runs coroutines as tests."""
    from hypern.database import adb

    return adb(db_session)


def _settings(url: str) -> Settings:
    from hypern.config.settings import PoolConfig, make_settings

    return make_settings("default", PoolConfig(url))


def _database_of(worker: str, url: str) -> Iterator[str]:
    from urllib.parse import quote

    from hypern.testing.copy import administer, quoted

    settings = _settings(url)
    name = f"{settings.database[:40]}_{worker}"
    drop = f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)"
    # template0, since nobody can be connected to it: the server copies only such.
    administer(settings, drop, f"CREATE DATABASE {quoted(name)} TEMPLATE template0")
    yield f"{url}{'&' if '?' in url else '?'}dbname={quote(name, safe='')}"
    administer(settings, drop)
