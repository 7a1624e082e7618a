"""Known vulnerabilities in what the core links and in what the extras install: `make audit`.

govulncheck and pip-audit are both run. Each asks a database on the network; where that cannot be
reached, or a package cannot be looked up, the audit has failed, since nothing is known then.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from importlib.metadata import requires

from build_backend import toolchain
from tools.wheels.target import ROOT

GOVULNCHECK = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"
OWN = "hypern-database"


def requirements(lines: list[str]) -> list[str]:
    """What the extras require, without their conditions and without ourselves."""
    found = {re.split(r"\s*;", line)[0] for line in lines}
    return sorted(line for line in found if not line.startswith(OWN))


def main() -> int:
    """Run both; returns 1 if one has found something or could not look."""
    go = subprocess.run(
        ["go", "run", GOVULNCHECK, "./go/..."], cwd=ROOT, env=toolchain.environment(), check=False
    )
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        print(*requirements(requires(OWN) or []), sep="\n", file=file, flush=True)
        command = [sys.executable, "-m", "pip_audit", "--strict", "--progress-spinner=off"]
        python = subprocess.run([*command, "--requirement", file.name], cwd=ROOT, check=False)
    for name, done in {"govulncheck": go, "pip-audit": python}.items():
        print(f"{name}: {'nothing found' if done.returncode == 0 else 'FAILED, see above'}")
    return int(go.returncode != 0 or python.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
