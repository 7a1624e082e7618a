"""The table of docs/web-servers.md: what each server made of the load."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "web-servers.md"
_BEGIN = "<!-- The table is written by `make test/servers`. -->\n"
_END = "<!-- End of the table. -->\n"
_HEAD = """\
| server | requests answered | transfers committed | raised, rolled back | cut off | killed | \
connections left | money lost |
|---|---:|---:|---:|---:|---|---:|---:|
"""


class Row(NamedTuple):
    """One server's: numbers of requests; killed: how often what was."""

    server: str
    answered: int
    committed: int
    rolled_back: int
    cut_off: int
    killed: str
    connections: int
    money: Decimal

    def line(self) -> str:
        """It in Markdown."""
        cells = [cell if isinstance(cell, str) else f"{cell:,}" for cell in self]
        return f"| {' | '.join(cells)} |\n"


def keep(row: Row, order: list[str]) -> None:
    """Put a row in its place on the page; rows of servers that are not in `order` go."""
    before, rest = PAGE.read_text().split(_BEGIN)
    table, after = rest.split(_END)
    lines = {line.split("|")[1].strip(): line + "\n" for line in table.splitlines()[2:]}
    lines[row.server] = row.line()
    kept = "".join(lines[name] for name in order if name in lines)
    PAGE.write_text(before + _BEGIN + _HEAD + kept + _END + after)
