"""Models as FastAPI handlers return them, over HTTP: made by `into=`, sent by FastAPI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web.serving import Client, serving


@pytest.fixture(scope="module")
def client(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    log: Path = tmp_path_factory.mktemp("models") / "log"
    command = "-m uvicorn --port {port} --app-dir tests_py/web/served models_app:app"
    with serving(command, database, log) as server, Client(server.port) as client:
        yield client


def get(client: Client, path: str) -> Any:
    status, body = client.request("GET", path)
    assert status == 200, body
    return json.loads(body)


def expected(n: int) -> dict[str, Any]:
    return {
        "id": n,
        "name": f"name {n}",
        "balance": f"{n * 1.5:.2f}",
        "since": "2024-02-03T04:05:00Z",
        "rank": "gold" if n == 1 else "plain",
        "addresses": [{"street": f"street {n}"}],
    }


@pytest.mark.parametrize("path", ["/people/3", "/people/3/awaited", "/data/3"])
def test_a_list_of_models(client: Client, path: str) -> None:
    for _ in range(2):
        assert get(client, path) == [expected(n) for n in (1, 2, 3)]


def test_one_model_or_none(client: Client) -> None:
    assert get(client, "/person/2") == expected(2)
    assert client.request("GET", "/person/9")[0] == 404


def test_a_model_that_shows_less(client: Client) -> None:
    assert get(client, "/public") == {"id": 1, "label": "name 1"}


def test_a_mismatch_is_an_error_that_a_handler_can_name(client: Client) -> None:
    assert 'column "other" has no field' in get(client, "/mismatch")
