"""Build the wheels into dist/, and check them: `make wheels`."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path

from tools.wheels import archive, bom, check, compile, headers
from tools.wheels.target import ARCHES, DIST, PYTHONS, ROOT, Target


def version() -> str:
    """The package's version, from pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    found = re.search(r'^version = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit("pyproject.toml has no version")
    return found[1]


def build(targets: list[Target], into: Path) -> list[Path]:
    """Build the wheels of some targets."""
    os.environ.setdefault("HYPERN_STRICT", "1")
    compile.check_root()
    _check_headers(targets)
    python = archive.python_part()
    release = version()
    wheels = []
    for arch in dict.fromkeys(target.arch for target in targets):
        began = time.monotonic()
        core = compile.core(arch)
        print(f"== Go core for {arch.name}: {time.monotonic() - began:.0f} s", flush=True)
        for target in [target for target in targets if target.arch == arch]:
            began = time.monotonic()
            library = compile.extension(target)
            wheel = into / target.file_name(release)
            of = headers.release(target)
            document = bom.write(release, target, core, of)
            archive.write(wheel, target, [core, library], python, document)
            wheels.append(wheel)
            size = wheel.stat().st_size / (1 << 20)
            seconds = time.monotonic() - began
            print(f"{wheel.name}: CPython {of}, {size:.1f} MiB, {seconds:.0f} s", flush=True)
    return wheels


def _check_headers(targets: list[Target]) -> None:
    """Whether x86-64's pyconfig.h serves aarch64, where a target needs that."""
    if all(target.python in headers.SUITES for target in targets):
        return
    for python in headers.SUITES:
        if found := headers.differences(python):
            raise SystemExit(f"pyconfig.h of CPython {python} differs on aarch64: {found}")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    names = [arch.name for arch in ARCHES]
    options.add_argument("--python", nargs="+", default=PYTHONS, choices=PYTHONS)
    options.add_argument("--arch", nargs="+", default=names, choices=names)
    options.add_argument("--check", action="store_true", help="only check what is in dist/")
    chosen = options.parse_args()
    targets = [
        Target(python, arch)
        for arch in ARCHES
        if arch.name in chosen.arch
        for python in chosen.python
    ]
    if not chosen.check:
        build(targets, DIST)
    wrong = check.main(targets, version())
    print(f"wheels: {len(targets) - wrong} of {len(targets)} as they should be")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
