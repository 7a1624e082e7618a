"""What the load adds to each example: transfers under the client's own number, which may fail."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from examples import bank
from hypern.database import adb, db

NOTE = "INSERT INTO moves (number, source, target, amount) VALUES ($1, $2, $3, $4)"


class AskedForError(Exception):
    """The client wants the handler to raise, after all of its work."""


def move(order: Mapping[str, Any]) -> dict[str, str]:
    """Move money, and note it in the same transaction."""
    source, target, amount = _details(order)
    bank.transfer(source, target, amount)
    db().execute(NOTE, [order["number"], source, target, amount])
    return _end(order)


async def amove(order: Mapping[str, Any]) -> dict[str, str]:
    """The same, awaited."""
    source, target, amount = _details(order)
    await bank.atransfer(source, target, amount)
    await adb().execute(NOTE, [order["number"], source, target, amount])
    return _end(order)


def _details(order: Mapping[str, Any]) -> tuple[int, int, Decimal]:
    return order["source"], order["target"], Decimal(order["amount"])


def _end(order: Mapping[str, Any]) -> dict[str, str]:
    if order["raises"]:
        raise AskedForError("undone")
    return {"moved": order["number"]}
