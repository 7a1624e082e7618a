"""Clean systems of Debian and Ubuntu in directories, to try in what was built: by debootstrap,
which takes root.

`make(...)` returns a `Chroot` below build/chroots, whose `run` starts a program in it, with
namespaces of its own for mounts and processes: nothing stays mounted or running afterwards.
A tree of another processor runs by qemu-user, which the kernel starts through binfmt_misc.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.sid import MIRROR

ROOT = Path(__file__).resolve().parent.parent
TREES = ROOT / "build" / "chroots"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
# How the kernel recognizes programs for arm64; Debian's package qemu-user-static brings the file.
QEMU_ARM64 = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
UBUNTU = ("jammy", "noble")
UBUNTU_MIRROR = "http://archive.ubuntu.com/ubuntu"  # of x86-64 only
SCRIPTS = Path("/usr/share/debootstrap/scripts")
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Chroot:
    """A system in a directory."""

    tree: Path

    def run(
        self,
        command: list[str],
        *,
        shared: dict[Path, str],
        environment: dict[str, str] | None = None,
        seconds: float = 600,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; its output, errors included. The status of one that hangs is 124.

        shared: directories of this machine that the command sees read-only, and where.
        """
        tree = shlex.quote(str(self.tree))
        script = [f"mount -t proc proc {tree}/proc", f"mount --rbind /dev {tree}/dev"]
        script += [f"mount -t tmpfs tmpfs {tree}/tmp"]
        for outside, inside in shared.items():
            source, target = shlex.quote(str(outside)), shlex.quote(f"{self.tree}{inside}")
            script += [f"mkdir -p {target}", f"mount --bind {source} {target}"]
            script += [f"mount -o remount,bind,ro {target}"]
        variables = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **(environment or {})}
        settings = [f"{name}={value}" for name, value in variables.items()]
        script += [f"exec chroot {tree} " + shlex.join(["env", "-i", *settings, *command])]
        # With its first process, the shell, the namespace ends and whatever still runs in it.
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        limit = ["timeout", "--kill-after=5", str(seconds)]
        return subprocess.run(
            [*limit, *own, "sh", "-ec", "\n".join(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def make(suite: str, architecture: str, packages: list[str], name: str | None = None) -> Chroot:
    """A minimal system of a release of Debian or Ubuntu with some packages; it is made once."""
    tree = TREES / (name or f"{suite}-{architecture}")
    if architecture != _native():
        emulate()
    if not tree.exists():
        if os.geteuid() != 0 or shutil.which("debootstrap") is None:
            raise SystemExit("a clean system takes root, and: apt install debootstrap")
        print(f"== {suite} for {architecture}, in {tree}", flush=True)
        half = tree.with_name(f"{tree.name}.new")
        shutil.rmtree(half, ignore_errors=True)
        half.parent.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", f"--arch={architecture}", "--variant=minbase"]
        command += [f"--include={','.join(packages)}"]
        if suite in UBUNTU:
            # A Debian older than the release has no script for it; all of Ubuntu's are one.
            script = SCRIPTS / (suite if (SCRIPTS / suite).exists() else "gutsy")
            command += ["--components=main,universe"]
            command += [suite, str(half), UBUNTU_MIRROR, str(script)]
        else:
            command += [suite, str(half), MIRROR]
        with (TREES / f"{tree.name}.log").open("w") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log)
        for archive in (half / "var/cache/apt/archives").glob("*.deb"):
            archive.unlink()
        half.rename(tree)
    return Chroot(tree)


def emulate() -> None:
    """Have the kernel run programs for arm64 by qemu, from now on."""
    if (BINFMT / QEMU_ARM64.stem).exists():
        return
    if not QEMU_ARM64.exists():
        raise SystemExit("programs for arm64 take: apt install qemu-user-static")
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=True)
    # Its flag F opens qemu now, so that a chroot need not have it.
    (BINFMT / "register").write_text(QEMU_ARM64.read_text().strip())


def _native() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
