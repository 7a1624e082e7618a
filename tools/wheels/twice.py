"""Whether a second build gives the same bytes: elsewhere, with no cache of the first.

One wheel of each processor is built again in a copy of the source tree, and compared with that in
dist/. The date in both is SOURCE_DATE_EPOCH, or that of the last commit.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.wheels import archive
from tools.wheels.__main__ import version
from tools.wheels.target import ARCHES, DIST, ROOT, WORK, Target

PYTHON = "3.14"
LEFT_OUT = (".git", ".venv", "build", "dist", "*.so", "*.egg-info", "__pycache__", ".*_cache")


def main() -> int:
    """Build once more and compare; returns 1 if a wheel differs."""
    targets = [Target(PYTHON, arch) for arch in ARCHES]
    with tempfile.TemporaryDirectory(prefix="hypern-twice-") as directory:
        copy = Path(directory) / "another place"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
        # The inputs from outside are the same: CPython's headers.
        (copy / "build" / "wheels").mkdir(parents=True)
        (copy / "build" / "wheels" / "headers").symlink_to(WORK / "headers")
        environment = {
            **os.environ,
            "SOURCE_DATE_EPOCH": str(archive.epoch()),
            "GOCACHE": f"{directory}/go-cache",
            "ZIG_GLOBAL_CACHE_DIR": f"{directory}/zig-cache",
            "ZIG_LOCAL_CACHE_DIR": f"{directory}/zig-cache",
        }
        command = [sys.executable, "-m", "tools.wheels", "--python", PYTHON]
        subprocess.run(command, cwd=copy, env=environment, check=True)
        wrong = 0
        for target in targets:
            name = target.file_name(version())
            one, other = (_digest(place / name) for place in (DIST, copy / "dist"))
            print(f"{name}: {one}" if one == other else f"{name} DIFFERS: {one}, {other}")
            wrong += one != other
    return int(wrong > 0)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
