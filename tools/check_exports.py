"""Check that the libraries export what go/abi/hypern_abi.h lists, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "hypern"


def declared() -> set[str]:
    """The names in the header's HN_EXPORTS."""
    header = (ROOT / "go" / "abi" / "hypern_abi.h").read_text()
    table = header[header.index("#define HN_EXPORTS(X)") :]
    return set(re.findall(r"\bX\([^,()]+, (\w+),", table))


def exported(library: Path) -> set[str]:
    """The symbols that a shared library exports."""
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", "--format=posix", str(library)],
        check=True,
        capture_output=True,
        text=True,
    )
    return {line.split()[0] for line in listing.stdout.splitlines()}


def main() -> int:
    """Compare both libraries; returns 1 if one differs."""
    native = f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
    expected = {"libhypern_core.so": declared(), native: {"PyInit__native"}}
    status = 0
    for name, want in expected.items():
        have = exported(PACKAGE / name)
        for symbol in sorted(want ^ have):
            print(f"{name}: {symbol} is {'missing' if symbol in want else 'not listed'}")
            status = 1
    if status == 0:
        print(f"exports: {len(expected['libhypern_core.so'])} of the core, as listed")
    return status


if __name__ == "__main__":
    sys.exit(main())
