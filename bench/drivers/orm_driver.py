"""SQLAlchemy on one driver, blocking or asynchronous: the work of `bench.orm`.

The URL names the driver, such as postgresql+psycopg2://. Every engine is as `create_engine` makes
it, its pool included. All but "statement", which is on a connection held, check one out, begin, and
end, as a request does.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, ForeignKey, Identity, bindparam, func, select, text
from sqlalchemy.dialects import registry
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bench.drivers.base import Timed, key, repeat, time_tasks

# The checkout is imported from its directory: there is no distribution with the entry point.
registry.register("postgresql.hypern", "hypern.sqlalchemy.dialect", "HypernDialect")

HALF = 50  # of a unit of work: so many inserts, and as many updates
LOADED = 100
ASYNC = ("asyncpg", "psycopg_async", "hypern_async")


class Base(DeclarativeBase):
    """The tables of schema.sql."""


class Item(Base):
    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    active: Mapped[bool]
    score: Mapped[float]
    created_at: Mapped[datetime]


class Account(Base):
    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    balance: Mapped[int]


class Payment(Base):
    __tablename__ = "payments"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    amount: Mapped[float]
    note: Mapped[str]


TABLE = Item.__table__
BY_KEY = select(TABLE).where(TABLE.c.id == bindparam("key"))
SOME = select(Item).where(Item.id.between(bindparam("first"), bindparam("last")))
ACCOUNTS = select(Account).where(Account.id <= HALF).order_by(Account.id)
COUNT = select(func.count()).select_from(Payment)
CLEAR = text("TRUNCATE payments")


def change(accounts: list[Account], i: int) -> list[Payment]:
    """Change each account, and make a payment of each."""
    for account in accounts:
        account.balance += 1
    return [Payment(account_id=a.id, amount=i * 0.5, note=f"payment {i}") for a in accounts]


class Blocking:
    """The work on a blocking engine."""

    def __init__(self, url: str) -> None:
        self.engine = sqlalchemy.create_engine(url)

    def orm(self, what: str) -> Timed:
        work: dict[str, Callable[[], Timed]] = {
            "statement": self.statement,
            "core": lambda: repeat(self.core),
            "load": lambda: repeat(self.load),
            "unit": self.unit,
        }
        return work[what]()

    def statement(self) -> Timed:
        connection = self.engine.connect()
        return repeat(lambda i: connection.execute(BY_KEY, {"key": key(i)}).one())

    def core(self, i: int) -> object:
        with self.engine.connect() as connection:
            return connection.execute(BY_KEY, {"key": key(i)}).one()

    def load(self, i: int) -> object:
        first = key(i)
        with Session(self.engine) as session:
            found = session.scalars(SOME, {"first": first, "last": first + LOADED - 1}).all()
            assert len(found) == LOADED
            return found

    def unit(self) -> Timed:
        session = Session(self.engine, expire_on_commit=False)
        accounts = list(session.scalars(ACCOUNTS))
        session.commit()

        def body(i: int) -> None:
            payments = change(accounts, i)
            session.add_all(payments)
            session.commit()
            for payment in payments:
                session.expunge(payment)

        def run(loops: int) -> float:
            seconds = repeat(body)(loops)
            with self.engine.begin() as connection:
                assert connection.scalar(COUNT) == loops * HALF
                connection.execute(CLEAR)
            return seconds

        return run


class Awaited:
    """The same on an asynchronous engine."""

    def __init__(self, url: str) -> None:
        import uvloop

        self.loop = uvloop.new_event_loop()
        self.engine = create_async_engine(url)
        self.held: AsyncConnection | None = None

    def orm(self, what: str) -> Timed:
        if what == "unit":
            return self.unit()
        work = {"statement": self.statement, "core": self.core, "load": self.load}
        return lambda loops: float(self.loop.run_until_complete(time_tasks(work[what], loops)))

    async def statement(self, i: int) -> object:
        if self.held is None:
            self.held = await self.engine.connect()
        return (await self.held.execute(BY_KEY, {"key": key(i)})).one()

    async def core(self, i: int) -> object:
        async with self.engine.connect() as connection:
            return (await connection.execute(BY_KEY, {"key": key(i)})).one()

    async def load(self, i: int) -> object:
        first = key(i)
        async with AsyncSession(self.engine) as session:
            rows = await session.scalars(SOME, {"first": first, "last": first + LOADED - 1})
            found = rows.all()
            assert len(found) == LOADED
            return found

    def unit(self) -> Timed:
        session = AsyncSession(self.engine, expire_on_commit=False)
        accounts: list[Account] = []

        async def body(i: int) -> None:
            payments = change(accounts, i)
            session.add_all(payments)
            await session.commit()
            for payment in payments:
                session.expunge(payment)

        async def measured(loops: int) -> float:
            if not accounts:
                accounts.extend(await session.scalars(ACCOUNTS))
                await session.commit()
            seconds = await time_tasks(body, loops)
            async with self.engine.begin() as connection:
                assert await connection.scalar(COUNT) == loops * HALF
                await connection.execute(CLEAR)
            return seconds

        return lambda loops: float(self.loop.run_until_complete(measured(loops)))


def driver(url: str) -> Any:
    """The work on the engine of a URL."""
    name = url.partition("://")[0].partition("+")[2]
    if name not in ASYNC:
        return Blocking(url)
    return Awaited(url.replace("+hypern_async:", "+hypern:", 1))
