"""The load: the requests of the clients, and the responses to them."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from demo.databases import ACCOUNTS, OPENING_BALANCE

CONNECTIONS = 16
REQUESTS_PER_CONNECTION = 15  # then a new one, which any worker may accept


@dataclass(frozen=True)
class Kind:
    """A kind of request, the number of requests, and the expected status."""

    name: str
    path: str
    count: int
    status: int


READ = Kind("read an account's orders", "/accounts/{account}/orders", 1_500, 200)
TRANSFER = Kind("transfer money", "/transfers", 900, 200)
BUG = Kind("transfer, handler raises midway", "/transfers-with-a-bug", 300, 500)
OVERDRAFT = Kind("transfer, violates a constraint", "/transfers", 300, 409)
KINDS = (READ, TRANSFER, BUG, OVERDRAFT)


@dataclass(frozen=True)
class Exchange:
    """One request and its response."""

    kind: Kind
    asked: dict[str, Any]
    status: int
    answer: dict[str, Any]


def run(port: int) -> list[Exchange]:
    """Send all requests over several concurrent connections."""
    todo = _requests()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        clients = [threads.submit(_client, port, todo[n::CONNECTIONS]) for n in range(CONNECTIONS)]
        return [exchange for client in clients for exchange in client.result()]


def _requests() -> list[tuple[Kind, dict[str, Any]]]:
    """All requests in random order, which is the same in every run."""
    chance = random.Random(1)
    todo = [(kind, _body(kind, chance)) for kind in KINDS for _ in range(kind.count)]
    chance.shuffle(todo)
    return todo


def _body(kind: Kind, chance: random.Random) -> dict[str, Any]:
    if kind is READ:
        return {"account": chance.randint(1, ACCOUNTS)}
    source, target = chance.sample(range(1, ACCOUNTS + 1), 2)
    # Small enough that no account is overdrawn; for an overdraft, more than all the money.
    amount = f"{chance.randint(1, 9_999) / 100:.2f}"
    if kind is OVERDRAFT:
        amount = str(OPENING_BALANCE * ACCOUNTS + 1)
    return {"source": source, "target": target, "amount": amount}


def _client(port: int, todo: list[tuple[Kind, dict[str, Any]]]) -> list[Exchange]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    exchanges = []
    for number, (kind, asked) in enumerate(todo, start=1):
        if kind is READ:
            connection.request("GET", kind.path.format(**asked))
        else:
            connection.request("POST", kind.path, json.dumps(asked))
        response = connection.getresponse()
        exchanges.append(Exchange(kind, asked, response.status, json.load(response)))
        if number % REQUESTS_PER_CONNECTION == 0:
            connection.close()  # the next request opens a new one
    connection.close()
    return exchanges
