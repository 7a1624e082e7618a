"""Django's test runner, which also counts the connections that the tests have left in use."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.test.runner import DiscoverRunner

from hypern.database import Database


class CountingRunner(DiscoverRunner):
    """Counts before the databases are dropped."""

    def teardown_databases(self, old_config: Any, **kwargs: Any) -> None:
        connections.close_all()
        in_use = sum(Database.status(alias).in_use for alias in Database.aliases())
        print(f"connections in use: {in_use}")
        super().teardown_databases(old_config, **kwargs)
