"""Run Django's own test suite on `hypern.django` and on its psycopg backend, side by side.

`python -m tools.peers_django` fetches Django's source distribution into build/peers, runs the tests
of LABELS (`--all`: every test) on an embedded PostgreSQL, or on PEERS_URL, a superuser's, and
writes the table at the end of docs/django.md from the results, which it keeps beside the
distribution. It fails if a test fails on hypern that passes on psycopg and that KNOWN does not
explain, and if a connection stays in use. Nothing of Django's is committed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from hypern import embedded

ROOT = Path(__file__).parents[1]
ROOM = ROOT / "build" / "peers"
OURS = ROOT / "tests_py" / "peers"
PAGE = ROOT / "docs" / "django.md"
HEADING = "## How we know\n"
VERSION = "5.2.19" if sys.version_info < (3, 12) else "6.0.10"
ENGINES = {"hypern": "hypern.django", "psycopg": "django.db.backends.postgresql"}

LABELS = (
    "backends",
    "postgres_tests",
    "queries",
    "transactions",
    "transaction_hooks",
    "migrations",
    "schema",
    "introspection",
    "model_fields",
    "expressions",
    "aggregation",
    "bulk_create",
    "select_for_update",
    "get_or_create",
    "delete",
    "update",
    "lookup",
    "timezones",
    "async",
    "servers",
    "test_utils",
)
_PORTAL = "pg_cursors has the portal of the query that reads it, which is none in a simple query"
_PSYCOPG = "is about psycopg's classes, and attributes of its connections, cursors and pools"
_CONNECTING = "expects a statement behind connecting; the time zone is a startup parameter"

# Tests that know psycopg, and what they expect of it.
KNOWN = {
    "test_server_side_cursors.ServerSideCursorsPostgres": _PORTAL,
    "test_pooling_": _PSYCOPG,
    "test_connect_pool": _PSYCOPG,
    "test_connect_custom_cursor_factory": _PSYCOPG,
    "test_connect_server_side_binding": _PSYCOPG,
    "test_copy_cursors": _PSYCOPG,
    "test_connect_role": _PSYCOPG,
    "test_reraising_backend_specific_database_exception": _PSYCOPG,
    "DBCacheTests.test_forever_timeout": "a moment of the year 9999 that is in 10000 in UTC",
    "test_bypass_timezone_configuration": _CONNECTING,
}


@dataclass
class Outcome:
    """What the tests came to on one backend."""

    django: str
    labels: str  # "the labels below", "all"
    driver: str
    day: str
    passed: int
    failures: list[str]
    skipped: int
    in_use: int | None  # connections that nobody gave back; None if they are psycopg's


def main() -> int:
    """Run the tests; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="every test of Django's")
    parser.add_argument("--django", default=VERSION, help="which version")
    asked = parser.parse_args()
    labels: tuple[str, ...] = () if asked.all else LABELS
    tree = _tree(asked.django)
    given = os.environ.get("PEERS_URL")
    server = None if given else embedded.start()
    try:
        for driver in ENGINES:
            outcome = _run(tree, asked.django, labels, driver, given or server.url)  # type: ignore[union-attr]
            place = ROOM / f"django-{asked.django}-{'all' if asked.all else 'some'}-{driver}.json"
            place.write_text(json.dumps(asdict(outcome), indent=1))
    finally:
        if server is not None:
            server.stop()
    wrong = _write_table()
    print(*wrong, sep="\n")
    return int(bool(wrong))


def _tree(version: str) -> Path:
    """The unpacked source distribution."""
    found = ROOM / f"django-{version}"
    if not found.is_dir():
        ROOM.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", "django", "--dest", str(ROOM), f"django=={version}"]
        subprocess.run(command, check=True)
        with tarfile.open(ROOM / f"django-{version}.tar.gz") as archive:
            archive.extractall(ROOM, filter="data")
    return found


def _run(tree: Path, version: str, labels: tuple[str, ...], driver: str, url: str) -> Outcome:
    tests = tree / "tests"
    command = [sys.executable, "runtests.py", "--settings=django_settings", "--noinput"]
    done = subprocess.run(
        [*command, "--parallel=1", *labels],
        cwd=tests,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (tree, OURS, ROOT / "python"))),
            "HYPERN_TEST_URL": url,
            "PEERS_ENGINE": ENGINES[driver],
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    output = done.stdout
    (ROOM / f"django-{version}-{'some' if labels else 'all'}-{driver}.log").write_text(output)
    total = re.search(r"(?m)^Ran (\d+) tests", output)
    in_use = re.search(r"(?m)^connections in use: (\d+)$", output)
    if total is None or (in_use is None and driver == "hypern"):
        raise SystemExit(f"Django's tests did not run on {driver}:\n{output[-3000:]}")
    skipped = sum(int(n) for n in re.findall(r"skipped=(\d+)", output))
    failures = sorted(set(re.findall(r"(?m)^(?:FAIL|ERROR): \S+ \(([^)]+)\)", output)))
    return Outcome(
        version,
        "some" if labels else "all",
        driver,
        date.today().isoformat(),
        int(total[1]) - skipped - len(failures),
        failures,
        skipped,
        None if in_use is None else int(in_use[1]),
    )


def _write_table() -> list[str]:
    """Write the table from the kept results; what is wrong, a line each."""
    found = [Outcome(**json.loads(p.read_text())) for p in sorted(ROOM.glob("django-*.json"))]
    kept = {(o.django, o.labels, o.driver): o for o in found}
    lines, wrong = [], []
    reasons: dict[str, set[str]] = {}
    for (version, labels, driver), ours in kept.items():
        theirs = kept.get((version, labels, "psycopg"))
        if driver != "hypern" or theirs is None:
            continue
        which = "every test" if labels == "all" else "of the database"
        lines.append(
            f"| {version}, {which} | {ours.day} | {_counts(ours)} | {ours.in_use} "
            f"| {_counts(theirs)} |"
        )
        if ours.in_use:
            wrong.append(f"Django {version}: {ours.in_use} connections are in use at the end")
        for test in ours.failures:
            why = "fails with psycopg, too" if test in theirs.failures else None
            why = why or next((why for part, why in KNOWN.items() if part in test), None)
            if why is None:
                wrong.append(f"Django {version}: {test}")
            reasons.setdefault(why or f"not explained: `{test}`", set()).add(test)
    text = PAGE.read_text().partition(HEADING)[0] + HEADING
    text += (
        "\nDjango's own test suite runs on this backend and on `django.db.backends.postgresql`,\n"
        "with psycopg 3, side by side (`python -m tools.peers_django`). Of the database are: "
        + ", ".join(f"`{label}`" for label in LABELS)
        + ".\n\n| Django | run on | hypern: passed, failed, skipped | in use at the end "
        "| psycopg: passed, failed, skipped |\n|---|---|---|---|---|\n"
    )
    text += "\n".join(lines) + "\n\n| what fails on hypern, and why | tests |\n|---|---|\n"
    text += "\n".join(f"| {why} | {len(tests)} |" for why, tests in sorted(reasons.items())) + "\n"
    PAGE.write_text(text)
    return wrong


def _counts(outcome: Outcome) -> str:
    return f"{outcome.passed:,}, {len(outcome.failures)}, {outcome.skipped}"


if __name__ == "__main__":
    sys.exit(main())
