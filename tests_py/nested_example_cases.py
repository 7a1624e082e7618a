"""Tests that test_pytest_plugin.py runs with the plugin, in a pytest of its own: the example
applications, called in the test's process, leave nothing behind.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import json
from decimal import Decimal
from typing import Any

import pytest
from web import asgi_client, wsgi_client

from hypern.database import DbSession

APPS = {
    "examples.flask_app": ("app", "wsgi"),
    "examples.django_app": ("application", "wsgi"),
    "examples.fastapi_app": ("app", "asgi"),
    "examples.starlette_app": ("app", "asgi"),
    "examples.hypern_app": ("app", "asgi"),
}


class Client:
    """A client of one of the applications."""

    def __init__(self, module: str) -> None:
        name, self._kind = APPS[module]
        self._app = getattr(importlib.import_module(module), name)

    def request(self, method: str, path: str, data: object = None) -> tuple[int, str]:
        body = b"" if data is None else json.dumps(data).encode()
        if self._kind == "wsgi":
            environ = wsgi_client.environment()
            environ |= {
                "REQUEST_METHOD": method,
                "PATH_INFO": path,
                "CONTENT_TYPE": "application/json",
                "CONTENT_LENGTH": str(len(body)),
                "wsgi.input": io.BytesIO(body),
            }
            there: Any = wsgi_client.call(self._app, environ)
        else:
            there = asyncio.run(self._ask(method, path, body))
        return there.status, there.body.decode()

    async def _ask(self, method: str, path: str, body: bytes) -> asgi_client.Answer:
        answer = asgi_client.Answer()
        scope = asgi_client.http_scope(path, {"Content-Type": "application/json"})
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            while not messages:
                await asyncio.sleep(0.01)
            return messages.pop(0)

        async def send(message: Any) -> None:
            answer.messages.append(message)

        await self._app({**scope, "method": method}, receive, send)
        return answer

    def open_account(self, balance: str) -> int:
        status, text = self.request("POST", "/accounts", {"name": "Ann", "balance": balance})
        assert status == 201, text
        return int(json.loads(text)["id"])

    def transfer(self, source: int, target: int, amount: str) -> int:
        body = {"source": source, "target": target, "amount": amount}
        return self.request("POST", "/transfers", body)[0]


@pytest.mark.parametrize("module", APPS)
def test_an_example_leaves_nothing_behind(module: str, db_session: DbSession) -> None:
    client = Client(module)
    ann, bob = client.open_account("100.50"), client.open_account("0")
    assert client.transfer(ann, bob, "30.25") == 200
    assert client.transfer(ann, bob, "1000") == 409
    assert client.transfer(ann, 999, "10") == 404
    assert client.transfer(999, bob, "10") == 404
    assert client.request("GET", "/accounts/999")[0] == 404
    status, text = client.request("GET", "/lines")
    assert (status, text.splitlines()[-2:]) == (200, [f"{ann} 70.25", f"{bob} 30.25"])
    rows = db_session.query("SELECT balance FROM accounts ORDER BY id")
    assert [row["balance"] for row in rows] == [Decimal("70.25"), Decimal("30.25")]
