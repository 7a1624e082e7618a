"""The heart of the suite on the other PostgreSQLs of this machine, in a pytest run of its own each.

`make test/versions` runs all of it on all of them, with each CPython.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from reliability.own_server import OwnServer, system_binaries

HEART = ["test_values.py", "test_transactions.py", "test_execute_many.py", "test_stream.py"]
# The embedded server's wheel carries two versions, and takes the newer one unless this names one.
OF_THE_WHEEL = "PGSERVER_POSTGRES_VERSION"


@pytest.fixture(params=["the system's", "the wheel's older one"])
def variables(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """What tells a pytest run to use another server."""
    if os.environ.get("HYPERN_TEST_URL") or os.environ.get(OF_THE_WHEEL):
        pytest.skip("a server is chosen for this run")
    if request.param == "the wheel's older one":
        yield {OF_THE_WHEEL: "16"}
        return
    server = OwnServer(binaries=system_binaries())
    yield {"HYPERN_TEST_URL": server.admin}
    server.remove()


@pytest.mark.timeout(300)
def test_the_heart_of_the_suite_passes(variables: dict[str, str]) -> None:
    # These tests may be run by a worker of xdist; the run that they start is none.
    outside = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST")}
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *HEART],
        cwd=here,
        env={**outside, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
