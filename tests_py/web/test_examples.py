"""The example applications over HTTP, started as their own pages say."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest
from support import wait_until
from web.serving import Client, serving

from examples import bank, shop
from hypern.database import Database, db, scope

EXAMPLES = {
    "Hypern": "-m examples.hypern_app",
    "Flask": "-m flask --app examples.flask_app run -p {port}",
    "Django": "-m examples.django_app runserver --noreload 127.0.0.1:{port}",
    "Django, ASGI": "-m uvicorn --port {port} examples.django_app:asgi_application",
    "FastAPI": "-m uvicorn --port {port} examples.fastapi_app:app",
    "Starlette": "-m uvicorn --port {port} examples.starlette_app:app",
}


@pytest.fixture
def bank_url(configured: str) -> str:
    """The URL of a database with the examples' table, empty."""
    bank.create_tables()
    with scope():
        db().execute("TRUNCATE accounts RESTART IDENTITY")
    return configured


def balances() -> list[Decimal]:
    """What is in each account."""
    with scope():
        return [row["balance"] for row in db().query("SELECT balance FROM accounts ORDER BY id")]


def connections() -> int:
    """How many connections the examples have."""
    with scope():
        number: int = db().query_value(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'example' AND datname = current_database()
            """
        )
    return number


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_keeps_its_promises_over_http(name: str, bank_url: str, tmp_path: Path) -> None:
    with (
        serving(EXAMPLES[name], bank_url, tmp_path / "log") as server,
        Client(server.port) as client,
    ):
        ann, bob = client.open_account("100.50"), client.open_account("0")
        assert client.balance(ann) == "100.50"
        assert client.transfer(ann, bob, "30.25") == 200
        assert client.transfer(ann, bob, "1000") == 409
        assert client.transfer(ann, 999, "10") == 404
        assert client.transfer(999, bob, "10") == 404
        assert client.request("GET", "/accounts/999")[0] == 404
        assert client.request("GET", "/lines") == (200, "1 70.25\n2 30.25\n")
        assert balances() == [Decimal("70.25"), Decimal("30.25")]
    wait_until(lambda: connections() == 0)


SHOPS = {
    "Flask": "-m flask --app examples.flask_shop run -p {port}",
    "FastAPI": "-m uvicorn --port {port} examples.fastapi_shop:app",
}


@pytest.mark.parametrize("name", SHOPS)
def test_a_shop_takes_orders_by_the_orm_and_sql(name: str, configured: str, tmp_path: Path) -> None:
    shop.create_tables()
    with scope():
        db().execute("TRUNCATE orders RESTART IDENTITY")
        db().execute("UPDATE stock SET amount = 10")
    with (
        serving(SHOPS[name], configured, tmp_path / "log") as server,
        Client(server.port) as client,
    ):

        def order(amount: int) -> tuple[int, object]:
            status, answer = client.request(
                "POST", "/orders", {"product": "Lamp", "amount": amount}
            )
            return status, json.loads(answer)

        assert order(3) == (201, {"id": 1, "product": "Lamp", "amount": 3, "left": 7})
        assert order(8)[0] == 409
        status, answer = client.request("GET", "/orders/1")
        assert (status, json.loads(answer)) == (200, {"id": 1, "product": "Lamp", "amount": 3})
        assert client.request("GET", "/orders/2")[0] == 404
        with scope():
            assert db().query_values("SELECT amount FROM stock") == [7]
            assert db().query_values("SELECT amount FROM orders") == [3]
    wait_until(lambda: connections() == 0)


def test_the_awaited_transfer_is_the_same_transaction(bank_url: str) -> None:
    """What the coroutine of an example does, blocking sessions of the request see at once."""

    async def run() -> None:
        async with scope():
            await bank.atransfer(1, 2, Decimal(10))
            assert db().is_in_transaction
            assert bank.account(2).balance == 15
            db().set_error()

    with scope():
        bank.open_account("Ann", Decimal(20))
        bank.open_account("Bob", Decimal(5))
    asyncio.run(run())
    assert balances() == [Decimal(20), Decimal(5)]
    assert Database.status().in_use == 0
