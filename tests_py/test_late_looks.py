"""A thread or an event loop that could not run for a while: what has come meanwhile counts."""

from __future__ import annotations

import ctypes
import threading
import time

import pytest

from hypern import errors
from hypern.database import Database, db, scope

# Ends a second after the first request to cancel it, however often it is asked again.
_RELUCTANT = """
DO $$ DECLARE patience timestamptz := clock_timestamp() + interval '1 s'; BEGIN
    LOOP
        BEGIN PERFORM pg_sleep(30);
        EXCEPTION WHEN query_canceled THEN
            IF clock_timestamp() > patience THEN RAISE; END IF;
        END;
    END LOOP;
END $$
"""
# Longer than a cancelled statement's end is waited for (2 s), from before that end on.
_AWAY_AFTER, _AWAY = 0.5, 2.5


@pytest.fixture
def many_connections(database: str) -> None:
    """Room for more operations than an event loop takes in at one time."""
    Database.close()
    Database.configure(database, max_size=40)


@pytest.mark.usefixtures("many_connections")
def test_a_thread_kept_from_the_gil_takes_the_answer_to_its_cancelled_statement() -> None:
    keep_gil = ctypes.PyDLL(None).usleep  # unlike time.sleep, which lets others run

    def keep_others_out() -> None:
        time.sleep(_AWAY_AFTER)
        keep_gil(int(_AWAY * 1e6))

    other = threading.Thread(target=keep_others_out)
    with scope():
        before = db().query_value("SELECT pg_backend_pid()")
        other.start()
        began = time.monotonic()
        with pytest.raises(errors.QueryCanceled):
            db().execute(_RELUCTANT, timeout=0.05)
        assert time.monotonic() - began > _AWAY  # else nothing was late
        assert db().query_value("SELECT pg_backend_pid()") == before
    other.join()
