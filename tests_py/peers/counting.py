"""A pytest plugin for the suites of others: counts the connections that are in use at the end.

`make test/peers` loads it. Each process of the tests writes its number to a file of its own, whose
name begins with PEERS_COUNTS.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """After what the suite does at its end, and before a worker says that it has finished."""
    if os.environ["PEERS_DRIVER"].startswith("hypern") and not _is_controller(session):
        Path(f"{os.environ['PEERS_COUNTS']}.{os.getpid()}").write_text(str(_in_use()))


def _is_controller(session: pytest.Session) -> bool:
    """Whether the tests run in processes that this one has started."""
    return bool(session.config.getoption("numprocesses", None))


def _in_use() -> int:
    from hypern.database import Database
    from hypern.pool import registry

    config: Any = sys.modules.get("sqlalchemy.testing.config")
    if config is not None:
        run: Any = sys.modules["sqlalchemy.testing.asyncio"]._assume_async
        for each in config.Config.all_configs():
            run(each.db.dispose)  # engines that the suite keeps to its end
    gc.collect()
    return sum(Database.status(alias).in_use for alias in registry.aliases())
