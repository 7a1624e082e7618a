"""Run the test suites of others on hypern: dbapi20, SQLAlchemy's own tests, pandas and polars.

`python -m tools.peers` fetches their source distributions into build/peers, runs them on a private
PostgreSQL (or on PEERS_URL, a superuser's), and writes docs/peers.md. It fails if a test fails that
`KNOWN` does not explain. Nothing of theirs is committed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

from hypern import dbapi, embedded

ROOT = Path(__file__).parents[1]
ROOM = ROOT / "build" / "peers"
OURS = ROOT / "tests_py" / "peers"
PAGE = ROOT / "docs" / "peers.md"
SDISTS = {"psycopg2": "2.9.13", "sqlalchemy": "2.1.9"}
FRAMES = ("pandas==3.1.1", "polars==2.1.0")
TESTS = (
    "test/dialect/test_suite.py",
    "test/dialect/postgresql",
    "test/engine",
    "test/sql",
    "test/orm",
)
DATABASES = ("peers_sync", "peers_async")

# Tests that fail on any driver which they do not know by name, and what they expect of it.
KNOWN = {
    "ServerSideCursorsTest": "looks up by the driver's name whether a cursor is the server's",
    "test_default_native_inet_types": "expects text; hypern returns ipaddress, as psycopg does",
    "test_infinity_floats": "is expected to fail, and succeeds",
    "test_render_derived_quoting_straight_json": "is expected to fail, and succeeds",
    "test_values_with_boolean_selects": "the server's error; expected for psycopg by its name",
    "test_error_code": "wants pgcode, psycopg2's name of sqlstate",
    "test_array_str_collation": "needs the collation en_US, which the server does not have",
}


class Outcome(NamedTuple):
    """What a suite came to."""

    suite: str
    passed: int
    failed: int
    skipped: int
    explained: dict[str, int]  # of the failed ones: by the reason
    unexplained: list[str]


def main() -> int:
    """Run everything; the exit status."""
    ROOM.mkdir(parents=True, exist_ok=True)
    for name, version in SDISTS.items():
        _fetch(name, version)
    with _server() as url:
        outcomes = list(_run_all(url))
    _write_page(outcomes)
    for outcome in outcomes:
        print(outcome.suite, outcome.passed, "passed,", outcome.failed, "failed")
        for test in outcome.unexplained:
            print("   ", test)
    return int(any(outcome.unexplained for outcome in outcomes))


def _fetch(name: str, version: str) -> None:
    if _tree(name).is_dir():
        return
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", name, "--dest", str(ROOM), f"{name}=={version}"]
    subprocess.run(command, check=True)
    with tarfile.open(ROOM / f"{name}-{version}.tar.gz") as archive:
        archive.extractall(ROOM, filter="data")


def _tree(name: str) -> Path:
    return ROOM / f"{name}-{SDISTS[name]}"


@contextmanager
def _server() -> Iterator[str]:
    """A server that keeps prepared transactions, with the databases of SQLAlchemy's tests."""
    given = os.environ.get("PEERS_URL")
    if given:
        _prepare(given)
        yield given
        return
    data = ROOM / "server"
    with embedded.start(data) as server, dbapi.connect(server.url, autocommit=True) as connection:
        for setting in ("max_prepared_transactions = 50", "max_connections = 200", "fsync = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
    with embedded.start(data) as server:
        _prepare(server.url)
        yield server.url


def _prepare(url: str) -> None:
    with dbapi.connect(url, autocommit=True) as connection:
        for name in DATABASES:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
    for name in DATABASES:
        with dbapi.connect(_on(url, name), autocommit=True) as connection:
            for schema in ("test_schema", "test_schema_2"):
                connection.execute(f"CREATE SCHEMA {schema}")
            query = "SELECT name FROM pg_available_extensions WHERE name IN ('hstore', 'citext')"
            for (extension,) in connection.execute(query).fetchall():
                connection.execute(f"CREATE EXTENSION {extension}")


def _on(url: str, database: str) -> str:
    """The URL with another database."""
    return re.sub(r"(//[^/]*/)[^?]*", rf"\g<1>{database}", url)


def _run_all(url: str) -> Iterator[Outcome]:
    suite = OURS / "dbapi20_suite.py"
    yield _pytest(
        "dbapi20, with two-phase commit", ROOT, [str(suite)], url, _tree("psycopg2") / "tests"
    )
    site = ROOM / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--upgrade",
        "--target",
        str(site),
    ]
    subprocess.run([*install, *FRAMES], check=True)
    yield _pytest("pandas and polars", ROOT, [str(OURS / "dataframes.py")], url, site)
    tree = _tree("sqlalchemy")
    config = tree / "setup.cfg"
    ours = "requirement_cls = alchemy_requirements:Requirements"
    config.write_text(re.sub(r"(?m)^requirement_cls.*", ours, config.read_text()))
    for driver, database in zip(("hypern", "hypern_async"), DATABASES, strict=True):
        target = _on(url, database).replace("postgresql:", f"postgresql+{driver}:", 1)
        yield _pytest(f"SQLAlchemy, {driver}", tree, ["--dburi", target, *TESTS], url, tree)


def _pytest(suite: str, where: Path, arguments: list[str], url: str, *path: Path) -> Outcome:
    """Run pytest in a directory of theirs, with no plugin of ours."""
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "--disable-warnings", "--tb=line"]
    command += ["-p", "no:hypern.testing.plugin", "-p", "no:cacheprovider"]
    places = os.pathsep.join(map(str, (*path, OURS)))
    done = subprocess.run(
        [*command, "-W", "ignore", *arguments],
        cwd=where,
        env={**os.environ, "PYTHONPATH": places, "HYPERN_TEST_URL": url, "COLUMNS": "300"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    (ROOM / f"{re.sub('[^a-z0-9]+', '-', suite.lower())}.log").write_text(done.stdout)
    counts = {
        word: int(n)
        for n, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)", done.stdout)
    }
    if not counts.get("passed"):
        raise SystemExit(f"{suite} did not run:\n{done.stdout[-3000:]}")
    explained: dict[str, int] = {}
    unexplained = []
    for test in re.findall(r"(?m)^(?:FAILED|ERROR) (\S.*?)(?: - |$)", done.stdout):
        reason = next((why for part, why in KNOWN.items() if part in test), None)
        if reason is None:
            unexplained.append(test)
        else:
            explained[reason] = explained.get(reason, 0) + 1
    failed = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    return Outcome(
        suite, counts["passed"], failed, counts.get("skipped", 0), explained, unexplained
    )


def _write_page(outcomes: list[Outcome]) -> None:
    lines = [
        "# Suites that others wrote",
        "",
        f"`make test/peers` wrote this page on {date.today().isoformat()}. It runs these suites "
        "on hypern, with the statement cache on, and fails where one fails without a reason below.",
        "",
        "| suite | passed | failed | skipped |",
        "|---|---|---|---|",
        *(f"| {o.suite} | {o.passed:,} | {o.failed} | {o.skipped} |" for o in outcomes),
        "",
        "SQLAlchemy " + SDISTS["sqlalchemy"] + ": " + ", ".join(f"`{t}`" for t in TESTS) + ".",
        "",
        "| what fails, and why | tests |",
        "|---|---|",
    ]
    reasons: dict[str, int] = {}
    for outcome in outcomes:
        for reason, number in outcome.explained.items():
            reasons[reason] = reasons.get(reason, 0) + number
        for test in outcome.unexplained:
            reasons[f"not explained: `{test}`"] = 1
    lines += [f"| {reason} | {number} |" for reason, number in reasons.items()] or [
        "| nothing | 0 |"
    ]
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
