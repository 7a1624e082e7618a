"""Fetches the suites of others, runs one on one driver, and keeps what came of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOM = ROOT / "build" / "peers"
OURS = ROOT / "tests_py" / "peers"
_DRIVER = re.compile(r"\+(?:hypern|psycopg)(?:_async)?")


@dataclass(frozen=True)
class Suite:
    """A suite, and the drivers that it runs on, ours first."""

    name: str
    drivers: tuple[str, ...]
    kind: str
    tests: str = ""


@dataclass
class Outcome:
    """What a suite came to on one driver."""

    day: str
    passed: int
    failed: int
    skipped: int
    in_use: int | None  # connections that nobody gave back; None if nobody has counted
    failures: list[str] = field(default_factory=list)  # without the driver's name

    def __str__(self) -> str:
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        return f"{counts}, {self.in_use} connections in use"


def tree(name: str, version: str) -> Path:
    """The unpacked source distribution."""
    found = ROOM / f"{name}-{version}"
    if not found.is_dir():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", name, "--dest", str(ROOM), f"{name}=={version}"]
        subprocess.run(command, check=True)
        with tarfile.open(ROOM / f"{name}-{version}.tar.gz") as archive:
            archive.extractall(ROOM, filter="data")
    return found


def install(name: str, *requirements: str) -> Path:
    """A directory with these packages, for PYTHONPATH."""
    site = ROOM / f"site-{name}"
    if not site.is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site)]
        subprocess.run([*command, *requirements], check=True)
    return site


def run(
    suite: Suite, driver: str, where: Path, arguments: list[str], url: str, *path: Path
) -> Outcome:
    """Run pytest in a directory of theirs, with no plugin of ours but the one that counts."""
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--disable-warnings", "--tb=short"]
    command += ["-p", "no:hypern.testing.plugin", "-p", "no:cacheprovider", "-p", "counting"]
    counted = _place(suite, driver, ".counts")
    for left in counted.parent.glob(counted.name + "*"):
        left.unlink()
    done = subprocess.run(
        [*command, "-W", "ignore", *arguments],
        cwd=where,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (*path, OURS))),
            "HYPERN_TEST_URL": url,
            "PEERS_DRIVER": driver,
            "PEERS_COUNTS": str(counted),
            "COLUMNS": "300",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    _place(suite, driver, ".log").write_text(done.stdout)
    last = done.stdout.rstrip().rpartition("\n")[2]
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (\w+)", last)}
    if not counts.get("passed"):
        raise SystemExit(f"{suite.name} did not run on {driver}:\n{done.stdout[-3000:]}")
    found = re.findall(r"(?m)^(?:FAILED|ERROR) (\S.*?)(?: - |$)", done.stdout)
    each = [int(part.read_text()) for part in counted.parent.glob(counted.name + "*")]
    outcome = Outcome(
        date.today().isoformat(),
        counts["passed"],
        counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0),
        counts.get("skipped", 0),
        sum(each) if each else None,
        sorted({_DRIVER.sub("", test) for test in found}),
    )
    _place(suite, driver, ".json").write_text(json.dumps(asdict(outcome), indent=1))
    return outcome


def kept(suite: Suite) -> dict[str, Outcome]:
    """The outcomes by driver, as far as the suite has run."""
    places = {driver: _place(suite, driver, ".json") for driver in suite.drivers}
    return {
        driver: Outcome(**json.loads(place.read_text()))
        for driver, place in places.items()
        if place.exists()
    }


def _place(suite: Suite, driver: str, suffix: str) -> Path:
    results = ROOM / "results"
    results.mkdir(exist_ok=True)
    name = re.sub("[^a-z0-9]+", "-", f"{suite.name}-{driver}".lower())
    return results / f"{name}{suffix}"
