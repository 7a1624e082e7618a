"""Clients that keep a server of the example applications busy, and what they have been told."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from web.serving import Client

ACCOUNTS = 10
START = Decimal(1_000_000)  # in each: more than any load moves
_NOTICED_SECS = 0.3  # clients have noticed by then that their connections are closed

KINDS = ("move", "move", "raise", "too much", "nowhere", "read", "lines")


@dataclass
class Load:
    """Clients that make requests while the block runs, each one after the other.

    answered: requests that got an answer. committed: numbers of the moves that were answered with
    success; undone: of those whose handler raised; unknown: of those that got no answer.
    rolled_back: answers of handlers that had raised. cut_off: requests without an answer. wrong:
    answers that are not as they should be, and none where there should be one: while `calm`.
    """

    port: int
    clients: int
    can_await: bool  # the application has handlers that are coroutines
    calm: bool = True
    answered: int = 0
    rolled_back: int = 0
    cut_off: int = 0
    committed: set[str] = field(default_factory=set)
    undone: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._stop = threading.Event()
        self._counting = threading.Lock()
        self._threads = [
            threading.Thread(target=self._be_a_client, args=(number,))
            for number in range(self.clients)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @contextmanager
    def trouble(self) -> Iterator[None]:
        """A block in which requests may remain without an answer."""
        self.calm = False
        yield
        time.sleep(_NOTICED_SECS)
        self.calm = True

    def _be_a_client(self, who: int) -> None:
        chance = random.Random(who)
        made = 0
        with Client(self.port) as client:
            while not self._stop.is_set():
                try:
                    client.connect()
                except OSError:
                    time.sleep(0.02)  # the server is being started again
                    continue
                made += 1
                try:
                    self._ask(client, chance, f"{who}-{made}")
                except Exception as error:  # whatever it is, the test is to tell
                    self.wrong.append(repr(error))
                    return

    def _ask(self, client: Client, chance: random.Random, number: str) -> None:
        kind = chance.choice(KINDS)
        source, target = chance.sample(range(1, ACCOUNTS + 1), 2)
        was_calm = self.calm
        has_raised = kind in ("raise", "too much", "nowhere")
        try:
            if kind in ("move", "raise"):
                path = "/moves/awaited" if self.can_await and chance.random() < 0.5 else "/moves"
                self._move(client, path, number, source, target, raises=kind == "raise")
            elif kind == "read":
                self._expect(client.balance(source) != "", kind)
            elif kind == "lines":
                status, text = client.request("GET", "/lines")
                if text.count("\n") < ACCOUNTS:
                    client.suspect()
                total = sum(Decimal(line.split()[1]) for line in text.splitlines())
                self._expect((status, total) == (200, ACCOUNTS * START), f"{kind}: {status} {text}")
            else:
                amount = str(2 * ACCOUNTS * START) if kind == "too much" else "1"
                status = client.transfer(source, 999 if kind == "nowhere" else target, amount)
                self._expect(status == (404 if kind == "nowhere" else 409), f"{kind}: {status}")
        except OSError as error:
            with self._counting:
                self.cut_off += 1
            self._expect(not (was_calm and self.calm), f"{kind}: {error!r} with nothing killed")
            return
        with self._counting:
            self.answered += 1
            self.rolled_back += has_raised

    def _move(
        self, client: Client, path: str, number: str, source: int, target: int, *, raises: bool
    ) -> None:
        (self.undone if raises else self.unknown).add(number)
        order = {"number": number, "source": source, "target": target, "amount": "1.25"}
        status, text = client.request("POST", path, {**order, "raises": raises})
        self._expect(status == (500 if raises else 200), f"{path}: {status} {text}")
        if status == 500:
            client.close()  # uvicorn does too, after an application that has raised
        if status == 200:
            self._expect(json.loads(text) == {"moved": number}, f"{path}: {text}")
            self.unknown.discard(number)
            self.committed.add(number)

    def _expect(self, is_so: bool, what: str) -> None:
        if not is_so:
            self.wrong.append(what)
