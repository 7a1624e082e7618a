"""The virtual environments that the drivers run in, made on first use and kept in .venv-bench.

All drivers run on one interpreter. The original package has an environment of its own, since it
is imported by the same name as ours; ours is taken from where the running Python finds it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv-bench"
VERSION = sysconfig.get_python_version()
REQUIREMENTS = Path(__file__).parent / "requirements"


class UnavailableError(Exception):
    """Something that the benchmark compares cannot be had on this machine; says what to do."""


PROBE = """
import ensurepip, timeit
work = "[dict(zip(names, (i, str(i), [i]))) for i in range(1000)]"
print(min(timeit.repeat(work, "names = ('a', 'b', 'c')", number=10, repeat=20)))
"""


def speed(python: str) -> float:
    """Seconds that this interpreter takes for some plain Python; infinity where it has no pip."""
    answer = subprocess.run([python, "-c", PROBE], capture_output=True, text=True)
    return float(answer.stdout) if answer.returncode == 0 else float("inf")


@cache
def interpreter() -> str:
    """The faster of the running Python and the system's, where that is of the same version.

    Peers with much Python in them lose a third of their speed on an interpreter built without
    optimisation, and we lose little: there the comparison would flatter us.
    """
    choice = HOME / f"interpreter-{VERSION}"
    if not choice.exists():
        running = str(Path(sys.base_prefix) / "bin" / f"python{VERSION}")
        system = f"/usr/bin/python{VERSION}"
        candidates = [python for python in (running, system) if Path(python).exists()]
        HOME.mkdir(exist_ok=True)
        (HOME / ".gitignore").write_text("*\n")
        choice.write_text(min(candidates, key=speed))
    return choice.read_text()


def our_package() -> Path:
    """The directory to import our hypern from, built in place."""
    source = ROOT / "python"
    if not (source / "hypern" / f"_native{sysconfig.get_config_var('EXT_SUFFIX')}").exists():
        raise UnavailableError(
            "hypern is not built: run `make build`, or leave it out: --without hypern"
        )
    return source


def python_for(driver: str) -> Path:
    """The interpreter that has this driver ("harness": what the harness itself needs)."""
    name = "original" if driver == "original" else "peers"
    venv = HOME / f"{name}-{VERSION}"
    python = venv / "bin" / "python"
    if not python.exists():
        run([interpreter(), "-m", "venv", str(venv)], driver)
    requirements = REQUIREMENTS / f"{driver.removesuffix('_async')}.txt"
    if requirements.exists():
        wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
        stamp = venv / f".{requirements.stem}"
        if not stamp.exists() or stamp.read_text() != wanted:
            print(f"bench: installing {driver} into {venv.relative_to(ROOT)}", flush=True)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run([*pip, "-r", str(requirements)], driver)
            stamp.write_text(wanted)
    return python


def run(command: list[str], driver: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise UnavailableError(
            f"{driver} cannot be installed; leave it out with --without {driver}\n"
            f"$ {' '.join(command)}\n{done.stdout}{done.stderr}"
        )


def floor_program() -> Path:
    """The libpq program, compiled when its source is newer."""
    source = Path(__file__).parent / "floor.c"
    program = HOME / "floor"
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    pg_config = shutil.which("pg_config")
    if pg_config is None:
        raise UnavailableError(
            "floor needs libpq's headers (libpq-dev): install, or --without floor"
        )
    include = subprocess.check_output([pg_config, "--includedir"], text=True).strip()
    library = subprocess.check_output([pg_config, "--libdir"], text=True).strip()
    compiler = os.environ.get("CC", "cc")
    HOME.mkdir(exist_ok=True)
    command = [compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{include}"]
    run([*command, str(source), "-o", str(program), f"-L{library}", "-lpq"], "floor")
    return program
