"""A wheel as a file: contents, metadata, and the same bytes each time."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from tools.wheels.target import ROOT, WORK, Target, run

PURE = WORK / "pure"
EPOCH_OF_ZIP = 315532800  # 1980: a zip file can hold no earlier time


def epoch() -> int:
    """SOURCE_DATE_EPOCH, or the time of the last commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        command = ["git", "log", "-1", "--format=%ct"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        given = done.stdout.strip() or "0"
    return max(int(given), EPOCH_OF_ZIP)


def python_part() -> tuple[Path, Path]:
    """The package's Python files and its dist-info directory, as setuptools makes them."""
    shutil.rmtree(PURE, ignore_errors=True)
    setup = [sys.executable, "setup.py", "--quiet"]
    run([*setup, "build_py", "--build-lib", str(PURE / "lib")])
    run([*setup, "dist_info", "--output-dir", str(PURE)])
    return PURE / "lib", next(PURE.glob("*.dist-info"))


def write(
    path: Path, target: Target, libraries: list[Path], python: tuple[Path, Path], bom: bytes
) -> None:
    """Write a target's wheel."""
    lib, info = python
    contents = {
        file.relative_to(lib).as_posix(): file.read_bytes()
        for file in lib.rglob("*")
        if file.is_file()
    }
    contents |= {f"hypern/{library.name}": library.read_bytes() for library in libraries}
    # The dist-info comes last, as PEP 427 recommends, and its RECORD at the end.
    described = {
        f"{info.name}/{file.relative_to(info).as_posix()}": file.read_bytes()
        for file in info.rglob("*")
        if file.is_file()
    }
    described[f"{info.name}/WHEEL"] = _wheel(target)
    described[f"{info.name}/sboms/hypern-database.cdx.json"] = bom
    ordered = dict(sorted(contents.items())) | dict(sorted(described.items()))
    record = f"{info.name}/RECORD"
    ordered[record] = _record(ordered, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    when = time.gmtime(epoch())[:6]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as wheel:
        for name, data in ordered.items():
            entry = zipfile.ZipInfo(name, when)
            entry.compress_type = zipfile.ZIP_DEFLATED
            mode = 0o755 if name.endswith(".so") else 0o644
            entry.external_attr = (0o100000 | mode) << 16
            entry.create_system = 3  # Unix, whose modes these are
            wheel.writestr(entry, data)


def _wheel(target: Target) -> bytes:
    lines = ["Wheel-Version: 1.0", "Generator: hypern tools.wheels", "Root-Is-Purelib: false"]
    lines += [f"Tag: {target.tag}-{target.tag}-{platform}" for platform in target.arch.platforms]
    return ("\n".join(lines) + "\n").encode()


def _record(contents: dict[str, bytes], record: str) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for name, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.writerow((name, f"sha256={digest}", len(data)))
    rows.writerow((record, "", ""))
    return text.getvalue().encode()
