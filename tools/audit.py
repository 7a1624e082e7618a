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


# By which each says that it has found something; any other failure is that it could not look.
FOUND = {"govulncheck": "exit status 3", "pip-audit": "known vulnerabilit"}


def verdict(program: str, status: int, errors: str) -> str:
    """What a run of a program means, from its exit status and what it wrote to standard error."""
    if status == 0:
        return f"{program}: nothing found"
    if FOUND[program] in errors:
        return f"{program}: FOUND VULNERABILITIES, see above"
    return f"{program}: COULD NOT LOOK, so nothing is known: see above"


def main() -> int:
    """Run both; returns 1 if one has found something or could not look."""
    go = _run(["go", "run", GOVULNCHECK, "./go/..."], toolchain.environment())
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        print(*requirements(requires(OWN) or []), sep="\n", file=file, flush=True)
        command = [sys.executable, "-m", "pip_audit", "--strict", "--progress-spinner=off"]
        python = _run([*command, "--requirement", file.name])
    for name, done in {"govulncheck": go, "pip-audit": python}.items():
        print(verdict(name, done.returncode, done.stderr))
    return int(go.returncode != 0 or python.returncode != 0)


def _run(
    command: list[str], environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, check=False
    )
    print(done.stderr, end="", file=sys.stderr, flush=True)
    return done


if __name__ == "__main__":
    sys.exit(main())
