"""Each option that docs/sqlalchemy.md lists, and the isolation levels."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from alchemy.engines import Kind, admin
from alchemy.test_dialect import PID, pool_of
from sqlalchemy import (
    Column,
    Identity,
    Integer,
    MetaData,
    Table,
    Text,
    event,
    exc,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool
from support import url_with

from hypern.database import Database

LEVELS = ("READ COMMITTED", "READ UNCOMMITTED", "REPEATABLE READ", "SERIALIZABLE")


def shown(connection: Any, setting: str) -> Any:
    return connection.scalar(text(f"SHOW {setting}"))


def test_keywords_of_configure_in_connect_args(kind: Kind, database: str) -> None:
    engine = kind.engine(database, connect_args={"statement_timeout_secs": 0.1})

    def body() -> None:
        with engine.connect() as connection, pytest.raises(exc.OperationalError, match="timeout"):
            connection.execute(text("SELECT pg_sleep(30)"))

    kind.run(body)


def test_keywords_of_libpq_in_the_url(kind: Kind, database: str) -> None:
    engine = kind.engine(
        url_with(database, application_name="from the URL", options="-cwork_mem=9MB")
    )

    def body() -> None:
        with engine.connect() as connection:
            assert shown(connection, "application_name") == "from the URL"
            assert shown(connection, "work_mem") == "9MB"

    kind.run(body)


@pytest.mark.parametrize("level", LEVELS)
def test_the_isolation_of_an_engine(kind: Kind, database: str, level: str) -> None:
    engine = kind.engine(database, isolation_level=level)

    def body() -> None:
        for _ in range(2):  # the connection has been reset in between
            with engine.connect() as connection:
                assert shown(connection, "transaction_isolation") == level.lower()
                assert connection.get_isolation_level() == level
        with engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
            assert shown(connection, "transaction_isolation") == "serializable"

    kind.run(body)


def test_an_engine_with_autocommit(kind: Kind, database: str) -> None:
    engine = kind.engine(database, isolation_level="AUTOCOMMIT")

    def body() -> None:
        with engine.connect() as connection:
            connection.execute(text("CREATE TABLE kept (n int)"))
            connection.execute(text("INSERT INTO kept VALUES (1)"))
            connection.rollback()
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT n FROM kept")) == 1
            connection.execute(text("DROP TABLE kept"))

    kind.run(body)
    with pytest.raises(exc.ArgumentError, match="Invalid value"):
        kind.run(kind.engine(database, isolation_level="CHAOS").connect)


def test_read_only_and_deferrable(kind: Kind, database: str) -> None:
    engine = kind.engine(
        database, execution_options={"postgresql_readonly": True, "postgresql_deferrable": True}
    )

    def body() -> None:
        with engine.connect() as connection:
            assert shown(connection, "transaction_read_only") == "on"
            assert shown(connection, "transaction_deferrable") == "on"
            with pytest.raises(exc.DBAPIError, match="read-only"):
                connection.execute(text("CREATE TABLE no (n int)"))

    kind.run(body)


def test_addresses_as_text(kind: Kind, database: str) -> None:
    table = Table("hosts", MetaData(), Column("address", INET))

    def found(**options: Any) -> Any:
        engine = kind.engine(database, **options)

        def body() -> Any:
            with engine.connect() as connection:
                table.create(connection)
                connection.execute(table.insert(), {"address": "10.0.0.1"})
                return connection.scalar(select(table.c.address))

        return kind.run(body)

    assert found() == ip_address("10.0.0.1")
    assert found(native_inet_types=False) == "10.0.0.1"


def test_pre_ping_replaces_a_dead_connection_of_another_pool(kind: Kind, database: str) -> None:
    pool_class = AsyncAdaptedQueuePool if kind.is_async else QueuePool
    engine = kind.engine(database, poolclass=pool_class, pool_pre_ping=True)

    def body() -> None:
        with engine.connect() as connection:
            pid = connection.scalar(PID)
        with admin(database) as run:
            run(f"SELECT pg_terminate_backend({pid}, 5000)")
        with engine.connect() as connection:
            assert connection.scalar(PID) != pid
        engine.dispose()

    kind.run(body)


def test_connect_events_see_each_checkout(kind: Kind, database: str) -> None:
    engine = kind.engine(database, max_size=1)

    def set_path(raw: Any, record: object) -> None:
        del record
        with raw.cursor() as cursor:
            cursor.execute("SET search_path = elsewhere")
        raw.commit()

    event.listen(engine, "connect", set_path)

    def body() -> None:
        for _ in range(2):
            with engine.connect() as connection:
                assert shown(connection, "search_path") == "elsewhere"

    kind.run(body)


def test_many_rows_in_few_statements(kind: Kind, database: str) -> None:
    table = Table(
        "many", MetaData(), Column("id", Integer, Identity(), primary_key=True), Column("t", Text)
    )
    engine = kind.engine(database, insertmanyvalues_page_size=100)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *event: statements.append(event[2]))

    def body() -> None:
        with engine.connect() as connection:
            table.create(connection)
            statements.clear()
            rows = [{"t": f"100% of {n}"} for n in range(250)]
            ids = connection.scalars(insert(table).returning(table.c.id), rows).all()
            assert len(set(ids)) == 250
            assert len(statements) == 3
            changed = connection.execute(
                upsert(table)
                .values(id=ids[0], t="new")
                .on_conflict_do_update(index_elements=["id"], set_={"t": "changed"})
            )
            assert changed.rowcount == 1
            assert connection.scalar(select(table.c.t).where(table.c.id == ids[0])) == "changed"

    kind.run(body)


def test_reflection(kind: Kind, database: str) -> None:
    engine = kind.engine(database)

    def body() -> None:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE parents (id int PRIMARY KEY, name varchar(9))"))
            connection.execute(
                text("CREATE TABLE children (id int, parent int REFERENCES parents, UNIQUE (id))")
            )
            found = inspect(connection)
            assert {"parents", "children"} <= set(found.get_table_names())
            (key,) = found.get_foreign_keys("children")
            assert key["referred_table"] == "parents"
            assert found.get_pk_constraint("parents")["constrained_columns"] == ["id"]
            assert str(found.get_columns("parents")[1]["type"]) == "VARCHAR(9)"
            table = Table("children", MetaData(), autoload_with=connection)
            assert [column.name for column in table.columns] == ["id", "parent"]
            connection.execute(text("DROP TABLE children, parents"))

    kind.run(body)


def test_the_statement_cache_is_on(kind: Kind, database: str) -> None:
    engine = kind.engine(database, max_size=1)
    assert engine.dialect.supports_statement_cache
    query = text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%twice%'")

    def body() -> None:
        for _ in range(3):
            with engine.connect() as connection:
                connection.execute(text("SELECT 1 AS twice"))
        with engine.connect() as connection:
            assert connection.scalar(query) >= 1

    kind.run(body)


@pytest.mark.parametrize("sql", ["SELECT 'a%'", "SELECT 5 % 3 -- 100%", "SELECT '%s', '%(n)s'"])
def test_percent_signs(kind: Kind, database: str, sql: str) -> None:
    engine = kind.engine(database)

    def body() -> None:
        with engine.connect() as connection:
            plain = connection.exec_driver_sql(sql).one()
            assert connection.execute(text(sql)).one() == plain
            with_value = connection.execute(text("SELECT :n || '%'"), {"n": "50"})
            assert with_value.scalar() == "50%"

    kind.run(body)


def test_a_closed_cursor_and_a_closed_connection(kind: Kind, database: str) -> None:
    engine = kind.engine(database)

    def body() -> None:
        raw: Any = engine.raw_connection()
        cursor = raw.cursor()
        cursor.execute("SELECT 1")
        cursor.close()
        with pytest.raises(engine.dialect.loaded_dbapi.InterfaceError, match="cursor is closed"):
            cursor.fetchone()
        raw.close()
        with engine.connect() as connection:
            result = connection.execute(text("SELECT 1"))
            result.close()
            with pytest.raises(exc.ResourceClosedError):
                result.fetchone()
        with pytest.raises(exc.ResourceClosedError):
            connection.execute(text("SELECT 1"))

    kind.run(body)
    assert Database.status(pool_of(engine)).in_use == 0


def test_an_alias_and_a_url(kind: Kind, configured: str) -> None:
    engine = kind.engine(configured, connect_args={"alias": "default"})
    with pytest.raises(exc.InterfaceError, match="a url or an alias, not both"):
        kind.run(engine.connect)
