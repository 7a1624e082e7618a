"""What must hold of a wheel before anybody installs it."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from build_backend.extensions import HEADERS
from tools import check_exports, third_party
from tools.wheels.target import DIST, ROOT, Target

MOST = 5 << 20  # bytes
FILES = {"py.typed", "_native.pyi", "__init__.py", "database.py", "libhypern_core.so"}


def problems(wheel: Path, target: Target) -> Iterator[str]:
    """What is wrong with a wheel, a sentence each."""
    if wheel.stat().st_size > MOST:
        yield f"it has {wheel.stat().st_size:,} bytes; the limit is {MOST:,}"
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as directory:
        names = archive.namelist()
        archive.extractall(directory)
        package = Path(directory) / "hypern"
        info = next(Path(directory).glob("*.dist-info"))
        yield from _files(names, package, target)
        yield from _metadata(info)
        # The core has the whole header in it, the extension the header's digest.
        header = (ROOT / HEADERS / "hypern_abi.h").read_bytes()
        digest = hashlib.sha256(header).hexdigest().encode()
        libraries = {
            package / "libhypern_core.so": (check_exports.declared(), header),
            package / target.extension: ({"PyInit__native"}, digest),
        }
        for library, (exports, identity) in libraries.items():
            if not library.exists():
                yield f"it has no {library.name}"
                continue
            content = library.read_bytes()
            if check_exports.exported(library) != exports:
                yield f"{library.name} exports {sorted(check_exports.exported(library))}"
            if identity not in content:
                yield f"{library.name} was built with another hypern_abi.h"
            for path in {str(ROOT), str(Path.home())} - {"/"}:
                if f"{path}/".encode() in content:
                    yield f"{library.name} has a path of the machine that built it: {path}"
            if b".debug_info\0" in content or b".symtab\0" in content:
                yield f"{library.name} is not stripped"
    yield from _platform(wheel, target)


def _files(names: list[str], package: Path, target: Target) -> Iterator[str]:
    there = {file.name for file in package.iterdir()}
    for missing in sorted((FILES | {target.extension}) - there):
        yield f"hypern/{missing} is missing"
    for name in names:
        expected = re.match(r"hypern/|hypern_database-[^/]+\.dist-info/", name)
        if not expected or re.search(r"\.(c|h|go|pyc)$", name):
            yield f"{name} has no place in a wheel"
    libraries = [name for name in names if name.endswith(".so")]
    if len(libraries) != 2:
        yield f"it has these libraries: {libraries}"


def _metadata(info: Path) -> Iterator[str]:
    metadata = (info / "METADATA").read_text("utf-8")
    bom = json.loads((info / "sboms" / "hypern-database.cdx.json").read_text("utf-8"))
    known = third_party.modules()
    if {part["name"] for part in bom["components"]} != {module.path for module in known}:
        yield "its bill of materials lists other modules than the core links"
    for module in known:
        text = info / "licenses" / "licenses" / module.file_name
        if not text.exists() or text.read_text("utf-8") != module.text:
            yield f"the licence of {module.path} is missing"
        elif f"License-File: licenses/{module.file_name}" not in metadata:
            yield f"its metadata does not list the licence of {module.path}"


def _platform(wheel: Path, target: Target) -> Iterator[str]:
    """What auditwheel says: symbol versions, and libraries that a system may lack."""
    command = [sys.executable, "-m", "auditwheel", "show", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = " ".join(done.stdout.split())
    found = re.search(r'consistent with the following platform tag: "(\w+)"', text)
    if found is None or found[1] not in target.arch.platforms:
        yield f"auditwheel: {text or done.stderr}"


def main(targets: list[Target], version: str) -> int:
    """Check every wheel in dist/; returns how many have problems."""
    wrong = 0
    for target in targets:
        wheel = DIST / target.file_name(version)
        found = list(problems(wheel, target))
        for problem in found:
            print(f"{wheel.name}: {problem}")
        wrong += bool(found)
    return wrong
