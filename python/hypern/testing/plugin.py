"""The pytest plugin: a server to test on, and tests that leave nothing behind in it.

`hypern_url`: where the server is. `db_session`: a session; whatever the test does through it, or
the code under test through sessions of its own, is undone. `adb_session`: the same one, to be
awaited. `@pytest.mark.hypern_commits`: the test's commits are real, in a copy of the database that
is dropped afterwards. `hypern_guard = error` in the ini-file: a test without any of these cannot
write. See docs/testing.md.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hypern.testing import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypern.config.settings import Settings
    from hypern.database import AsyncDbSession, DbSession

_REQUEST_ID = "the test"
_URL = pytest.StashKey[str]()  # of hypern_url, once it was asked for


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of the ini-file."""
    parser.addini(
        "hypern_allow_configured",
        "let db_session run on the database that the application has configured itself",
        type="bool",
        default=False,
    )
    parser.addini(
        "hypern_guard",
        '"error": a test without db_session or its marker fails if it writes to a database; '
        '"off": it may',
        default="off",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and set up the guard."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}: with db_session, commits are real, in a copy of the database for this test",
    )
    guard = config.getini("hypern_guard")
    if guard not in ("off", "error"):
        raise pytest.UsageError(f"hypern_guard must be off or error, not {guard!r}")
    if guard == "error":
        from hypern.testing import guard as plugin

        config.pluginmanager.register(plugin, plugin.__name__)


@pytest.fixture(scope="session")
def hypern_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database to test on: HYPERN_TEST_URL if it is set, else that of an embedded
    server. With pytest-xdist each worker has an empty database of its own.
    """
    for url in _urls():
        request.config.stash[_URL] = url
        yield url


def _urls() -> Iterator[str]:
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
    """A session on `hypern_url`, whatever the application has configured. Until the test's end
    every session of every alias and request, in this process, shares its one connection and its one
    transaction, which is rolled back.
    """
    from hypern import _native
    from hypern import database as _database
    from hypern.pool import registry
    from hypern.session.finalizing import finalizing, report
    from hypern.session.steps import blocking, now
    from hypern.testing.copy import CopyPools
    from hypern.testing.nested import NestedAsyncSession, NestedPools

    settings = _test_settings(request)
    is_real = request.node.get_closest_marker(MARKER) is not None
    pools = CopyPools(settings) if is_real else NestedPools(settings)

    def open_session(
        alias: str, request_id: str, kept: registry.OpenedWith | None = None
    ) -> DbSession:
        if alias != "default" and not registry.is_configured(alias):
            registry.status(alias)  # raises
        return pools.session(alias, request_id, kept)

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


def _test_settings(request: pytest.FixtureRequest) -> Settings:
    """The settings of "default" as it is configured, if it is, but on the database to test on."""
    from dataclasses import replace

    from hypern.pool import registry

    own = registry.settings_of("default")
    if own is not None and request.config.getini("hypern_allow_configured"):
        return own
    if own is not None and not _knows_url(request.config):
        pytest.fail(
            f'db_session: the application has configured the alias "default" itself, for the '
            f'database "{own.database}" of {_server(own)}, and nothing says that tests may use '
            "it. Set HYPERN_TEST_URL, or ask for the fixture hypern_url, where the tests then run "
            "whatever the application has configured; or set hypern_allow_configured = true in the "
            "ini-file if that database is there to be tested on",
            pytrace=False,
        )
    settings = _settings(request.getfixturevalue("hypern_url"))
    if own is None:
        return settings
    return replace(own, conninfo=settings.conninfo, password=settings.password)


def _knows_url(config: pytest.Config) -> bool:
    return bool(os.environ.get("HYPERN_TEST_URL")) or _URL in config.stash


def _server(settings: Settings) -> str:
    return settings.conninfo.get("host") or settings.conninfo.get("hostaddr") or "this machine"


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
