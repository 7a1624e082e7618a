"""The two libraries of a wheel: the Go core, one per processor, and the C extension."""

from __future__ import annotations

import os
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from build_backend import extensions, toolchain
from tools.wheels import headers
from tools.wheels.target import ROOT, WORK, Arch, Target, run

# What a CPython build passes by itself: it relies on wrapping integers, and asserts are off.
# Zig's compiler adds undefined-behavior traps that it would otherwise compile in.
C_FLAGS = ["-DNDEBUG", "-fwrapv", "-fPIC", "-g0", "-fno-sanitize=undefined"]


def core(arch: Arch) -> Path:
    """Build the Go core for a processor. Its bytes depend on the sources and on Go alone."""
    if toolchain.is_missing():
        raise SystemExit(toolchain.missing_sentence())
    output = WORK / arch.name / "libhypern_core.so"
    output.parent.mkdir(parents=True, exist_ok=True)
    # The build id is a digest of, among others, the compiler's path. Zig's linker keeps
    # its own symbols unless it is asked to strip, too.
    package = extensions.core().package
    command = extensions.go_build(str(output), package, "-buildid=", "-Wl,-s")
    environment = toolchain.environment()
    environment |= {"GOOS": "linux", "GOARCH": arch.goarch, "CC": shlex.join(arch.compiler)}
    environment["CGO_CFLAGS"] = "-O2 -g0"  # debug sections would name the compiler's directory
    run(command, environment)
    return output


def extension(target: Target) -> Path:
    """Build `hypern._native` for a target."""
    objects = WORK / target.arch.name / target.tag
    output = objects / target.extension
    objects.mkdir(parents=True, exist_ok=True)
    flags = [*extensions.c_flags(str(headers.directory(target))), *C_FLAGS]
    native = extensions.native()
    # Relative, so that no path of this machine is in the output.
    sources = [str(Path(source)) for source in native.sources]
    outputs = [str(objects / f"{source.replace('/', '_')}.o") for source in sources]
    compiler = target.arch.compiler

    def compile_one(source: str, output: str) -> None:
        run([*compiler, *flags, "-c", source, "-o", output])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, sources, outputs))
    libraries = [f"-l{name}" for name in native.libraries]
    run([*compiler, "-shared", "-s", "-o", str(output), *outputs, *libraries])
    return output


def check_root() -> None:
    """The recipes name the sources relative to the source tree."""
    if Path.cwd() != ROOT:
        raise SystemExit(f"run this in {ROOT}")
