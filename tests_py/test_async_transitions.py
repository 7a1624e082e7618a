"""The table of what an awaited operation does about an event, by its phase and its driver."""

from __future__ import annotations

from itertools import product

import pytest

from hypern import _native

PHASES = ("new", "queued", "granted", "running", "over", "settling", "done")
DRIVERS = ("loop", "thread", "nobody")
EVENTS = ("granted", "ready", "late", "left", "lost")

# (must happen, cancellable): a FINALIZE or UNDO, a LEAVE, a statement or COMMIT, a ROLLBACK
KINDS = {
    "finalize": (True, False),
    "leave": (True, True),
    "statement": (False, True),
    "rollback": (False, False),
}

# event, phase, driver -> action, or actions by kind of operation. All else is ignored.
TABLE: dict[tuple[str, str, str], str | dict[str, str]] = {
    # The session's lock is handed to it.
    **{("granted", phase, driver): "schedule" for phase in PHASES for driver in ("loop", "thread")},
    **{("granted", phase, "nobody"): "abandon" for phase in PHASES},
    # Its reactor calls.
    **{("ready", phase, driver): "notify" for phase in PHASES for driver in ("loop", "nobody")},
    **{("ready", "granted", driver): "begin" for driver in ("loop", "nobody")},
    **{("ready", "running", driver): "advance" for driver in ("loop", "nobody")},
    # The time it was due has come.
    ("late", "queued", "loop"): "expire",
    ("late", "running", "loop"): "check",
    # Its task leaves.
    **{
        ("left", phase, driver): "finish"
        for phase in ("new", "settling", "done")
        for driver in DRIVERS
    },
    **{("left", "over", driver): "settle" for driver in DRIVERS},
    **{
        ("left", "queued", driver): {
            "finalize": "detach",
            "leave": "detach",
            "statement": "leave queue",
            "rollback": "leave queue",
        }
        for driver in DRIVERS
    },
    **{
        ("left", "granted", driver): {
            "finalize": "detach",
            "leave": "detach",
            "statement": "abandon",
            "rollback": "abandon",
        }
        for driver in ("loop", "nobody")
    },
    **{
        ("left", "running", driver): {
            "finalize": "detach",
            "leave": "cancel",
            "statement": "cancel",
            "rollback": "detach",
        }
        for driver in ("loop", "nobody")
    },
    ("left", "granted", "thread"): "detach",
    ("left", "running", "thread"): "detach",
    # Its event loop has gone.
    **{
        ("lost", "queued", driver): {
            "finalize": "detach",
            "leave": "detach",
            "statement": "leave queue",
            "rollback": "leave queue",
        }
        for driver in DRIVERS
    },
    **{
        ("lost", phase, driver): "abandon"
        for phase in ("granted", "running")
        for driver in ("loop", "nobody")
    },
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("event", EVENTS)
def test_the_action_for_each_phase_and_driver(event: str, kind: str) -> None:
    for phase, driver in product(PHASES, DRIVERS):
        expected = TABLE.get((event, phase, driver), "ignore")
        if isinstance(expected, dict):
            expected = expected[kind]
        found = _native._transition(phase, driver, event, *KINDS[kind])
        assert found == expected, (event, phase, driver, kind)


def test_other_words_are_refused() -> None:
    for words in (("x", "loop", "late"), ("new", "x", "late"), ("new", "loop", "x")):
        with pytest.raises(ValueError, match="'x'"):
            _native._transition(*words, False, False)
