"""Install each wheel where it will run, and try it there: `make test/wheels`.

A place is a clean system of Debian or Ubuntu, without a compiler or Go (tools/chroot.py), with its
own CPython, with one of this machine's (built for the same release), or with one built for it from
Debian's source. Each wheel is installed by pip, without network, into a virtual environment with
FastAPI and Flask, where tools/wheels/smoke.py runs against a PostgreSQL of this machine.

Places for arm64 run by qemu-user, which emulates the processor and not the kernel: what they show
of signals, /proc and time is qemu's doing as much as the wheel's.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from reliability.own_server import OwnServer

from tools import chroot, interpreters
from tools.debian import Apt
from tools.wheels.__main__ import version
from tools.wheels.target import ARCHES, DIST, PYTHONS, ROOT, WORK, Arch, Target, run

FILES = ("tools/wheels/smoke.py", "README.md", "docs/index.md")
# What the home page's examples take besides, and their test client.
FRAMEWORKS = ("fastapi", "flask", "httpx2")
# What they require of Pythons older than that of this machine, whose pip decides by its own.
OLDER = {"3.10": ("exceptiongroup",)}
BUILT = "3.11"  # the CPython built where a release has none that is supported


@dataclass(frozen=True)
class Place:
    """A system. `own` are its CPythons, `at_hand` this machine's, `built` whether to build one."""

    suite: str
    architecture: str
    packages: tuple[str, ...]
    own: tuple[str, ...] = ()
    at_hand: tuple[str, ...] = ()
    built: bool = False

    @property
    def name(self) -> str:
        return f"{self.suite}-{self.architecture}"

    @property
    def pythons(self) -> list[str]:
        return [*self.own, *self.at_hand, *([BUILT] if self.built else [])]


_SID = ("python3.14-venv", "python3.15-venv")
PLACES = (
    Place("bullseye", "amd64", ("libssl1.1", "zlib1g", "libffi7"), built=True),
    Place("bookworm", "amd64", ("python3-venv",), own=("3.11",), at_hand=("3.10", "3.12")),
    Place("trixie", "amd64", ("python3-venv",), own=("3.13",)),
    Place("sid", "amd64", (*_SID, "python3.13-venv"), own=("3.13", "3.14", "3.15")),
    Place("jammy", "amd64", ("python3-venv",), own=("3.10",)),
    Place("noble", "amd64", ("python3-venv",), own=("3.12",)),
    Place("bookworm", "arm64", ("python3-venv",), own=("3.11",)),
    Place("trixie", "arm64", ("python3-venv",), own=("3.13",)),
    Place("sid", "arm64", _SID, own=("3.14", "3.15")),
)


def interpreter(place: Place, python: str) -> tuple[str, dict[Path, str]] | None:
    """The CPython in a place, and what it needs of this machine; None if there is none."""
    if python in place.own:
        return f"/usr/bin/python{python}", {}
    if python in place.at_hand:
        found = interpreters.find(python)
        if found is None:
            return None
        prefix = Path(found).resolve().parent.parent
        return f"{prefix}/bin/python{python}", {prefix: str(prefix)}
    prefix = built(place.suite)
    return f"/opt/{prefix.name}/bin/python{python}", {prefix: f"/opt/{prefix.name}"}


def built(suite: str) -> Path:
    """A CPython built from Debian's source in a system of a release of its own."""
    prefix = WORK / "pythons" / f"{suite}-python{BUILT}"
    if prefix.exists():
        return prefix
    print(f"== CPython {BUILT} for {suite}, from source", flush=True)
    sources = WORK / "pythons" / "source"
    shutil.rmtree(sources, ignore_errors=True)
    apt = Apt(WORK / "apt-source", ["bookworm"], ["amd64"])
    apt.source(f"python{BUILT}", "bookworm", sources)
    run(["tar", "-xf", str(next(sources.glob("*.orig.tar.*"))), "-C", str(sources)])
    tree = next(path for path in sources.iterdir() if path.is_dir())
    packages = ["gcc", "libc6-dev", "make", "zlib1g-dev", "libssl-dev", "libffi-dev"]
    system = chroot.make(suite, "amd64", packages, f"{suite}-amd64-compiler")
    script = (
        f"cp -R /source /tmp/build && cd /tmp/build && "
        f"./configure -q --prefix=/opt/{prefix.name} --disable-test-modules CFLAGS=-O1 && "
        "make -s -j2 && make -s install"
    )
    done = system.run(["sh", "-ec", script], shared={tree: "/source"}, seconds=1800)
    if done.returncode != 0:
        raise SystemExit(done.stdout[-5000:])
    shutil.move(system.tree / "opt" / prefix.name, prefix)
    return prefix


def frameworks(python: str, arch: Arch) -> Path:
    """The wheels of the frameworks for a CPython, by this machine's pip: a directory."""
    into = WORK / "frameworks" / f"{python}-{arch.name}"
    if not into.exists():
        half = into.with_name(f"{into.name}.new")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(half)]
        command += ["--only-binary=:all:", "--python-version", python]
        command += [
            f"--platform=manylinux{name}_{arch.name}" for name in ("2014", "_2_17", "_2_28")
        ]
        run([*command, *FRAMEWORKS, *OLDER.get(python, ())])
        half.rename(into)
    return into


def smoke(place: Place, python: str, release: str, url: str) -> tuple[bool, str]:
    """Whether a wheel works in a place, and what its smoke test printed."""
    arch = next(arch for arch in ARCHES if arch.debian == place.architecture)
    wheel = Target(python, arch).file_name(release)
    found = interpreter(place, python)
    if found is None:
        return False, f"this machine has no CPython {python}"
    program, shared = found
    system = chroot.make(place.suite, place.architecture, list(place.packages))
    steps = (
        f"{program} -m venv /tmp/venv",
        "/tmp/venv/bin/pip install --quiet --no-index --find-links /frameworks "
        f"/dist/{wheel} {' '.join(FRAMEWORKS)}",
        "/tmp/venv/bin/pip check",
        "cd /tmp",
        "/tmp/venv/bin/python /trial/smoke.py /trial/README.md /trial/index.md",
    )
    with tempfile.TemporaryDirectory() as trial:
        for file in FILES:
            shutil.copy(ROOT / file, trial)
        done = system.run(
            ["sh", "-ec", "\n".join(steps)],
            shared={
                **shared,
                DIST: "/dist",
                Path(trial): "/trial",
                frameworks(python, arch): "/frameworks",
            },
            environment={"HYPERN_TEST_URL": url},
            seconds=1200,
        )
    return done.returncode == 0, done.stdout


def main() -> int:
    """Try the wheels in dist/ in each place chosen; returns 1 if one failed."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [place.name for place in PLACES]
    options.add_argument("--place", nargs="+", default=names, choices=names)
    chosen = options.parse_args()
    release = version()
    # A system's PostgreSQL has TLS, which the embedded one was built without.
    tls = any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    server = OwnServer(tls=tls)
    url = server.url(user="postgres", sslmode="require" if tls else "disable")
    lines, wrong, tried = [], 0, set()
    try:
        for place in [place for place in PLACES if place.name in chosen.place]:
            for python in place.pythons:
                good, output = smoke(place, python, release, url)
                print(f"== {place.name}, CPython {python}", output, sep="\n", flush=True)
                wrong += not good
                tried.add((python, place.architecture))
                last = output.strip().splitlines()[-1] if output.strip() else "no output"
                lines.append(f"{place.name}, CPython {python}: {last}")
    finally:
        server.remove()
    print(*lines, sep="\n")
    if chosen.place == names:
        everything = {(python, arch.debian) for arch in ARCHES for python in PYTHONS}
        for python, architecture in sorted(everything - tried):
            print(f"not tried: CPython {python} for {architecture}, which no release here has")
    print(f"places: {len(lines) - wrong} passed, {wrong} failed")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
