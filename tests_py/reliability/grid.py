"""A table in docs/reliability.md whose cells are filled by runs that know a few of them each."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


class Grid:
    """The table between `<!-- NAME: ... -->` and `<!-- End of NAME. -->`.

    corner (str): what stands over the rows' names.
    """

    def __init__(self, name: str, corner: str, page: Path = PAGE) -> None:
        self._name, self._corner, self._page = name, corner, page

    def cells(self) -> dict[str, dict[str, str]]:
        """The cells by row and column."""
        lines = self._split()[1].splitlines()
        if len(lines) < 2:
            return {}
        columns = _parts(lines[0])[1:]
        rows = (_parts(line) for line in lines[2:])
        return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows}

    def keep(self, row: str, column: str, cell: str) -> None:
        """Put a cell in its place, a new row or column behind the others."""
        cells = self.cells()
        cells.setdefault(row, {})[column] = cell
        before, _, after = self._split()
        self._page.write_text(before + self._table(cells) + after)

    def text(self) -> str:
        """The table."""
        return self._split()[1]

    def _split(self) -> tuple[str, str, str]:
        text = self._page.read_text()
        start = text.index("\n", text.index(f"<!-- {self._name}: ")) + 1
        end = text.index(f"<!-- End of {self._name}. -->")
        return text[:start], text[start:end], text[end:]

    def _table(self, cells: dict[str, dict[str, str]]) -> str:
        columns = list(dict.fromkeys(column for row in cells.values() for column in row))
        lines = [[self._corner, *columns], ["---"] * (len(columns) + 1)]
        lines += [[name, *(row.get(c, "") for c in columns)] for name, row in cells.items()]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _parts(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
