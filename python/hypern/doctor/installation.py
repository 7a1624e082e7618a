"""The installation: versions, where the package comes from, whether its core loads."""

from __future__ import annotations

import platform
import resource
import sys
import time
from typing import TYPE_CHECKING

import hypern
from hypern import _beside
from hypern._libc import IMAGE, glibc
from hypern.database import Database, db, scope
from hypern.doctor.finding import BAD, OK, WARNING, Finding
from hypern.errors import Error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypern.doctor.finding import Plan

DISTRIBUTION = "hypern-database"
ALIAS = "hypern doctor"
_DESCRIPTORS = 64  # what an application has open beside its connections, at least


def installation(plan: Plan) -> Iterator[Finding]:
    """What is found of the installation."""
    name = platform.python_implementation()
    text = f"{hypern.__version__} on {name} {platform.python_version()}, {platform.machine()}"
    yield Finding(OK, "hypern", text)
    yield _wheel()
    yield _libc()
    for directory, other in _beside.others():
        yield Finding(WARNING, "distributions", f"{other} is in {directory}, too", _beside.REMEDY)
    yield from _limits(plan)
    yield _core()


def _wheel() -> Finding:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        text = f"{DISTRIBUTION} is not installed here: {hypern.__path__[0]} is imported"
        remedy = f"Install it with pip ({DISTRIBUTION}), so that its version can be found."
        return Finding(WARNING, "wheel", text, remedy)
    if found.version != hypern.__version__:
        text = f"{DISTRIBUTION} {found.version} is installed, {hypern.__version__} is imported"
        remedy = f"Another copy comes first on sys.path: {hypern.__path__[0]}. Remove one of them."
        return Finding(BAD, "wheel", text, remedy)
    lines = (found.read_text("WHEEL") or "").splitlines()
    tags = [line.partition(": ")[2] for line in lines if line.startswith("Tag: ")]
    built = "" if any("manylinux" in tag for tag in tags) else ", built on this machine"
    return Finding(OK, "wheel", f"{tags[0] if tags else 'without a tag'}{built}")


def _libc() -> Finding:
    version = glibc()
    if version is not None:
        return Finding(OK, "libc", version)
    return Finding(BAD, "libc", "not glibc: the core, a Go library, cannot be loaded", IMAGE)


def _limits(plan: Plan) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = plan.max_size + _DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < needed:
        text = f"{soft} file descriptors are allowed, and max_size={plan.max_size}"
        remedy = f"Raise the limit to {needed} or more (ulimit -n, or LimitNOFILE= of systemd)."
        yield Finding(WARNING, "limits", text, f"{remedy} The hard limit is {hard}.")
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if space != resource.RLIM_INFINITY:
        text = f"the address space is limited to {space >> 20:,} MiB"
        remedy = (
            "Go reserves address space that it does not use. Limit memory by a cgroup instead of "
            "ulimit -v."
        )
        yield Finding(WARNING, "limits", text, remedy)


def _core() -> Finding:
    """Loads the core, which connects to nothing."""
    began = time.monotonic()
    try:
        Database.configure("postgresql://localhost/", alias=ALIAS)
        with scope():
            db(alias=ALIAS)
    except Error as error:
        remedy = f"Reinstall it: {sys.executable} -m pip install --force-reinstall {DISTRIBUTION}"
        return Finding(BAD, "core", f"it does not load: {error}", remedy)
    finally:
        Database.close(ALIAS)
    return Finding(OK, "core", f"loaded in {(time.monotonic() - began) * 1000:.0f} ms")
