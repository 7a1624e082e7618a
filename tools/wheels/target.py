"""What is built: processors, versions of CPython, and the names both go by."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "wheels"
DIST = ROOT / "dist"

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
GLIBC = "2.17"  # the oldest that aarch64 has; x86-64's wheels promise no more


@dataclass(frozen=True)
class Arch:
    """A processor, by the names that Python, Go and Debian have for it."""

    name: str
    goarch: str
    debian: str

    @property
    def platforms(self) -> tuple[str, ...]:
        """The wheel's platform tags: that of PEP 600, and the older name for the same."""
        return f"manylinux_{GLIBC.replace('.', '_')}_{self.name}", f"manylinux2014_{self.name}"

    @property
    def compiler(self) -> list[str]:
        """The C compiler for it."""
        return [sys.executable, "-m", "ziglang", "cc", "-target", f"{self.name}-linux-gnu.{GLIBC}"]


ARCHES = (Arch("x86_64", "amd64", "amd64"), Arch("aarch64", "arm64", "arm64"))


@dataclass(frozen=True)
class Target:
    """One wheel."""

    python: str
    arch: Arch

    @property
    def tag(self) -> str:
        """The interpreter's tag, which is that of its ABI, too."""
        return f"cp{self.python.replace('.', '')}"

    @property
    def extension(self) -> str:
        """The file name by which this CPython imports `hypern._native`."""
        return f"_native.cpython-{self.tag[2:]}-{self.arch.name}-linux-gnu.so"

    def file_name(self, version: str) -> str:
        """The wheel's."""
        # Compressed tags are sorted, as PEP 425 has them.
        platforms = ".".join(sorted(self.arch.platforms))
        return f"hypern_database-{version}-{self.tag}-{self.tag}-{platforms}.whl"


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a command in the source tree; its failure ends the build."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**compiler_environment(), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")


def compiler_environment() -> dict[str, str]:
    """The environment, with Zig's caches below build/ unless they are elsewhere already."""
    return {
        "ZIG_GLOBAL_CACHE_DIR": str(WORK / "zig-cache"),
        "ZIG_LOCAL_CACHE_DIR": str(WORK / "zig-cache"),
        **os.environ,
    }
