"""The tutorial from its first step to its last: its files, and its commands with their output."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pages import blocks
from pages.blocks import ROOT, Block

import hypern

PAGE = ROOT / "docs" / "tutorial" / "index.md"


def environment(folder: Path, port: int) -> dict[str, str]:
    """That of a reader who has activated the tutorial's environment."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PG", "HYPERN"))
    }
    kept.pop("DATABASE_URL", None)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # What the page installs is what this interpreter has, the package as these tests have it.
    package = Path(hypern.__file__).parents[1]
    return {**kept, "PATH": path, "PORT": str(port), "PYTHONPATH": f"{folder}:{package}"}


@contextmanager
def serving(folder: Path, port: int) -> Iterator[None]:
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "dev.py"],
            cwd=folder,
            env=environment(folder, port),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(f"http://localhost:{port}/products", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


def commands(block: Block) -> list[tuple[str, str]]:
    """The commands of a block, each with the output that the page shows."""
    found: list[tuple[str, str]] = []
    for line in block.code.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            command, output = found[-1]
            found[-1] = (command, output + line + "\n")
    return found


def test_every_step_of_the_tutorial_works(tmp_path: Path) -> None:
    assert shutil.which("curl"), "the tutorial's requests take curl"
    folder = tmp_path / "shop-tutorial"
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    run: list[str] = []
    page = blocks.read(PAGE.read_text("utf-8"))
    for block in page:
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.code)
        else:
            assert block.language == "console", block.line
    with serving(folder, port):
        names = environment(folder, port)
        printed = (folder / "log").read_text().splitlines()[0]
        for block in page:
            if block.language != "console" or block.reason is not None:
                continue
            for command, expected in commands(block):
                if command == "python report.py":
                    names["DATABASE_URL"] = printed.removeprefix("DATABASE_URL=")
                done = subprocess.run(
                    command.replace("localhost:8000", f"localhost:{port}"),
                    shell=True,
                    cwd=folder,
                    env=names,
                    capture_output=True,
                    text=True,
                    timeout=110,
                )
                assert done.returncode == 0, (
                    f"{PAGE}:{block.line} {command}\n{done.stdout}{done.stderr}"
                )
                assert expected.strip() in done.stdout.strip(), f"{command}\n{done.stdout}"
                run.append(command)
    assert len(run) == 7
