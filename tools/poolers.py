"""The poolers that Debian's unstable distribution has, for the tests behind them.

`python -m tools.poolers` downloads PgBouncer, Odyssey and Pgpool-II with all that they need into
build/poolers, once, and prints their versions. Nothing is installed: `command(...)` starts a
program with the C library of that tree, whatever the machine's own is.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tools.debian import Apt

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "poolers"
TREE = WORK / "tree"
PACKAGES = ["pgbouncer", "odyssey", "pgpool2"]
PROGRAMS = {"pgbouncer": "usr/sbin", "odyssey": "usr/bin", "pgpool": "usr/sbin"}
LIBRARIES = "usr/lib/x86_64-linux-gnu"


def fetch() -> None:
    """Download the poolers, once."""
    if TREE.exists():
        return
    half = TREE.with_name("tree.new")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    for archive in Apt(WORK / "apt", ["sid"], ["amd64"]).closure(PACKAGES):
        subprocess.run(["dpkg", "-x", str(archive), str(half)], check=True)
        archive.unlink()
    half.rename(TREE)


def command(program: str) -> list[str]:
    """What starts a program of the tree; its arguments follow."""
    if not TREE.exists():
        raise FileNotFoundError(f"{TREE} is missing: run python -m tools.poolers, which makes it")
    libraries = str(TREE / LIBRARIES)
    loader = f"{libraries}/ld-linux-x86-64.so.2"
    return [loader, "--library-path", libraries, str(TREE / PROGRAMS[program] / program)]


def version(program: str) -> str:
    """The number in the first line that `--version` prints."""
    printed = subprocess.run(
        [*command(program), "--version"], capture_output=True, text=True, check=True
    )
    # Pgpool-II writes it to stderr.
    words = (printed.stdout + printed.stderr).splitlines()[0].split()
    return next(word for word in words if word[0].isdigit())


if __name__ == "__main__":
    fetch()
    for name in PROGRAMS:
        print(f"{name} {version(name)}")
