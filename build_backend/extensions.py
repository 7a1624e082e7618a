"""The two libraries of the package: `hypern._native` in C, `hypern.libhypern_core` in Go.

`python -m build_backend.extensions` prints the flags the C sources are compiled with.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from setuptools import Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, PlatformError
from setuptools.modified import newer_group

from build_backend import toolchain

# hypern._libc has the same words for an import.
MUSL = (
    "hypern needs glibc, and this is another C library (musl, as in Alpine): the core is a Go "
    "library, which musl cannot load; use a Debian image, such as python:3.13-slim"
)
HEADERS = Path("go/abi")
SOURCES = Path("python/native")
EXPORTS = Path("go/bridge/exports.map")
PYTHON_HEADERS = sysconfig.get_path("include")


class GoExtension(Extension):
    """A package main that `go build` turns into a C shared library."""

    def __init__(self, name: str, package: str) -> None:
        super().__init__(name, sources=[])
        self.package = package


def core() -> GoExtension:
    """The Go core. Named lib*: a bare `_core.so` would shadow a module `_core`."""
    return GoExtension("hypern.libhypern_core", "./go/bridge")


def native() -> Extension:
    """The C extension."""
    headers = sorted(str(path) for room in (HEADERS, SOURCES) for path in room.rglob("*.h"))
    return Extension(
        "hypern._native",
        sources=sorted(str(path) for path in SOURCES.rglob("*.c")),
        depends=headers,
        extra_compile_args=c_flags(),
        libraries=["dl", "pthread"] if sys.platform == "linux" else [],
    )


def c_flags(python_headers: str = PYTHON_HEADERS) -> list[str]:
    """Flags for the C sources, spelled once for every build and for lint.

    The project's own builds set HYPERN_STRICT and take no warning; a user's compiler may know
    warnings that ours does not.
    """
    strict = ["-Werror"] if os.environ.get("HYPERN_STRICT") else []
    fingerprint = hashlib.sha256((HEADERS / "hypern_abi.h").read_bytes()).hexdigest()
    return [
        "-std=c11",
        "-O3",
        "-fvisibility=hidden",
        "-Wall",
        "-Wextra",
        "-Wconversion",
        *strict,
        # As system headers, since Python's own do not pass -Wconversion.
        f"-isystem{python_headers}",
        f"-I{HEADERS}",
        f"-I{SOURCES}",
        f'-DHN_FINGERPRINT="{fingerprint}"',
    ]


class BuildExt(build_ext):
    """build_ext that also knows how to build a GoExtension."""

    def build_extensions(self) -> None:
        check_libc()
        self._check_c_compiler()
        super().build_extensions()

    def get_ext_filename(self, fullname: str) -> str:
        """The core's name has no Python version in it: it is no Python module."""
        name = fullname.rpartition(".")[2]
        if any(isinstance(e, GoExtension) and e.name.endswith(f".{name}") for e in self.extensions):
            return f"{fullname.replace('.', os.sep)}.so"
        return str(super().get_ext_filename(fullname))  # type: ignore[no-untyped-call]

    def build_extension(self, ext: Extension) -> None:
        if isinstance(ext, GoExtension):
            self._build_go(ext)
        else:
            super().build_extension(ext)

    def _build_go(self, ext: GoExtension) -> None:
        target = Path(self.get_ext_fullpath(ext.name))
        if not self.force and not newer_group(list(_go_inputs()), str(target)):
            return
        if toolchain.is_missing():
            raise PlatformError(toolchain.missing_sentence())
        # go also writes a header beside its output, which has no place in the package.
        output = Path(self.build_temp) / target.name
        output.parent.mkdir(parents=True, exist_ok=True)
        command = go_build(str(output), ext.package)
        print(*command, flush=True)
        environment = toolchain.environment()
        environment.setdefault("CC", self.compiler.compiler[0])
        if subprocess.run(command, env=environment, check=False).returncode != 0:
            raise CompileError(f"go build of {ext.package} failed")
        self.mkpath(str(target.parent))
        self.copy_file(str(output), str(target))
        target.touch()

    def _check_c_compiler(self) -> None:
        compiler = self.compiler.compiler[0]
        if shutil.which(compiler) is None:
            raise PlatformError(
                f"building hypern needs a C compiler, and there is no `{compiler}`: install one "
                "(Debian, Ubuntu: apt install gcc; Fedora: dnf install gcc), or name yours in CC"
            )
        if not Path(PYTHON_HEADERS, "Python.h").exists():
            raise PlatformError(
                f"building hypern needs Python's headers, and {PYTHON_HEADERS} has no Python.h: "
                "install them (Debian, Ubuntu: apt install python3-dev; Fedora: python3-devel)"
            )


def check_libc() -> None:
    """Refuse to build what could not be loaded."""
    if sys.platform == "linux" and "CS_GNU_LIBC_VERSION" not in os.confstr_names:
        raise PlatformError(MUSL)


def go_build(output: str, package: str, flags: str = "", external: str = "") -> list[str]:
    """The command that builds the core, with more flags for Go's linker and for the external."""
    command = ["go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false"]
    return [*command, "-ldflags", _linker_flags(flags, external), "-o", output, package]


def _linker_flags(flags: str, external: str) -> str:
    """Strip the library, and where the linker reads version scripts hide all but the exports."""
    flags = f"-s -w {flags}"
    if sys.platform == "linux":
        # Quoted twice: go splits -ldflags, then -extldflags, and the path may have spaces.
        script = f"'-Wl,--version-script={EXPORTS.resolve()}'"
        flags += f' "-extldflags={script} {external}"'
    return flags


def _go_inputs() -> Iterator[str]:
    """Whatever the core is built from; the directories too, since a file may have gone."""
    yield "go.mod"
    yield "go.sum"
    for directory, _, files in os.walk("go"):
        yield directory
        for file in files:
            if not file.endswith("_test.go"):
                yield os.path.join(directory, file)


if __name__ == "__main__":
    print(*c_flags())
