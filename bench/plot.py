"""The picture of a run: each driver's time relative to the best peer's, by scenario.

Runs in the harness's virtual environment: `python -m bench.plot FIGURES.json PICTURE.png`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from matplotlib import pyplot

from bench.rounds import Record

COLOURS = {
    "psycopg2": "#9aa7b8",
    "psycopg3": "#6b7d94",
    "asyncpg": "#c2a878",
    "psqlpy": "#b58a9b",
    "original": "#a3b899",
    "hypern": "#c8442e",
    "floor": "#222222",
}
CLIP = 3.0
"""Bars end here, with their number written on them: one slow peer must not flatten the rest."""


def draw(mode: str, rows: list[Record], picture: Path) -> None:
    drivers = [driver for driver in COLOURS if any(driver in row["medians"] for row in rows)]
    height = 0.8 / len(drivers)
    figure, axes = pyplot.subplots(figsize=(10, 1.1 * len(rows) + 1.2))
    for place, row in enumerate(rows):
        medians, best = row["medians"], row["best_peer"]
        for n, driver in enumerate(drivers):
            if driver in medians and best is not None:
                ratio = medians[driver] / medians[best]
                y = place + (n - (len(drivers) - 1) / 2) * height
                axes.barh(y, min(ratio, CLIP), height, color=COLOURS[driver])
                axes.text(min(ratio, CLIP) + 0.02, y, f"{ratio:.2f}", va="center", fontsize=6.5)
        goal = row["goal"]
        axes.plot([goal, goal], [place - 0.42, place + 0.42], color="#c8442e", ls=":", lw=1.5)
    axes.set_yticks(range(len(rows)), [str(row["title"]) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, CLIP + 0.25)
    axes.set_xlabel(f"time / the best peer's ({mode}; less is better; dotted: the goal)")
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=COLOURS[driver]) for driver in drivers]
    axes.legend(
        handles,
        drivers,
        loc="lower center",
        bbox_to_anchor=(0.4, 1),
        ncols=len(drivers),
        fontsize=8,
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(picture, dpi=110)


def main() -> None:
    pyplot.switch_backend("Agg")  # no display is needed
    figures = json.loads(Path(sys.argv[1]).read_text())
    mode = "pinned" if "pinned" in figures else "unpinned"
    draw(mode, figures[mode]["main"], Path(sys.argv[2]))


if __name__ == "__main__":
    main()
