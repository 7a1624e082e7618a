"""Templates, parameters by name and scripts in tests with `db_session`."""

from __future__ import annotations

from pathlib import Path

from test_pytest_plugin import Run, pytest_run

__all__ = ["pytest_run"]  # the fixture


def test_sql_of_every_kind_is_undone(pytest_run: Run) -> None:
    here = Path(__file__).parent
    cases = (here / "nested_sql_cases.py").read_text()
    passed = 2 * cases.count("\ndef test_")
    pytest_run(cases, passed=passed, preamble="", env={"PYTHONPATH": str(here)})
