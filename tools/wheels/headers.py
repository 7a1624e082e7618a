"""CPython's headers for a target, from Debian's packages or from an interpreter at hand.

Debian has both processors' headers of some versions. Of the others the machine's own x86-64
headers serve aarch64, too: all that differs between processors is pyconfig.h, and `differences`
shows for each version that Debian has that it makes no difference here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tools import interpreters
from tools.debian import Apt
from tools.wheels.target import ARCHES, ROOT, WORK, Arch, Target, compiler_environment

# The release of Debian that has this CPython.
SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "sid", "3.15": "sid"}
HEADERS = WORK / "headers"
SOURCES = (ROOT / "python" / "native", ROOT / "go" / "abi")

_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(?:[ \t]+(.*))?$", re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def directory(target: Target) -> Path:
    """The include directory for a target."""
    if target.python in SUITES:
        return _of_debian(target.python, target.arch)
    return _at_hand(target.python)


def release(target: Target) -> str:
    """The release the headers are of, such as "3.14.2"."""
    text = (directory(target) / "patchlevel.h").read_text()
    found = re.search(r'^#define PY_VERSION\s+"([^"+]+)', text, re.MULTILINE)
    if found is None or not found[1].startswith(f"{target.python}."):
        raise SystemExit(f"{directory(target)} is not of CPython {target.python}")
    return found[1]


def differences(python: str) -> set[str]:
    """What the two processors' pyconfig.h make of Python.h and of our sources that differs.

    That is lines of Python.h, preprocessed for aarch64 with either, its macros included, and the
    macros that differ and are named in our sources.
    """
    x86, arm = (_of_debian(python, arch) for arch in ARCHES)
    texts = [(include / "pyconfig.h").read_text() for include in (x86, arm)]
    unlike = differing(*texts)
    one, other = (preprocessed(arm, text) for text in texts)
    # Those macros themselves differ; what matters is what follows from them.
    lines = {line for line in one ^ other if not unlike.intersection(line.split()[1:2])}
    return lines | (unlike & words(*SOURCES))


def preprocessed(include: Path, config: str) -> set[str]:
    """The lines of Python.h and of its macros, preprocessed for aarch64 with this pyconfig.h."""
    with tempfile.TemporaryDirectory() as directory:
        # Included first, it takes the place of the one beside Python.h, which its guard skips.
        first = Path(directory) / "pyconfig.h"
        first.write_text(config)
        command = [*ARCHES[1].compiler, "-E", "-P", "-dD", "-include", str(first)]
        command += ["-I", str(include)]
        program = "#include <Python.h>\n#include <structmember.h>\n#include <datetime.h>\n"
        done = subprocess.run(
            [*command, "-x", "c", "-"],
            input=program,
            env=compiler_environment(),
            capture_output=True,
            text=True,
            check=True,
        )
    return set(done.stdout.splitlines())


def differing(one: str, other: str) -> set[str]:
    """The macros that two texts define differently, conditions aside."""
    first, second = macros(one), macros(other)
    return {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)}


def macros(text: str) -> dict[str, str]:
    """The macros that a header defines, whatever its conditions."""
    return {name: (value or "").strip() for name, value in _DEFINE.findall(_COMMENT.sub("", text))}


def words(*directories: Path) -> set[str]:
    """The words in the C files of directories, comments left out."""
    files = (file for place in directories for file in place.rglob("*.[ch]"))
    return {
        word
        for file in files
        for word in re.findall(r"\w+", _COMMENT.sub("", file.read_text("utf-8")))
    }


@cache
def _of_debian(python: str, arch: Arch) -> Path:
    include = HEADERS / f"{python}-{arch.name}"
    if include.exists():
        return include
    new = include.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    package = _apt().download(f"libpython{python}-dev:{arch.debian}", SUITES[python], new)
    subprocess.run(["dpkg-deb", "--extract", str(package), str(new)], check=True)
    found = new / "usr" / "include" / f"python{python}"
    config = new / "usr" / "include" / f"{arch.name}-linux-gnu" / f"python{python}" / "pyconfig.h"
    shutil.copyfile(config, found / "pyconfig.h")  # in place of one that includes it
    shutil.move(found, include)
    shutil.rmtree(new)
    return include


@cache
def _apt() -> Apt:
    return Apt(WORK / "apt", sorted(set(SUITES.values())), [arch.debian for arch in ARCHES])


@cache
def _at_hand(python: str) -> Path:
    interpreter = interpreters.find(python)
    if interpreter is None:
        raise SystemExit(
            f"there is no CPython {python} on PATH or in pyenv, and Debian has none: "
            f"install one, or leave it out (--python ...)"
        )
    program = "import sysconfig; print(sysconfig.get_path('include'))"
    done = subprocess.run([interpreter, "-c", program], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())
