"""Run the test suites of others on hypern and on psycopg, side by side.

`python -m tools.peers` fetches their source distributions into build/peers, runs them on a private
PostgreSQL (or on PEERS_URL, a superuser's), and writes docs/peers.md from the results, which it
keeps beside the distributions: `--only NAME` runs the suites whose name has NAME in it and leaves
the others' results as they are. It fails if a test fails on hypern that passes on psycopg and that
`KNOWN` does not explain, and if a suite leaves a connection in use. Nothing of theirs is committed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from os import environ

from reliability.own_server import OwnServer, system_binaries

from hypern import dbapi
from hypern.database import Database
from tools import peers_page, zonky
from tools.peers_run import OURS, ROOM, ROOT, Outcome, Suite, install, kept, run, tree

PSYCOPG2, ALCHEMY, ALCHEMY_20, ALEMBIC = "2.9.13", "2.1.9", "2.0.58", "1.20.1"
SERVER = "17"  # of PostgreSQL, if zonky has it for this machine
FRAMES = ("pandas==3.1.1", "polars==2.1.0")
SUITE = ("test/dialect/test_suite.py", "test/dialect/postgresql")
BLOCKING, AWAITED = ("hypern", "psycopg"), ("hypern_async", "psycopg_async")


def suites() -> list[Suite]:
    """All of them, in the order of the page."""
    found = [
        Suite("dbapi20 and its two-phase part", ("hypern", "psycopg"), "dbapi20"),
        Suite("pandas and polars", ("hypern",), "frames"),
        Suite("Alembic", BLOCKING, "alembic"),
    ]
    for drivers, word in ((BLOCKING, ""), (AWAITED, ", async")):
        found += [
            Suite(f"SQLAlchemy {ALCHEMY}, {tests}{word}", drivers, "alchemy", tests)
            for tests in (*SUITE, "test/engine", "test/sql", "test/orm")
        ]
        found += [
            Suite(f"SQLAlchemy {ALCHEMY_20}, {tests}{word}", drivers, "alchemy_20", tests)
            for tests in SUITE
        ]
    return found


def main() -> int:
    """Run what is asked for; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="the suites whose name has this in it")
    parser.add_argument("--driver", default="", help="the drivers whose name has this in it")
    parser.add_argument("--jobs", type=int, default=2, help="processes of SQLAlchemy's tests")
    asked = parser.parse_args()
    ROOM.mkdir(parents=True, exist_ok=True)
    with _server() as url:
        for suite in suites():
            for driver in suite.drivers:
                if asked.only in suite.name and asked.driver in driver:
                    outcome = _run(suite, driver, url, asked.jobs)
                    print(driver, outcome, flush=True)
    unexplained = peers_page.write([(suite, kept(suite)) for suite in suites()])
    print(*unexplained, sep="\n")
    return int(bool(unexplained))


def _run(suite: Suite, driver: str, url: str, jobs: int) -> Outcome:
    here = f"{environ.get('PEERS_DATABASE', 'peers')}_{driver}"
    _prepare(url, here)
    target = re.sub(r"(//[^/]*/)[^?]*", rf"\g<1>{here}", url)
    engine_url = target.replace("postgresql:", f"postgresql+{driver}:", 1)
    if suite.kind == "dbapi20":
        tests = tree("psycopg2", PSYCOPG2) / "tests"
        return run(suite, driver, ROOT, [str(OURS / "dbapi20_suite.py")], target, tests)
    if suite.kind == "frames":
        site = install("frames", *FRAMES)
        return run(suite, driver, ROOT, [str(OURS / "dataframes.py")], target, site)
    if suite.kind == "alembic":
        where = tree("alembic", ALEMBIC)
        site = install("alembic", f"alembic=={ALEMBIC}")
        arguments = ["--dburi", engine_url, "tests"]
        return run(suite, driver, where, arguments, target, where, site)
    is_20 = suite.kind == "alchemy_20"
    where = tree("sqlalchemy", ALCHEMY_20 if is_20 else ALCHEMY)
    config = where / "setup.cfg"
    ours = "requirement_cls = alchemy_requirements:Requirements"
    config.write_text(re.sub(r"(?m)^requirement_cls.*", ours, config.read_text()))
    workers = ["-n", str(jobs)] if jobs > 1 else []
    arguments = ["--dburi", engine_url, "--maxfail=10000", *workers, suite.tests]
    return run(suite, driver, where, arguments, target, where / "lib", where)


@contextmanager
def _server() -> Iterator[str]:
    """A server that keeps prepared transactions and has the extensions of contrib."""
    given = environ.get("PEERS_URL")
    if given:
        yield given
        return
    if zonky.is_possible():
        zonky.fetch(SERVER)
        binaries = zonky.directory(SERVER)
    else:
        binaries = system_binaries()
    own = OwnServer("max_prepared_transactions = 50\n", binaries=binaries)
    try:
        yield own.admin
    finally:
        own.remove()


def _prepare(url: str, database: str) -> None:
    """A fresh database, with the schemas and extensions that SQLAlchemy's tests want."""
    with dbapi.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {database}")
    target = re.sub(r"(//[^/]*/)[^?]*", rf"\g<1>{database}", url)
    with dbapi.connect(target, autocommit=True) as connection:
        for schema in ("test_schema", "test_schema_2"):
            connection.execute(f"CREATE SCHEMA {schema}")
        query = "SELECT name FROM pg_available_extensions WHERE name IN ('hstore', 'citext')"
        for (extension,) in connection.execute(query).fetchall():
            connection.execute(f"CREATE EXTENSION {extension}")
    Database.close()  # SQLAlchemy's tests copy the database, which nobody may use meanwhile


if __name__ == "__main__":
    sys.exit(main())
