"""The runner of the suite: what failed beside other tests is tried once more, alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

_FIRST_TIME = """
import os, pathlib, pytest

def first_time(name):
    path = pathlib.Path(__file__).with_name(name)
    known = path.exists()
    path.touch()
    return not known
"""


def run(directory: Path, body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a file of tests by the runner, away from this repository's configuration."""
    (directory / "pytest.ini").write_text("[pytest]\n")
    (directory / "test_it.py").write_text(_FIRST_TIME + body)
    code = f"import sys; sys.path.append({str(ROOT)!r}); from tools.run_tests import main; "
    return subprocess.run(
        [sys.executable, "-c", code + "sys.exit(main(sys.argv[1:]))", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("workers", [(), ("--numprocesses=2",)], ids=["alone", "workers"])
def test_a_test_that_passes_alone_is_named_and_does_not_fail_the_run(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    done = run(tmp_path, "def test_once(): assert not first_time('once')\n", *workers)
    assert done.returncode == 0, done.stdout
    assert "1 failed beside other tests; once more, alone:\ntest_it.py::test_once\n" in done.stdout


def test_a_test_that_fails_alone_too_fails_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, "def test_always(): assert False\ndef test_good(): pass\n")
    assert done.returncode == 1
    assert done.stdout.count("assert False") >= 2


def test_four_failures_are_not_tried_again(tmp_path: Path) -> None:
    body = (
        "@pytest.mark.parametrize('n', range(4))\ndef test_once(n): assert not first_time(f'{n}')\n"
    )
    done = run(tmp_path, body)
    assert done.returncode == 1
    assert "once more" not in done.stdout


def test_a_crash_is_not_tried_again(tmp_path: Path) -> None:
    body = "def test_dies():\n    if first_time('dies'): os._exit(7)\n"
    done = run(tmp_path, body, "--numprocesses=2")
    assert done.returncode == 1, done.stdout
    assert "once more" not in done.stdout


def test_workers_that_collect_different_tests_fail_the_run(tmp_path: Path) -> None:
    body = (
        "@pytest.mark.parametrize('n', [object()], ids=[str(os.getpid())])\ndef test_it(n): pass\n"
    )
    done = run(tmp_path, body, "--numprocesses=2")
    assert done.returncode == 1
    assert "Different tests were collected" in done.stdout
    assert "once more" not in done.stdout
