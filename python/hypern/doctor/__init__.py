"""What `python -m hypern doctor` checks: the installation, the connection, the server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypern.doctor.connection import connection
from hypern.doctor.finding import BAD, WARNING, Finding, Plan
from hypern.doctor.installation import installation

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Finding", "Plan", "examine", "findings"]

_WIDTH = 72


def examine(url: str | None, plan: Plan, *, strict: bool = False) -> int:
    """Print what is found, each finding as soon as it is known; returns the exit status."""
    wrong = warnings = 0
    for finding in findings(url, plan):
        wrong += finding.level == BAD
        warnings += finding.level == WARNING
        print(f"{finding.level:<8} {finding.subject:<16} {finding.text}", flush=True)
        for line in _wrapped(finding.remedy):
            print(f"{'':<25} {line}", flush=True)
    print(f"{wrong} wrong, {warnings} warnings")
    return int(wrong > 0 or (strict and warnings > 0))


def findings(url: str | None, plan: Plan) -> Iterator[Finding]:
    """Everything that is found, in order."""
    works = True
    for finding in installation(plan):
        works = works and finding.level != BAD
        yield finding
    if url is None:
        url = os.environ.get("DATABASE_URL")
    if url is None:
        yield Finding("info", "connection", "not checked: pass a URL, or set DATABASE_URL")
    elif works:
        yield from connection(url, plan)


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= _WIDTH:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return [line for line in lines if line]
