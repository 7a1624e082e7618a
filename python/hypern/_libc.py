"""Which C library the process runs on: the core, a Go library, loads on glibc only."""

from __future__ import annotations

import os
import sys

IMAGE = (
    "hypern needs glibc, and this is another C library (musl, as in Alpine): the core is a Go "
    "library, which musl cannot load; use a Debian image, such as python:3.13-slim"
)


def glibc() -> str | None:
    """The version, such as "glibc 2.36"; None on another C library of Linux."""
    if sys.platform != "linux":
        return sys.platform
    name = "CS_GNU_LIBC_VERSION"
    return os.confstr(name) if name in os.confstr_names else None
