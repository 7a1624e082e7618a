"""Check that dist/ is a release, and complete it: `make release`.

What must hold: one version in pyproject.toml, the package, the CHANGELOG's top section and the tag;
the address of the repository; a source tree without changes; a wheel for each target, built of this
commit. Then the sdist and SHA256SUMS are added. With the option --check-only nothing is built.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator

from tools.wheels.__main__ import version
from tools.wheels.target import ARCHES, DIST, PYTHONS, ROOT, Target

SUMS = DIST / "SHA256SUMS"
_SECTION = re.compile(r"^## \[([^\]]+)\](?: - (\d{4}-\d\d-\d\d))?$", re.MULTILINE)


def problems(release: str, tag: str | None, changelog: str, package: str) -> Iterator[str]:
    """What keeps this from being a release, a sentence each."""
    found = _SECTION.search(changelog)
    if found is None or found[1] != release:
        yield f"the top section of CHANGELOG.md is {found and found[1]}, not {release}"
    elif found[2] is None:
        yield f"the section {release} of CHANGELOG.md has no date"
    if f'__version__ = "{release}"' not in package:
        yield f"hypern.__version__ is not {release}"
    if tag is not None and tag != f"v{release}":
        yield f"the tag is {tag}, not v{release}"


def unaddressed(project: str) -> Iterator[str]:
    """What a reader of SECURITY.md would not find, a sentence each."""
    section = project.partition("[project.urls]\n")[2].partition("\n[")[0]
    found = re.search(r'^Source = "https://([^"]+)"$', section, re.MULTILINE)
    if found is None:
        yield "pyproject.toml has no Source in [project.urls]: the repository's address"
    elif re.search(r"OWNER|example\.(com|org)", found[1]):
        yield f"the Source in [project.urls] of pyproject.toml is a placeholder: {found[1]}"


def left_over() -> list[str]:
    """Changes in the source tree that are in no commit."""
    command = ["git", "status", "--porcelain"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def missing(release: str) -> list[str]:
    """The wheels that dist/ lacks."""
    targets = [Target(python, arch) for arch in ARCHES for python in PYTHONS]
    names = [target.file_name(release) for target in targets]
    return [name for name in names if not (DIST / name).exists()]


def sums() -> str:
    """A line for each file in dist/, as sha256sum prints it."""
    files = sorted(file for file in DIST.iterdir() if file.suffix in {".whl", ".gz"})
    return "".join(f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files)


def main() -> int:
    """Check and complete; returns 1 if something is wrong."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--tag", help="the tag of this commit, which must name the version")
    options.add_argument("--check-only", action="store_true", help="build nothing")
    chosen = options.parse_args()
    release = version()
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    package = (ROOT / "python" / "hypern" / "__init__.py").read_text("utf-8")
    found = list(problems(release, chosen.tag or None, changelog, package))
    found += unaddressed((ROOT / "pyproject.toml").read_text("utf-8"))
    found += [f"not committed: {line}" for line in left_over()]
    if not chosen.check_only:
        found += [f"missing: dist/{name}" for name in missing(release)]
        others = [f.name for f in DIST.glob("*.whl") if f"-{release}-" not in f.name]
        found += [f"of another version: dist/{name}" for name in others]
    print(*found, sep="\n", end="\n" if found else "")
    if found or chosen.check_only:
        return int(bool(found))
    build = [sys.executable, "-m", "build", "--quiet", "--no-isolation", "--sdist"]
    subprocess.run([*build, "--outdir", str(DIST)], cwd=ROOT, check=True)
    files = sorted(str(file) for file in DIST.iterdir() if file.suffix in {".whl", ".gz"})
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], check=True)
    SUMS.write_text(sums())
    print(f"release {release}: {len(files)} files in dist/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
