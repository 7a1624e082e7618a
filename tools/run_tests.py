"""Run pytest; the few tests that failed beside others run once more, alone.

`python -m tools.run_tests --numprocesses=logical`

Some tests measure time, and a busy machine is slow. At most three failures are tried again, each is
named, and one that fails alone too fails the run. A crash is never tried again.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

AT_MOST = 3


class Failures:
    """The tests of a run that failed, and whether the interpreter died in one of them."""

    def __init__(self) -> None:
        self.tests: dict[str, None] = {}
        self.crashed = False

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure. pytest-xdist reports the death of a worker under a phase of its own."""
        if report.failed:
            self.tests[report.nodeid] = None
            self.crashed |= report.when not in ("setup", "call", "teardown")


def main(arguments: list[str]) -> int:
    """Run the tests and return pytest's exit status, of the second run if there was one."""
    failures = Failures()
    status = pytest.main(arguments, plugins=[failures])
    again = list(failures.tests)
    is_tests = status == pytest.ExitCode.TESTS_FAILED and again and not failures.crashed
    if not is_tests or len(again) > AT_MOST:
        return int(status)
    print(f"== {len(again)} failed beside other tests; once more, alone:", *again, sep="\n")
    sys.stdout.flush()
    # Without the run's own arguments: they may name workers and files.
    return subprocess.run([sys.executable, "-m", "pytest", *again], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
