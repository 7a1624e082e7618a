"""The driver processes as the harness sees them: start one, ask it, stop it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

from bench.venvs import ROOT, UnavailableError, floor_program, our_package, python_for

PATIENCE_SECONDS = 120.0
"""A driver that does not answer for so long has hung, and is killed."""


class DriverError(Exception):
    """A driver answered with an error, or died."""


def environment(driver: str) -> dict[str, str]:
    """The environment of a driver's process; ours finds the package that this checkout built."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "PYTHON"))}
    variables["PYTHONPATH"] = str(ROOT)
    if driver in ("hypern", "hypern_async", "orm"):
        variables["PYTHONPATH"] += os.pathsep + str(our_package())
    return variables


def python_command(driver: str, module: str, *arguments: str) -> list[str]:
    return [str(python_for(driver)), "-m", module, *arguments]


def in_process(driver: str, module: str, *arguments: str) -> Any:
    """What a module of ours prints as JSON, run in a process that has the driver's package."""
    done = subprocess.run(
        python_command(driver, module, *arguments),
        cwd=ROOT,
        env=environment(driver),
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        raise DriverError(f"{driver}, {module} {arguments[0]}: its messages are above")
    return json.loads(done.stdout)


class Server:
    """The PostgreSQL server of one run, on the cores that this process is bound to."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            python_command("harness", "bench.server"),
            cwd=ROOT,
            env=environment("harness") | {"XDG_RUNTIME_DIR": str(directory)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        urls = self.process.stdout.readline().split()
        if len(urls) != 2:
            raise UnavailableError("the PostgreSQL server did not start; its messages are above")
        self.unix, self.tcp = urls

    def url(self, driver: str, tcp: bool) -> str:
        # The original cannot connect to a unix socket.
        return self.tcp if tcp or driver == "original" else self.unix

    def stop(self) -> None:
        self.process.communicate()


class Worker:
    """One driver's process. Definitions are sent once, on first use."""

    def __init__(self, driver: str, url: str) -> None:
        self.driver = driver
        self.url = url
        if driver == "floor":
            command = [str(floor_program()), url]
        else:
            command = python_command(driver, "bench.worker", f"{driver}_driver", url)
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(driver),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.defined: set[str] = set()
        self.read_answer("start")

    def read_answer(self, question: str) -> str:
        assert self.process.stdout is not None
        watchdog = threading.Timer(PATIENCE_SECONDS, self.process.kill)
        watchdog.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watchdog.cancel()
        status, _, answer = line.rstrip("\n").partition(" ")
        if status != "ok":
            reason = answer or f"its process ended with status {self.process.wait()} (-9: it hung)"
            raise DriverError(f"{self.driver}, {question}: {reason}")
        return answer

    def ask(self, *fields: str) -> str:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("\t".join(fields) + "\n")
        except BrokenPipeError as gone:
            raise DriverError(f"{self.driver}: its process has ended") from gone
        return self.read_answer(" ".join(fields)[:60])

    def run(self, definition: list[str], loops: int) -> float:
        """Seconds per operation."""
        key = definition[1]
        if key not in self.defined:
            self.ask(*definition)
            self.defined.add(key)
        return float(self.ask("run", key, str(loops)))

    def stop(self) -> None:
        self.process.communicate()
