"""What `make wheels` puts together, as far as it takes no other compiler and no network."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.utils import parse_wheel_filename

import hypern
from hypern import _native
from tools import third_party
from tools.wheels import archive, bom, check, headers, places
from tools.wheels.target import ARCHES, PYTHONS, ROOT, Target

PACKAGE = Path(hypern.__file__).parent
CORE = PACKAGE / "libhypern_core.so"
TARGET = Target("3.12", ARCHES[1])


def test_a_wheel_is_named_as_pip_reads_it() -> None:
    name, version, _, tags = parse_wheel_filename(TARGET.file_name("0.2.0"))
    assert (name, str(version)) == ("hypern-database", "0.2.0")
    assert {str(tag) for tag in tags} == {
        "cp312-cp312-manylinux_2_17_aarch64",
        "cp312-cp312-manylinux2014_aarch64",
    }
    assert TARGET.extension == "_native.cpython-312-aarch64-linux-gnu.so"


def test_the_extension_needs_no_function_of_a_newer_c_library() -> None:
    listing = subprocess.run(
        ["nm", "-D", "--undefined-only", "--format=posix", _native.__file__],
        check=True,
        capture_output=True,
        text=True,
    )
    names = {line.split("@")[0].split()[0] for line in listing.stdout.splitlines()}
    assert "dlopen" in names
    assert "memfd_create" not in names  # glibc 2.27


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path]:
    """A Python part that is small, and a dist-info."""
    lib, info = tmp_path / "lib", tmp_path / "hypern_database-0.2.0.dist-info"
    (lib / "hypern").mkdir(parents=True)
    (info / "licenses").mkdir(parents=True)
    (lib / "hypern" / "__init__.py").write_text("")
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: hypern-database\nVersion: 0.2.0\n")
    (info / "licenses" / "LICENSE").write_text("text, with a comma")
    return lib, info


def test_the_same_inputs_give_the_same_bytes(
    parts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "lib.so"
    library.write_bytes(b"code")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    wheels = [tmp_path / name for name in ("one.whl", "two.whl")]
    for wheel in wheels:
        archive.write(wheel, TARGET, [library], parts, b"{}")
        for file in parts[0].rglob("*"):
            file.touch()  # files' own times are not in it
    assert wheels[0].read_bytes() == wheels[1].read_bytes()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000002")
    archive.write(wheels[1], TARGET, [library], parts, b"{}")
    assert wheels[0].read_bytes() != wheels[1].read_bytes()


def test_the_record_lists_every_file_with_its_digest(
    parts: tuple[Path, Path], tmp_path: Path
) -> None:
    library = tmp_path / "lib.so"
    library.write_bytes(b"code")
    archive.write(tmp_path / "a.whl", TARGET, [library], parts, b"{}")
    with zipfile.ZipFile(tmp_path / "a.whl") as wheel:
        names = wheel.namelist()
        record = f"{parts[1].name}/RECORD"
        assert names[-1] == record
        rows = list(csv.reader(io.StringIO(wheel.read(record).decode())))
        assert [row[0] for row in rows] == names
        for name, digest, size in rows[:-1]:
            data = wheel.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
            assert (digest, size) == (f"sha256={expected.decode()}", str(len(data)))
        assert f"{parts[1].name}/sboms/hypern-database.cdx.json" in names
        assert "Root-Is-Purelib: false" in wheel.read(f"{parts[1].name}/WHEEL").decode()
        executable = wheel.getinfo("hypern/lib.so").external_attr >> 16
        assert executable & 0o777 == 0o755


def test_the_bill_of_materials_lists_what_the_core_links() -> None:
    document = json.loads(bom.write("0.2.0", TARGET, CORE, "3.12.1"))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    parts = {part["name"]: part for part in document["components"]}
    assert {"std", "github.com/jackc/pgx/v5", "golang.org/x/text"} <= set(parts)
    assert parts["github.com/jackc/pgx/v5"]["licenses"] == [{"license": {"id": "MIT"}}]
    for part in parts.values():
        assert part["purl"] == f"pkg:golang/{part['name']}@{part['version']}"
    assert bom.write("0.2.0", TARGET, CORE, "3.12.1") == bom.write("0.2.0", TARGET, CORE, "3.12.1")


def test_the_licence_of_each_linked_module_is_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.third_party", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(third_party.TEXTS.glob("*.txt"))) == len(third_party.modules())
    notice = {"Copyright", "copyright"}
    for module in third_party.modules():
        assert notice & set(module.text.split()), module.path


def test_a_wheel_with_the_wrong_contents_is_refused(
    parts: tuple[Path, Path], tmp_path: Path
) -> None:
    stray = parts[0] / "hypern" / "secret.c"
    stray.write_text("")
    wrong = tmp_path / "libhypern_core.so"
    wrong.write_bytes((PACKAGE / "libhypern_core.so").read_bytes() + f"{ROOT}/x".encode())
    document = bom.write("0.2.0", TARGET, CORE, "3.12.1")
    archive.write(tmp_path / "a.whl", TARGET, [wrong], parts, document)
    found = "\n".join(check.problems(tmp_path / "a.whl", TARGET))
    for problem in (
        "hypern/database.py is missing",
        f"hypern/{TARGET.extension} is missing",
        "hypern/secret.c has no place in a wheel",
        "the licence of github.com/jackc/pgx/v5 is missing",
        f"libhypern_core.so has a path of the machine that built it: {ROOT}",
    ):
        assert problem in found


def test_macros_that_differ_are_found() -> None:
    one = "#define A 1\n#define B 2 /* both */\n# define C\n/* #define D 1 */\n"
    other = "#define A 1\n#define B 3\n#define E 1\n/* #undef C */\n"
    assert headers.differing(one, other) == {"B", "C", "E"}
    assert headers.macros(one) == {"A": "1", "B": "2", "C": ""}
    assert "hn_core_locate" in headers.words(*headers.SOURCES)


def test_every_interpreter_is_tried_in_some_place() -> None:
    tried = {(python, place.architecture) for place in places.PLACES for python in place.pythons}
    assert {python for python, architecture in tried if architecture == "amd64"} == set(PYTHONS)
    assert {architecture for _, architecture in tried} == {arch.debian for arch in ARCHES}
