"""The dialect postgresql+hypern://: pools, options, streams, disconnects and values."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
from alchemy.engines import Kind, admin
from sqlalchemy import (
    JSON,
    Column,
    Integer,
    MetaData,
    Numeric,
    Table,
    create_engine,
    exc,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INT4RANGE, JSONB, Range
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool
from support import wait_until

from hypern import errors
from hypern.config.parse import parse
from hypern.database import Database

PID = text("SELECT pg_backend_pid()")


def pool_of(engine: Any) -> str:
    """The alias of an engine's pool."""
    (pool,) = engine.dialect._shared.values()
    alias: str = pool.alias
    return alias


def test_a_pool_per_settings_which_dispose_closes(kind: Kind, database: str) -> None:
    first, second = kind.engine(database, max_size=2), kind.engine(database, max_size=2)
    other = kind.engine(database, max_size=3)

    def body() -> None:
        with first.connect() as a, second.connect() as b, other.connect() as c:
            assert a.scalar(PID) != b.scalar(PID)
            assert pool_of(first) == pool_of(second) != pool_of(other)
            assert Database.status(pool_of(first)).in_use == 2
            assert Database.status(pool_of(first)).max_size == 2
            c.scalar(PID)
            alias = pool_of(first)
            first.dispose()
            assert b.scalar(PID), "what is in use goes on"
        assert not Database.is_configured(alias)
        with first.connect() as again:
            again.scalar(PID)
            assert pool_of(first) != alias

    kind.run(body)


def test_connections_are_used_again(kind: Kind, database: str) -> None:
    engine = kind.engine(database, max_size=1)

    def body() -> None:
        with engine.connect() as connection:
            pid = connection.scalar(PID)
            connection.execute(text("SET work_mem = '7MB'"))
            connection.commit()
        with engine.connect() as connection:
            assert connection.scalar(PID) == pid
            assert connection.scalar(text("SHOW work_mem")) != "7MB"

    kind.run(body)


def test_a_url_with_options_that_nobody_knows(kind: Kind, database: str) -> None:
    engine = kind.engine(database + "&color=red")
    with pytest.raises((errors.ConfigurationError, exc.InterfaceError), match='"color"'):
        kind.run(engine.connect)
    with pytest.raises(TypeError, match="colour"):
        kind.engine(database, colour="red")
    engine = kind.engine(database, connect_args={"max_sise": 1})
    with pytest.raises((errors.ConfigurationError, exc.InterfaceError), match="max_sise"):
        kind.run(engine.connect)


def test_the_parts_of_a_url() -> None:
    def keywords(url: str) -> dict[str, str]:
        engine = create_engine(url)
        (dsn,), settings = engine.dialect.create_connect_args(engine.url)
        assert settings == {}
        return parse(dsn)

    assert keywords("postgresql+hypern://me:se'c&%40 ret@h1:5433/app?sslmode=disable") == {
        "user": "me",
        "password": "se'c&@ ret",
        "host": "h1",
        "port": "5433",
        "dbname": "app",
        "sslmode": "disable",
    }
    several = keywords("postgresql+hypern:///app?host=h1:1&host=h2:2")
    assert several == {"dbname": "app", "host": "h1,h2", "port": "1,2"}
    assert keywords("postgresql+hypern://") == {}


def test_options_of_transactions(kind: Kind, database: str) -> None:
    engine = kind.engine(database)

    def body() -> None:
        with engine.connect() as connection:
            assert connection.default_isolation_level == "READ COMMITTED"
            connection.execution_options(
                isolation_level="SERIALIZABLE",
                postgresql_readonly=True,
                postgresql_deferrable=True,
            )
            for setting, value in (
                ("isolation", "serializable"),
                ("read_only", "on"),
                ("deferrable", "on"),
            ):
                assert connection.scalar(text(f"SHOW transaction_{setting}")) == value
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM pg_class"))
            assert connection.get_isolation_level() == "READ COMMITTED"
            connection.execution_options(stream_results=True)
            rows = connection.execute(text("SELECT * FROM generate_series(1, 3000) n"))
            assert len(rows.all()) == 3000
        with engine.connect() as connection:
            assert connection.scalar(text("SHOW transaction_read_only")) == "off"

    kind.run(body)


def test_a_stream_is_the_servers_cursor(kind: Kind, database: str) -> None:
    engine = kind.engine(database)

    def body() -> None:
        with engine.connect() as connection:
            query = text("SELECT * FROM generate_series(1, :n) n")
            streamed = connection.execution_options(yield_per=10).execute(query, {"n": 35})
            cursors = text("SELECT count(*) FROM pg_cursors WHERE name LIKE 'hypern%'")
            seen = []
            for partition in streamed.partitions(10):
                seen.append(len(partition))
                if len(seen) < 4:
                    assert connection.scalar(cursors) >= 1
            assert seen == [10, 10, 10, 5]

    kind.run(body)


def test_a_killed_backend_is_a_disconnect(kind: Kind, database: str) -> None:
    engine = kind.engine(database, pool_pre_ping=True)

    def body() -> None:
        with engine.connect() as connection:
            pid = connection.scalar(PID)
            connection.rollback()
            with admin(database) as run:
                run(f"SELECT pg_terminate_backend({pid})")
                gone = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"
                wait_until(lambda: run(gone).scalar() == 0)
            with pytest.raises(exc.OperationalError) as caught:
                connection.execute(PID)
            assert caught.value.connection_invalidated
            connection.rollback()
            assert connection.scalar(PID) != pid

    kind.run(body)
    assert Database.status(pool_of(engine)).in_use == 0


def test_the_json_hooks(kind: Kind, database: str) -> None:
    def loads(document: str) -> object:
        assert isinstance(document, str)
        return ["loaded", json.loads(document)]

    def dumps(value: object) -> str:
        return json.dumps(["dumped", value])

    engine = kind.engine(database, json_deserializer=loads, json_serializer=dumps)
    table = Table("documents", MetaData(), Column("a", JSON), Column("b", JSONB))

    def body() -> None:
        with engine.connect() as connection:
            table.create(connection)
            connection.execute(table.insert(), {"a": {"x": 1}, "b": [2]})
            assert connection.execute(select(table)).one() == (
                ["loaded", ["dumped", {"x": 1}]],
                ["loaded", ["dumped", [2]]],
            )

    kind.run(body)


def test_types_of_the_dialect(kind: Kind, database: str) -> None:
    table = Table(
        "kinds",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("price", Numeric(8, 2, asdecimal=False)),
        Column("tags", ARRAY(Integer)),
        Column("span", INT4RANGE),
    )
    engine = kind.engine(database)

    def body() -> None:
        with engine.connect() as connection:
            table.create(connection)
            rows = [{"price": 1.5, "tags": [n, None], "span": Range(n, 9)} for n in range(3)]
            ids = connection.scalars(
                table.insert().returning(table.c.id, sort_by_parameter_order=True), rows
            )
            assert ids.all() == [1, 2, 3]
            found = connection.execute(select(table).where(table.c.tags.contains([1]))).one()
            assert found == (2, 1.5, [1, None], Range(1, 9))
            columns = {c["name"]: c["type"] for c in inspect(connection).get_columns("kinds")}
            assert isinstance(columns["span"], INT4RANGE)
            changed = connection.execute(table.update().values(price=2))
            assert changed.rowcount == 3

    kind.run(body)


def test_two_phases_need_the_servers_consent(kind: Kind, database: str) -> None:
    engine = kind.engine(database)

    def body() -> None:
        with engine.connect() as connection:
            transaction = connection.begin_twophase("it's one")
            connection.execute(text("SELECT 1"))
            transaction.rollback()
            assert connection.execute(text("SELECT 1")).scalar() == 1
            connection.rollback()
            assert connection.recover_twophase() == []

    kind.run(body)


def test_errors_are_those_of_hypern(kind: Kind, database: str) -> None:
    engine = kind.engine(database)

    def body() -> None:
        with engine.connect() as connection:
            with pytest.raises(exc.ProgrammingError) as caught:
                connection.execute(text("SELECT * FROM nowhere"))
            assert isinstance(caught.value.orig, errors.UndefinedTable)

    kind.run(body)


def test_an_async_engine_gives_the_awaited_connection(database: str) -> None:
    kind = Kind(is_async=True)
    engine = kind.engine(database)

    def body() -> None:
        raw: Any = engine.raw_connection()

        async def ask(connection: Any) -> Any:
            cursor = await connection.execute("SELECT 7")
            return await cursor.fetchone()

        assert raw.dbapi_connection.run_async(ask) == (7,)
        raw.close()

    kind.run(body)
    kind.close()


def test_connections_of_a_forgotten_engine_go_back(kind: Kind, database: str) -> None:
    aliases: list[str] = []

    def body() -> None:
        pool_class = AsyncAdaptedQueuePool if kind.is_async else QueuePool
        url = database.replace("postgresql://", "postgresql+hypern://", 1)
        engine = create_engine(url, poolclass=pool_class, _is_async=kind.is_async)
        with engine.connect() as connection:
            connection.execute(PID)
        aliases.append(pool_of(engine))
        assert Database.status(aliases[0]).in_use == 1, "SQLAlchemy's pool keeps it"

    def forget() -> None:
        kind.run(body)
        gc.collect()

    with pytest.warns(ResourceWarning, match="was not closed"):
        forget()
    assert Database.status(aliases[0]).in_use == 0
