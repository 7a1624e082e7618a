"""The tables as text: medians, ratios to the best peer and to libpq, goals, and what missed."""

from __future__ import annotations

from collections.abc import Sequence

from bench.rounds import Figures
from bench.scenarios import ALL_DRIVERS, TYPES_GOAL, Scenario

Cells = list[str]


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds >= 0.1:
        return f"{seconds * 1e3:,.0f} ms"
    return f"{seconds * 1e6:,.1f}" if seconds < 1e-4 else f"{seconds * 1e6:,.0f}"


def size(octets: float) -> str:
    return f"{octets / 2**20:,.1f} MiB" if octets >= 2**20 else f"{octets / 2**10:,.0f} KiB"


def table(heads: Cells, rows: Sequence[Cells]) -> str:
    """A Markdown table whose columns line up."""
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]

    def line(cells: Cells) -> str:
        padded = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join([line(heads), line(rule), *(line(row) for row in rows)])


def verdict(ratio: float, goal: float) -> str:
    return f"{ratio:.2f}" if ratio <= goal else f"{ratio:.2f} MISSED"


def goals_table(figures: Figures, scenarios: Sequence[Scenario]) -> str:
    """A row per scenario, a column per driver that takes part, then how ours compares."""
    shown = [d for d in ALL_DRIVERS if any(figures.median(s, d) for s in scenarios)]
    rows = []
    for scenario in scenarios:
        cells = [scenario.title, *(duration(figures.median(scenario, d)) for d in shown)]
        ours, best = figures.median(scenario, scenario.ours), figures.best_peer(scenario)
        floor = figures.median(scenario, "floor")
        cells.append(best[0] if best else "-")
        cells.append(verdict(ours / best[1], scenario.goal) if ours and best else "-")
        cells.append(f"{scenario.goal:.2f}")
        cells.append(f"{ours / floor:.2f}" if ours and floor else "-")
        rows.append(cells)
    heads = ["us" if "ms" not in str(rows) else "us, or as said", *shown]
    return table([*heads, "best peer", "ours / best", "goal", "ours / floor"], rows)


def missed(figures: Figures, scenarios: Sequence[Scenario]) -> list[str]:
    """The titles of the rows over their goals."""
    titles = []
    for scenario in scenarios:
        ours, best = figures.median(scenario, scenario.ours), figures.best_peer(scenario)
        if ours and best and ours / best[1] > scenario.goal:
            titles.append(f"{scenario.title}: {ours / best[1]:.2f} > {scenario.goal:.2f}")
    return titles


def over_all_types(figures: Figures, scenarios: Sequence[Scenario]) -> tuple[float, float] | None:
    """Our sum over the types divided by the sum of each type's fastest peer, and the goal."""
    pairs = [(figures.median(s, s.ours), figures.best_peer(s)) for s in scenarios]
    ours = [median for median, best in pairs if median is not None and best is not None]
    best = [best[1] for median, best in pairs if median is not None and best is not None]
    return (sum(ours) / sum(best), TYPES_GOAL) if ours else None


def differences(samples: dict[str, dict[str, str]]) -> list[str]:
    """Where a driver's values are not of the type that most drivers give, by column."""
    notes = []
    for column in next(iter(samples.values()), {}):
        given = {driver: row[column] for driver, row in samples.items()}
        usual = max(given.values(), key=list(given.values()).count)
        odd = [f"{driver} gives {kind}" for driver, kind in given.items() if kind != usual]
        if odd:
            notes.append(f"{column} ({usual}): {', '.join(odd)}")
    return notes
