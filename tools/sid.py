"""CPythons that this machine's Debian does not have, from Debian's unstable distribution.

`interpreter("3.14")` makes, once, a directory tree of that distribution by debootstrap, and returns
a script that runs its Python: in a mount namespace of its own, where the source tree and /tmp are
at the same paths as outside. It needs root, for chroot and mounts.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "versions"
TREE = WORK / "sid"
MIRROR = "http://deb.debian.org/debian"
PYTHONS = ("3.14", "3.15")
PACKAGES = (
    "ca-certificates,curl,gcc,git,iproute2,libc6-dev,make,openssl,procps,"
    "libpython3.14-dev,libpython3.15-dev,pgbouncer,postgresql,python3.14-venv,python3.15-venv"
)

# What of the machine is to be found inside, at the same paths, where it is there at all.
SHARED = ("/dev", "/proc", "/sys", "/tmp")
# And copies of these: names of hosts, and whom TLS trusts.
COPIED = ("/etc/hosts", "/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")


def is_possible() -> bool:
    """Whether this machine can make the tree, or has it."""
    return os.geteuid() == 0 and (TREE.exists() or shutil.which("debootstrap") is not None)


def interpreter(version: str) -> str | None:
    """A command that runs this CPython; None if the distribution has another one by now."""
    if not TREE.exists():
        print(f"== Debian's unstable distribution, for CPython {version}", flush=True)
        half = TREE.with_name("sid.new")
        shutil.rmtree(half, ignore_errors=True)
        half.parent.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "sid"]
        subprocess.run([*command, str(half), MIRROR], check=True)
        half.rename(TREE)
    if not (TREE / "usr" / "bin" / f"python{version}").exists():
        return None
    return str(inside(f"/usr/bin/python{version}", WORK / f"python{version}"))


def inside(program: str, script: Path) -> Path:
    """Write a script that runs a program of the tree with the script's arguments."""
    for path in COPIED:
        if Path(path).exists():
            shutil.copyfile(path, str(TREE) + path)
    shared = [*SHARED, str(ROOT), *_go()]
    mounts = "\n".join(
        f"mkdir -p {tree} && mount --rbind {shlex.quote(path)} {tree}"
        for path in shared
        for tree in [shlex.quote(str(TREE) + path)]
    )
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(
        f"#!/bin/sh\n# Runs {program} of the tree that tools/sid.py has made.\n"
        'if [ -z "$INSIDE" ]; then INSIDE=1 exec unshare --mount "$0" "$@"; fi\n'
        f"set -e\n{mounts}\nunset INSIDE\n"
        f"exec chroot {shlex.quote(str(TREE))} /bin/sh -c "
        f"""'cd "$0" && exec "$@"' "$PWD" {shlex.quote(program)} "$@"\n"""
    )
    script.chmod(0o755)
    return script


def _go() -> list[str]:
    """The directories of Go and of its modules, which the package's build asks for."""
    if shutil.which("go") is None:
        return []
    answer = subprocess.run(
        ["go", "env", "GOROOT", "GOMODCACHE"], capture_output=True, text=True, check=True
    )
    return [path for path in answer.stdout.split("\n") if path and Path(path).is_dir()]
