"""The django table: Django's ORM on hypern.django and on psycopg with its pool, interleaved.

`python -m bench.django_orm URL ENGINE` is the process of one of the two: it reads lines with a
scenario and a number of times, and prints the microseconds that each time took.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from subprocess import Popen

ENGINES = {"hypern": "hypern.django", "psycopg": "django.db.backends.postgresql"}
SCENARIOS = {
    "get": "`objects.get(pk=...)`",
    "list": "a list of 100",
    "create": "`objects.create()`",
    "update": "`save()` of a changed row",
    "atomic": "get and save in `atomic()`",
    "request": "one get, from `request_started` to `request_finished`",
}
GOAL = 0.9  # of psycopg's time

Figures = dict[str, dict[str, list[float]]]
"""Microseconds by scenario and engine, a figure per round."""


def measure(url: str, rounds: int, seconds: float, progress: Callable[[str], None]) -> Figures:
    """Run each scenario on both in turn."""
    from bench.venvs import ROOT
    from bench.workers import environment, python_command

    workers: dict[str, Popen[str]] = {
        name: subprocess.Popen(
            python_command("django", "bench.django_orm", url, name),
            cwd=ROOT,
            env=environment("hypern"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ENGINES
    }
    figures: Figures = {key: {name: [] for name in ENGINES} for key in SCENARIOS}
    try:
        times = {key: _times(workers["psycopg"], key, seconds) for key in SCENARIOS}
        for number in range(rounds):
            for key in SCENARIOS:
                progress(f"django, round {number + 1} of {rounds}: {key}")
                for name in list(ENGINES)[:: 1 if number % 2 else -1]:
                    figures[key][name].append(_ask(workers[name], key, times[key]))
    finally:
        for worker in workers.values():
            assert worker.stdin is not None
            worker.stdin.close()
            worker.wait()
    return figures


def text(figures: Figures) -> str:
    """The table."""
    from bench import report

    head = ["Django 5.2, us", *ENGINES, "ratio", f"goal {GOAL}"]
    rows = []
    for key, found in figures.items():
        medians = {name: statistics.median(us) for name, us in found.items()}
        ratio = medians["hypern"] / medians["psycopg"]
        rows.append(
            [
                SCENARIOS[key],
                *(f"{us:,.1f}" for us in medians.values()),
                f"{ratio:.2f}",
                "" if ratio <= GOAL else "MISSED",
            ]
        )
    return report.table(head, rows)


def missed(figures: Figures) -> list[str]:
    """The goals that were missed."""
    return [line for line in text(figures).splitlines() if "MISSED" in line]


def _ask(worker: Popen[str], key: str, times: int) -> float:
    assert worker.stdin is not None
    assert worker.stdout is not None
    print(key, times, file=worker.stdin, flush=True)
    return float(worker.stdout.readline())


def _times(worker: Popen[str], key: str, seconds: float) -> int:
    return max(1, int(seconds * 1e6 / _ask(worker, key, 50)))


def _set_up(url: str, name: str) -> dict[str, Callable[[int], object]]:
    """Django on this engine, and a function for each scenario."""
    import django
    from django.conf import settings

    parts = urlsplit(url)
    keywords = {key: values[0] for key, values in parse_qs(parts.query).items()}
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": ENGINES[name],
                "NAME": parts.path.lstrip("/"),
                "USER": parts.username or keywords.get("user", ""),
                "PASSWORD": parts.password or "",
                "HOST": keywords.get("host") or parts.hostname,
                "PORT": keywords.get("port") or parts.port or "",
                "OPTIONS": {"pool": {"min_size": 1, "max_size": 4}},
            }
        },
        USE_TZ=True,
    )
    django.setup()
    from django.core.signals import request_finished, request_started
    from django.db import connection, models, transaction

    class Item(models.Model):
        name: Any = models.CharField(max_length=50)
        email: Any = models.CharField(max_length=100)
        active: Any = models.BooleanField()
        score: Any = models.FloatField()
        amount: Any = models.DecimalField(max_digits=10, decimal_places=2)
        created_at: Any = models.DateTimeField(auto_now_add=True)

        class Meta:
            app_label = "bench"
            db_table = f"django_{name}"

    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS django_{name}")
    with connection.schema_editor() as editor:
        editor.create_model(Item)
    values: dict[str, Any] = {"active": True, "score": 1.5, "amount": "12.50"}

    def create(n: int) -> object:
        return Item.objects.create(name=f"name {n}", email=f"{n}@example.com", **values)

    for n in range(200):
        create(n)
    kept = Item.objects.get(pk=150)

    def update(n: int) -> None:
        kept.score = float(n)
        kept.save()

    def atomic(n: int) -> None:
        with transaction.atomic():
            item = Item.objects.get(pk=n % 200 + 1)
            item.score = float(n)
            item.save()

    def request(n: int) -> None:
        request_started.send(None)
        Item.objects.get(pk=n % 200 + 1)
        request_finished.send(None)

    return {
        "get": lambda n: Item.objects.get(pk=n % 200 + 1),
        "list": lambda _: list(Item.objects.order_by("id")[:100]),
        "create": create,
        "update": update,
        "atomic": atomic,
        "request": request,
    }


def _serve(url: str, name: str) -> None:
    scenarios = _set_up(url, name)
    for line in sys.stdin:
        key, times = line.split()
        run = scenarios[key]
        began = time.perf_counter()
        for n in range(int(times)):
            run(n)
        print((time.perf_counter() - began) / int(times) * 1e6, flush=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
