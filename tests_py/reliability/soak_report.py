"""What one process of the soak has done, and what it costs: counted by its threads and tasks."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypern import _native, errors

ALIAS = "soak"
ACCOUNTS = 100
OPENING = 10_000


@dataclass
class Report:
    """A worker's figures at one moment, counted from its start."""

    worker: int
    sample: int = 0
    requests: int = 0
    errors: int = 0
    kinds: Counter[str] = field(default_factory=Counter)  # requests that met no fault
    committed: int = 0  # transfers reported done
    unknown: int = 0  # transfers whose COMMIT had no answer
    rss: int = 0  # kB
    descriptors: int = 0
    goroutines: int = 0
    threads: int = 0
    unexpected: list[str] = field(default_factory=list)


class Ledger:
    """The report in the making; any thread may write in it."""

    def __init__(self, worker: int) -> None:
        self._report = Report(worker)
        self._lock = threading.Lock()
        self.stop = threading.Event()

    def served(self, kind: str, error: Exception | None) -> None:
        """Note how a request has ended. A killed backend explains two errors, and no other."""
        with self._lock:
            self._report.requests += 1
            if error is None:
                self._report.kinds[kind] += 1
                return
            self._report.errors += 1
            if not isinstance(error, (errors.ConnectionLost, errors.TransactionAborted)):
                self._report.unexpected.append(f"{kind}: {error!r}")

    def committed(self) -> None:
        """Note a transfer that was reported done."""
        with self._lock:
            self._report.committed += 1

    def lost_in_commit(self) -> None:
        """Note a transfer whose COMMIT had no answer."""
        with self._lock:
            self._report.unknown += 1

    def sample(self) -> Report:
        """The figures now."""
        status = dict(
            line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines()
        )
        with self._lock:
            report = self._report
            report.rss = int(status["VmRSS"].split()[0])
            report.threads = int(status["Threads"])
            report.descriptors = len(os.listdir("/proc/self/fd"))
            report.goroutines = json.loads(_native.debug())["goroutines"]
            taken = replace(report, unexpected=report.unexpected[:10], kinds=Counter(report.kinds))
            report.sample += 1
        return taken
