"""A server that has the contrib types, and a database on it with types of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from differential.literals import CONTRIB, DEFINITIONS
from reliability.own_server import OwnServer

from hypern.config.parse import parse
from hypern.database import Database, DbSession, db, scope


def _url_for_every_driver(url: str, name: str) -> str:
    """The URL with another database, in the form that all of the drivers read alike."""
    parts = {key: quote(value, safe="") for key, value in parse(url).items()}
    access = ":".join(parts.pop(key) for key in ("user", "password") if key in parts)
    parts.pop("dbname", None)
    rest = "&".join(f"{key}={value}" for key, value in parts.items())
    return f"postgresql://{access}@/{name}?{rest}"


def _has_contrib(url: str) -> bool:
    Database.configure(url, alias="contrib", max_size=1)
    try:
        with scope():
            found = db(alias="contrib").query_value(
                "SELECT count(*) FROM pg_available_extensions WHERE name = ANY($1)", [CONTRIB]
            )
            return int(found) == len(CONTRIB)
    finally:
        Database.close("contrib")


@pytest.fixture(scope="session")
def contrib_url(hypern_url: str) -> Iterator[str]:
    """The URL of a server with hstore, citext and ltree.

    That of the other tests where it has them, as the embedded one has not; else one that runs the
    system's binaries (Debian: the package postgresql).
    """
    if _has_contrib(hypern_url):
        yield hypern_url
    elif any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        server = OwnServer(tls=True)
        url = server.url(user="postgres")
        try:
            if not _has_contrib(url):
                pytest.skip("the PostgreSQL in /usr/lib/postgresql lacks hstore, citext or ltree")
            yield url
        finally:
            server.remove()
    else:
        pytest.skip("hstore, citext and ltree take a PostgreSQL in /usr/lib/postgresql")


@pytest.fixture(scope="session")
def rich_url(contrib_url: str) -> Iterator[str]:
    """The URL of a new database with the contrib types and those of literals.DEFINITIONS."""
    Database.configure(contrib_url, alias="rich", max_size=1)
    with scope():
        admin = db(alias="rich")
        admin.execute("DROP DATABASE IF EXISTS hypern_rich")
        admin.execute("CREATE DATABASE hypern_rich TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
    Database.close("rich")
    url = _url_for_every_driver(contrib_url, "hypern_rich")
    Database.configure(url, alias="rich", max_size=1)
    with scope():
        for extension in CONTRIB:
            db(alias="rich").execute(f"CREATE EXTENSION {extension}")
        for statement in DEFINITIONS.split(";\n"):
            db(alias="rich").execute(statement)
    Database.close("rich")
    yield url
    Database.configure(contrib_url, alias="rich", max_size=1)
    with scope():
        db(alias="rich").execute("DROP DATABASE hypern_rich WITH (FORCE)")
    Database.close("rich")


@pytest.fixture
def rich(rich_url: str) -> Iterator[DbSession]:
    """A session of that database."""
    Database.configure(rich_url, alias="rich")
    with scope():
        yield db(alias="rich")
    Database.close("rich")


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether everything is to be tried: `make test/types`."""
    return os.environ.get("HYPERN_TYPES") == "full"
