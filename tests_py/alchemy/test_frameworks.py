"""Flask-SQLAlchemy and SQLModel, on a URL and on the request's session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlmodel import Field, Session, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from hypern import sqlalchemy as hypern_sqlalchemy
from hypern.database import Database, adb, db, scope
from hypern.middleware.flask import init_app

ALL = "SELECT n FROM numbers ORDER BY n"


class OnRequest(SQLAlchemy):
    """Flask-SQLAlchemy whose engines are on the request's session; its bind keys are aliases."""

    def _make_engine(self, bind_key: str | None, options: dict[str, Any], app: Flask) -> Engine:
        options.pop("url")
        return hypern_sqlalchemy.engine(bind_key or "default", **options)


def flask_app(extension: SQLAlchemy, url: str) -> Flask:
    app = Flask("numbers")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    init_app(app)
    extension.init_app(app)

    class Number(extension.Model):  # type: ignore[name-defined, misc]
        __tablename__ = "numbers"

        n: Mapped[int] = mapped_column(primary_key=True)

    @app.post("/<int:n>")
    def add(n: int) -> list[int]:
        extension.session.add(Number(n=n))
        extension.session.flush()
        seen: list[int] = db().query_values(ALL)
        extension.session.commit()
        return seen

    @app.post("/fail/<int:n>")
    def fail(n: int) -> str:
        extension.session.add(Number(n=n))
        extension.session.flush()
        raise ZeroDivisionError

    @app.get("/")
    def numbers() -> list[int]:
        return [number.n for number in extension.session.scalars(extension.select(Number))]

    return app


@pytest.mark.parametrize("kind_of_engine", ["on the request", "by URL"])
def test_flask_sqlalchemy(numbers: str, kind_of_engine: str) -> None:
    on_request = kind_of_engine == "on the request"
    extension = OnRequest() if on_request else SQLAlchemy()
    url = numbers.replace("postgresql://", "postgresql+hypern://", 1)
    app = flask_app(extension, url)
    client = app.test_client()
    assert client.post("/1").json == ([1] if on_request else []), "one transaction, or two"
    assert client.post("/2").json == ([1, 2] if on_request else [1])
    assert client.post("/fail/3").status_code == 500
    assert client.get("/").json == [1, 2]
    assert Database.status().in_use == 0
    with app.app_context():
        extension.engine.dispose()


class Number(SQLModel, table=True):
    """The table numbers as SQLModel has it."""

    __tablename__ = "numbers"

    n: int = Field(primary_key=True)


def test_sqlmodel(numbers: str) -> None:
    engine = hypern_sqlalchemy.engine()
    with scope(), Session(engine) as session:
        session.add(Number(n=1))
        session.flush()
        assert db().query_values(ALL) == [1]
        session.commit()
        db().execute("INSERT INTO numbers VALUES (2)")
        found = session.exec(select(Number).order_by(text("n"))).all()
        assert [number.n for number in found] == [1, 2]
        assert isinstance(found[0], Number)
    assert Database.status().in_use == 0
    assert numbers
    engine.dispose()


def test_sqlmodel_awaited(numbers: str) -> None:
    async def run() -> None:
        engine = hypern_sqlalchemy.async_engine()
        async with scope(), AsyncSession(engine) as session:
            session.add(Number(n=1))
            await session.flush()
            assert await adb().query_values(ALL) == [1]
            await session.commit()
            found = (await session.exec(select(Number))).all()
            assert [number.n for number in found] == [1]
        await engine.dispose()

    asyncio.run(run())
    assert Database.status().in_use == 0
    assert numbers
