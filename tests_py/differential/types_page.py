"""The table of docs/types.md: a row per type, a cell per driver, a reason for each difference."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from differential.differences import REASONS, Reason

PAGE = Path(__file__).parents[2] / "docs" / "types.md"
_BEGIN = "<!-- The table is written by `make test/types`. -->\n"
_END = "<!-- End of the table. -->\n"


@dataclass(frozen=True)
class Row:
    """One type: its name, what it is in Python, and what each driver does with it."""

    name: str
    python: str
    cells: dict[str, str]

    def clauses(self) -> list[tuple[str, str]]:
        """Each difference, with its driver."""
        return [
            (driver, clause)
            for driver, cell in self.cells.items()
            for clause in cell.split("; ")
            if clause != "same"
        ]


def reason(driver: str, name: str, clause: str) -> Reason | None:
    """Why a driver differs in this way, or None: then it has to be found out and written down."""
    for why in REASONS:
        meant = why.driver == driver and (why.types is None or name in why.types)
        if meant and re.search(why.clause, clause):
            return why
    return None


def table(rows: list[Row]) -> str:
    """The table and, below it, the reasons that its numbers refer to."""
    drivers = list(rows[0].cells)
    heads = [_versioned(driver) for driver in drivers]
    lines = ["| PostgreSQL | Python | " + " | ".join(heads) + " |"]
    lines.append("|---|---|" + "---|" * len(drivers))
    for row in rows:
        cells = [_cell(row.name, driver, cell) for driver, cell in row.cells.items()]
        lines.append(f"| {row.name} | {row.python} | " + " | ".join(cells) + " |")
    lines.append("")
    lines += [f"{n}. {why.driver}: {why.sentence}" for n, why in enumerate(REASONS, 1)]
    return "\n".join(lines) + "\n"


def _versioned(driver: str) -> str:
    return driver if driver == "hypern" else f"{driver.split()[0]} {version(driver.split()[0])}"


def _cell(name: str, driver: str, cell: str) -> str:
    if cell == "same":
        return "exact" if driver == "hypern" else "same"
    words = []
    for clause in cell.split("; "):
        why = reason(driver, name, clause)
        words.append(clause + (f" ({REASONS.index(why) + 1})" if why else ""))
    return "; ".join(words)


def committed() -> str:
    """The table as the page has it."""
    return PAGE.read_text().split(_BEGIN)[1].split(_END)[0]


def keep(text: str) -> None:
    """Put the table in its place."""
    page = PAGE.read_text()
    before, after = page.split(_BEGIN)[0], page.split(_END)[1]
    PAGE.write_text(before + _BEGIN + text + _END + after)
