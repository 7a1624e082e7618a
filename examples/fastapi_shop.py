"""The ORM and SQL in one handler, in FastAPI: `uvicorn examples.fastapi_shop:app`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from examples import shop
from hypern.database import adb
from hypern.errors import CheckViolation
from hypern.middleware.fastapi import DatabaseMiddleware

_, engine = shop.configure()
app = FastAPI()
app.add_middleware(DatabaseMiddleware)


class NewOrder(BaseModel):
    """What is ordered."""

    product: str
    amount: int


@app.post("/orders", status_code=201)
async def order(new: NewOrder) -> dict[str, Any]:
    """Order something: a row by the ORM, and an UPDATE in SQL, both or neither."""
    made = shop.Order(product=new.product, amount=new.amount)
    async with AsyncSession(engine) as session, session.begin():
        session.add(made)
        await session.flush()
        left = await adb().query_value(shop.TAKE, [new.product, new.amount])
        return {**made.as_dict(), "left": left}


@app.get("/orders/{number}")
async def show(number: int) -> dict[str, Any]:
    """Show an order."""
    async with AsyncSession(engine) as session:
        found = await session.get(shop.Order, number)
        if found is None:
            raise HTTPException(404, "no order")
        return found.as_dict()


@app.exception_handler(CheckViolation)
def not_enough(request: Request, error: CheckViolation) -> JSONResponse:
    """The exception has left `session.begin()`, which has rolled back."""
    return JSONResponse({"error": "there is not enough of it"}, 409)
