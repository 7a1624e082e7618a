"""dbapi20, the public-domain suite for PEP 249, and its two-phase part, on `hypern.dbapi`.

`make test/peers` fetches the suite and runs this file, with HYPERN_TEST_URL set to a server whose
max_prepared_transactions is above 0, and PEERS_DRIVER to "hypern" or "psycopg".
"""

from __future__ import annotations

import os
import unittest
from importlib import import_module
from typing import Any, ClassVar

import dbapi20
import dbapi20_tpc

DRIVERS = {"hypern": "hypern.dbapi", "psycopg": "psycopg"}
URL = os.environ["HYPERN_TEST_URL"]
dbapi: Any = import_module(DRIVERS[os.environ["PEERS_DRIVER"]])

# The name that the suite uses, and CPython 3.12 has removed.
unittest.TestCase.assertEquals = unittest.TestCase.assertEqual


class TestPep249(dbapi20.DatabaseAPI20Test):  # type: ignore[misc]
    """Each feature, optional ones included."""

    driver = dbapi
    connect_args = (URL,)
    connect_kw_args: ClassVar[dict[str, Any]] = {}

    def test_nextset(self) -> None:
        """The suite leaves it to the driver how a statement has several results."""
        with dbapi.connect(URL) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1; SELECT 2")
            assert cursor.fetchall() == [(1,)]
            assert cursor.nextset()
            assert cursor.fetchall() == [(2,)]
            assert cursor.nextset() is None

    def test_setoutputsize(self) -> None:
        """Likewise: it may do nothing."""
        with dbapi.connect(URL) as connection, connection.cursor() as cursor:
            cursor.setoutputsize(1)
            assert cursor.execute("SELECT 'long'").fetchall() == [("long",)]


class TestTwoPhase(dbapi20_tpc.TwoPhaseCommitTests, unittest.TestCase):  # type: ignore[misc]
    """tpc_begin and its companions."""

    driver = dbapi

    def connect(self) -> Any:
        return dbapi.connect(URL)
