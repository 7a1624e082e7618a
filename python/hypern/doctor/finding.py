"""One thing that the doctor has found."""

from __future__ import annotations

from dataclasses import dataclass

OK, INFO, WARNING, BAD = "ok", "info", "warning", "wrong"


@dataclass(frozen=True)
class Finding:
    """level: "ok", "info", "warning" or "wrong". remedy: what to do, for the last two."""

    level: str
    subject: str
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Plan:
    """How the application is going to use the database."""

    max_size: int = 16
    workers: int = 1
    reset: str = "full"

    @property
    def connections(self) -> int:
        """The most connections that all its processes open."""
        return self.max_size * self.workers
