"""What type checkers report: an `await` that was forgotten."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

FORGOTTEN = """
from hypern.database import AsyncDbSession


async def handler(session: AsyncDbSession) -> None:
    session.query("SELECT 1")
    session.query_one("SELECT 1")
    session.query_one_or_none("SELECT 1")
    session.query_value("SELECT 1")
    session.query_values("SELECT 1")
    session.execute("SELECT 1")
    session.execute_many("SELECT $1", [[1]])
    session.query_many("SELECT $1", [[1]])
    session.result("SELECT 1")
    session.describe("SELECT 1")
    session.execute_script("SELECT 1")
    session.begin()
    session.commit()
    session.rollback()
    session.release()
    session.run(other)
    session.stream("SELECT 1").aclose()


async def other(session: AsyncDbSession) -> int:
    return await session.execute("SELECT 1")
"""

CHECKERS = {
    "mypy": ("mypy", "--strict", "--no-incremental"),
    "pyright": ("pyright", "--pythonpath", sys.executable),
}
REPORTS = {
    "mypy": re.compile(r":(\d+): error: .*\[unused-coroutine\]"),
    "pyright": re.compile(r":(\d+):\d+ - error: .*\(reportUnusedCoroutine\)"),
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_forgotten_await_is_reported(checker: str, tmp_path: Path) -> None:
    file = tmp_path / "forgotten.py"
    file.write_text(FORGOTTEN)
    expected = [
        n for n, line in enumerate(FORGOTTEN.splitlines(), 1) if line.startswith("    session.")
    ]
    name, *arguments = CHECKERS[checker]
    checked = subprocess.run(
        [Path(sys.executable).with_name(name), *arguments, file],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    found = [int(line) for line in REPORTS[checker].findall(checked.stdout)]
    assert found == expected, checked.stdout + checked.stderr
    assert checked.returncode == 1
