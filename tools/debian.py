"""Packages of Debian for any of its releases and processors, by apt, apart from the machine's own.

`download(...)` fetches .deb files with apt's signature checks; nothing is installed.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tools.sid import MIRROR

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Apt:
    """A private state of apt under `directory`, for some releases and processors."""

    def __init__(self, directory: Path, suites: list[str], architectures: list[str]) -> None:
        self._directory = directory
        if not KEYRING.exists():
            raise SystemExit(f"{KEYRING} is missing: apt install debian-archive-keyring")
        for name in ("lists/partial", "archives/partial"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        (directory / "status").touch()
        signed = f"[signed-by={KEYRING}]"
        (directory / "sources.list").write_text(
            "".join(
                f"{kind} {signed} {MIRROR} {suite} main\n"
                for suite in suites
                for kind in ("deb", "deb-src")
            )
        )
        settings = {
            "Dir::State": directory,
            "Dir::State::lists": directory / "lists",
            "Dir::State::status": directory / "status",
            "Dir::Cache": directory,
            "Dir::Etc::sourcelist": directory / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Acquire::Languages": "none",
            "APT::Sandbox::User": "root",
            "APT::Architecture": architectures[0],
        }
        options = [f"{name}={value}" for name, value in settings.items()]
        options += [f"APT::Architectures::={name}" for name in architectures]
        self._command = ["apt-get", "-qq", *(part for o in options for part in ("-o", o))]
        self._updated = False

    def download(self, package: str, suite: str, into: Path) -> Path:
        """Fetch a package ("name:architecture") into an empty directory; the .deb file."""
        self._fetch(["download", f"{package}/{suite}"], into)
        return next(into.glob("*.deb"))

    def closure(self, packages: list[str]) -> list[Path]:
        """Fetch packages and all that they depend on, down to the C library; the .deb files."""
        options = ["--yes", "--download-only", "--no-install-recommends"]
        self._fetch(["install", *options, *packages], self._directory)
        return sorted((self._directory / "archives").glob("*.deb"))

    def source(self, package: str, suite: str, into: Path) -> Path:
        """Fetch a source package into an empty directory; the .dsc file."""
        self._fetch(["source", "--download-only", f"{package}/{suite}"], into)
        return next(into.glob("*.dsc"))

    def _fetch(self, arguments: list[str], into: Path) -> None:
        into.mkdir(parents=True, exist_ok=True)
        if not self._updated:
            subprocess.run([*self._command, "update"], check=True)
            self._updated = True
        subprocess.run([*self._command, *arguments], cwd=into, check=True)
