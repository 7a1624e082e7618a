"""The CPythons of this machine: on PATH, or installed by pyenv."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def find(version: str) -> str | None:
    """The path of the interpreter of a version ("3.12"); None if there is none."""
    candidates = [shutil.which(f"python{version}")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += map(str, sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True))
    for candidate in filter(None, candidates):
        # pyenv has shims also for versions that are not selected; those fail.
        program = "import sys; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([candidate, "-c", program], capture_output=True, text=True)
        if done.stdout.strip() == version:
            return candidate
    return None
