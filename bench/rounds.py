"""Rounds of measurements: every driver once, then every driver again, so that what disturbs the
machine for a while disturbs all of them alike; the median of a driver's rounds is its figure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from bench.scenarios import Scenario
from bench.workers import Worker


@dataclass
class Figures:
    """Seconds per row of the table, by scenario and driver, a value for each round."""

    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, scenario: Scenario, driver: str, seconds: float) -> None:
        rounds = self.samples.setdefault(scenario.key, {}).setdefault(driver, [])
        rounds.append(seconds / scenario.rows)

    def median(self, scenario: Scenario, driver: str) -> float | None:
        rounds = self.samples.get(scenario.key, {}).get(driver)
        return statistics.median(rounds) if rounds else None

    def best_peer(self, scenario: Scenario) -> tuple[str, float] | None:
        medians = {peer: self.median(scenario, peer) for peer in scenario.peers}
        found = [(median, peer) for peer, median in medians.items() if median is not None]
        if not found:
            return None
        median, peer = min(found)
        return peer, median


class Record(TypedDict):
    """A row of a table as the JSON file holds it; times in seconds."""

    key: str
    title: str
    goal: float
    medians: dict[str, float]
    rounds: dict[str, list[float]]
    best_peer: str | None


def records(figures: Figures, scenarios: Sequence[Scenario]) -> list[Record]:
    result = []
    for scenario in scenarios:
        rounds = figures.samples.get(scenario.key, {})
        best = figures.best_peer(scenario)
        result.append(
            Record(
                key=scenario.key,
                title=scenario.title,
                goal=scenario.goal,
                medians={driver: statistics.median(values) for driver, values in rounds.items()},
                rounds=rounds,
                best_peer=best[0] if best else None,
            )
        )
    return result


def takes_part(scenario: Scenario, driver: str) -> bool:
    if driver == "floor":
        return scenario.floor
    return driver == scenario.ours or driver in scenario.peers


def calibrate(worker: Worker, scenario: Scenario, seconds: float) -> int:
    """How often to run the scenario for a sample of about so many seconds."""
    definition = scenario.definition()
    # Every thread has something to do, and every statement has its turn.
    least = {"crowd": scenario.count, "request": scenario.count, "one": len(scenario.sql)}.get(
        scenario.shape, 1
    )
    worker.run(definition, least)  # the first run parses, connects and imports
    loops = least
    while loops < 100_000:
        spent = worker.run(definition, loops) * loops
        if spent >= seconds / 4:
            return max(least, round(loops * seconds / spent))
        loops = max(loops * 2, round(loops * min(seconds / 2 / max(spent, 1e-6), 20)))
    return loops


def measure(
    workers: Mapping[str, Worker],
    scenarios: Sequence[Scenario],
    rounds: int,
    seconds: float,
    progress: Callable[[str], None],
) -> Figures:
    figures = Figures()
    plan: list[tuple[Scenario, str, int]] = []
    for scenario in scenarios:
        progress(f"preparing {scenario.title}")
        for driver, worker in workers.items():
            if takes_part(scenario, driver):
                plan.append((scenario, driver, calibrate(worker, scenario, seconds)))
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        for scenario, driver, loops in plan:
            figures.add(scenario, driver, workers[driver].run(scenario.definition(), loops))
    return figures
