"""What the core links beside our own code, and under which licence.

`python -m tools.third_party` writes the licence texts to licenses/, from where they go into every
wheel; with --check it compares instead. A licence that is not in `LICENCES` stops it: somebody has
to read that first.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from build_backend import toolchain

ROOT = Path(__file__).resolve().parent.parent
TEXTS = ROOT / "licenses"

# By a sentence that only this licence has.
LICENCES = {
    "MIT": "Permission is hereby granted, free of charge",
    "BSD-3-Clause": "may be used to endorse or promote products derived",
}
_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING")


@dataclass(frozen=True)
class Module:
    """A Go module; the runtime and the standard library count as one."""

    path: str
    version: str
    licence: str
    text: str

    @property
    def file_name(self) -> str:
        """The name of its licence text, without the version: an update changes only contents."""
        return f"{self.path.replace('/', '-')}.txt"


def modules() -> list[Module]:
    """Everything that is linked into the core, by path."""
    # In JSON, since a directory may have any character. The core is the same for all processors.
    command = ["go", "list", "-deps", "-json=Module", "./go/bridge"]
    done = subprocess.run(
        command, cwd=ROOT, env=toolchain.environment(), capture_output=True, text=True, check=True
    )
    found = {"std": _module("std", _go("GOVERSION").removeprefix("go"), Path(_go("GOROOT")))}
    rest = done.stdout
    decoder = json.JSONDecoder()
    while rest := rest.lstrip():
        package, end = decoder.raw_decode(rest)
        rest = rest[end:]
        module = package.get("Module", {"Main": True})
        if not module.get("Main") and module["Path"] not in found:
            found[module["Path"]] = _module(module["Path"], module["Version"], Path(module["Dir"]))
    return [found[path] for path in sorted(found)]


def _module(path: str, version: str, directory: Path) -> Module:
    texts = [directory / name for name in _FILES if (directory / name).exists()]
    if not texts:
        raise SystemExit(f"{path} {version} has no licence text")
    text = texts[0].read_text("utf-8")
    licences = [name for name, sentence in LICENCES.items() if sentence in " ".join(text.split())]
    if len(licences) != 1:
        raise SystemExit(f"{path} {version}: read {texts[0]}, then add it to LICENCES")
    return Module(path, version, licences[0], text)


def _go(variable: str) -> str:
    command = ["go", "env", variable]
    done = subprocess.run(
        command, cwd="/", env=toolchain.environment(), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def main() -> int:
    """Write the texts, or compare them."""
    wanted = {module.file_name: module.text for module in modules()}
    there = {file.name: file.read_text("utf-8") for file in TEXTS.glob("*.txt")}
    if "--check" in sys.argv:
        for name in sorted(wanted.keys() | there.keys()):
            if wanted.get(name) != there.get(name):
                print(f"licenses/{name} is not current: run python -m tools.third_party")
        return int(wanted != there)
    TEXTS.mkdir(exist_ok=True)
    for name in there.keys() - wanted.keys():
        (TEXTS / name).unlink()
    for name, text in wanted.items():
        (TEXTS / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
