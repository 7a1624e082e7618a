"""Writes docs/peers.md from the outcomes, and names the failures that nothing explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.peers_run import ROOT, Outcome, Suite

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = ROOT / "docs" / "peers.md"

# Tests that fail on any driver which they do not know by name, and what they expect of it.
KNOWN = {
    "ServerSideCursorsTest": "looks up by the driver's name whether a cursor is the server's",
    "test_default_native_inet_types": "expects text; hypern returns ipaddress, as psycopg does",
    "test_render_derived_quoting_straight_json": "is expected to fail, and succeeds",
    "test_values_with_boolean_selects": "the server's error; expected for psycopg by its name",
    "HStoreRoundTripTest": "`use_native_hstore`, an option of psycopg's engines; hstore is a dict",
    "test_client_encoding": "`client_encoding`, an option of psycopg's engines; it is UTF-8",
    "test_error_code": "wants pgcode, psycopg2's name of sqlstate",
}
_HEAD = """# Suites that others wrote

`make test/peers` runs these suites on hypern and on psycopg 3, each with its statement cache on,
and writes this page. It fails if a test fails on hypern that passes on psycopg, unless a reason is
below, and if a suite leaves a connection in use. They come from PyPI, as source distributions.

| suite | run on | hypern: passed, failed, skipped | in use at the end | psycopg: the same |
|---|---|---|---|---|
"""


def write(outcomes: Iterable[tuple[Suite, dict[str, Outcome]]]) -> list[str]:
    """Write the page; what is wrong, a line each."""
    lines: list[str] = []
    wrong: list[str] = []
    reasons: dict[str, set[str]] = {}
    for suite, by_driver in outcomes:
        ours = by_driver.get(suite.drivers[0])
        if ours is None:
            continue
        theirs = by_driver.get(suite.drivers[-1]) if len(suite.drivers) > 1 else None
        day, in_use = ours.day, "not counted" if ours.in_use is None else ours.in_use
        lines.append(f"| {suite.name} | {day} | {_counts(ours)} | {in_use} | {_counts(theirs)} |")
        if ours.in_use != 0:
            wrong.append(f"{suite.name}: {ours.in_use} connections are in use at the end")
        for test in ours.failures:
            why = "fails with psycopg, too" if theirs and test in theirs.failures else None
            why = why or next((why for part, why in KNOWN.items() if part in test), None)
            if why is None:
                wrong.append(f"{suite.name}: {test}")
            reasons.setdefault(why or f"not explained: `{test}`", set()).add(test)
    text = _HEAD + "\n".join(lines) + "\n\n| what fails on hypern, and why | tests |\n|---|---|\n"
    text += "\n".join(f"| {why} | {len(tests)} |" for why, tests in sorted(reasons.items()))
    PAGE.write_text(text + ("" if reasons else "| nothing | 0 |") + "\n")
    return wrong


def _counts(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    return f"{outcome.passed:,}, {outcome.failed}, {outcome.skipped}"
