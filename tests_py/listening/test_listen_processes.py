"""`listen()` in forked children, and as a program ends."""

from __future__ import annotations

import time

from listening.listeners import pids
from support import RunPython, wait_until


def test_a_forked_child_has_its_own(database: str, run_python: RunPython) -> None:
    run_python(
        """
        import os, sys
        from hypern import errors
        from hypern.database import Database, Notification, db, listen, scope

        Database.configure(sys.argv[1])
        with listen("orders") as events:
            pid = os.fork()
            if pid == 0:
                try:
                    try:
                        events.get(timeout=1)
                    except errors.InterfaceError as error:
                        assert "call listen() in the forked child" in str(error)
                    else:
                        raise AssertionError
                    with listen("orders") as own, scope():
                        db().notify("orders", "from the child")
                        assert own.get(timeout=20).payload == "from the child"
                    os._exit(0)
                except BaseException:
                    import traceback
                    traceback.print_exc()
                    os._exit(1)
            assert os.waitpid(pid, 0)[1] == 0
            assert events.get(timeout=20).payload == "from the child"
            with scope():
                db().notify("orders", "from the parent")
            assert events.get(timeout=20).payload == "from the parent"
        """,
        database,
    )


def test_a_program_that_listens_ends(database: str, run_python: RunPython) -> None:
    began = time.monotonic()
    run_python(
        """
        import sys
        from hypern.database import Database, listen

        Database.configure(sys.argv[1])
        block = listen("orders")
        events = block.__enter__()
        """,
        database,
    )
    assert time.monotonic() - began < 30
    wait_until(lambda: pids() == [])


def test_a_signal_handler_that_forks_ends_the_wait_in_the_child(
    database: str, run_python: RunPython
) -> None:
    run_python(
        """
        import os, signal, sys, time
        from hypern import errors
        from hypern.database import Database, listen

        class Done(Exception):
            pass

        def fork(*_):
            pid = os.fork()
            end = time.monotonic() + 30
            while pid:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    raise Done(os.waitstatus_to_exitcode(status))
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.01)

        Database.configure(sys.argv[1])
        signal.signal(signal.SIGALRM, fork)
        with listen("orders") as events:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                events.get()
            except errors.InterfaceError as error:
                os._exit(7 if "forked child" in str(error) else 8)
            except Done as done:
                assert done.args == (7,), done.args
            else:
                raise AssertionError
        """,
        database,
    )
