"""The table of what the reliability suite has tried: fault, how often, and the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
_BEGIN = "<!-- The table is written by `make test/reliability`. -->\n"
_END = "<!-- End of the table. -->\n"


@dataclass
class Tally:
    """Counts what was tried, under the words that describe it."""

    rows: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, tried: str, times: int, result: str) -> None:
        """Note that something was tried; the latest result stands for all of its times."""
        before = self.rows.get(tried, (0, ""))[0]
        self.rows[tried] = (before + times, result)

    def table(self) -> str:
        """All of it, as a Markdown table, sorted, so that what is alike stands together."""
        lines = ["| tried | times | result |", "|---|---:|---|"]
        for what, (times, result) in sorted(self.rows.items(), key=_place):
            lines.append(f"| {what} | {times:,} | {result} |")
        return "\n".join(lines) + "\n"

    def keep(self, everything: bool) -> None:
        """Put the table in its place in docs/reliability.md.

        everything: all was tried, and what else the table has is past; else a run of a few tests
        replaces their rows only.
        """
        text = PAGE.read_text()
        before, rest = text.split(_BEGIN)
        table, after = rest.split(_END)
        merged = {} if everything else _parse(table)
        merged.update(self.rows)
        PAGE.write_text(before + _BEGIN + Tally(merged).table() + _END + after)


def _place(row: tuple[str, tuple[int, str]]) -> str:
    return row[0].replace("`", "").lower()


def _parse(table: str) -> dict[str, tuple[int, str]]:
    rows = {}
    for line in table.splitlines()[2:]:
        what, times, result = (cell.strip() for cell in line.strip("|").split("|"))
        rows[what] = (int(times.replace(",", "")), result)
    return rows
