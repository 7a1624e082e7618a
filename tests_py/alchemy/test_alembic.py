"""Alembic: a real history upward and downward, blocking and async, and what it compares."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from alchemy import migrations
from alembic import command
from alembic.config import Config
from sqlalchemy import Column, Identity, Integer, MetaData, Table, Text, create_engine, text

from hypern import dbapi
from hypern.database import Database


@pytest.fixture(params=[False, True], ids=["blocking", "async"])
def config(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Config:
    """A configuration whose history has four revisions."""
    migrations.write(tmp_path / "history", request.param)
    made = Config(stdout=io.StringIO())
    made.set_main_option("script_location", str(tmp_path / "history"))
    url = database.replace("postgresql://", "postgresql+hypern://", 1)
    made.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return made


def people(database: str, names: str = "full_name, mood::text, data") -> list[tuple[object, ...]]:
    with dbapi.connect(database) as connection:
        rows: list[tuple[object, ...]] = connection.execute(
            f"SELECT {names} FROM people ORDER BY id"
        ).fetchall()
        return rows


def version(database: str) -> list[tuple[object, ...]]:
    with dbapi.connect(database) as connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchall()


def objects(database: str) -> set[str]:
    """What the history makes, as far as it is there."""
    query = """
        SELECT relname::text FROM pg_class WHERE relname LIKE 'people%'
        UNION ALL SELECT typname::text FROM pg_type WHERE typname = 'mood'
    """
    with dbapi.connect(database) as connection:
        return {name for (name,) in connection.execute(query).fetchall()}


def test_up_and_down(config: Config, database: str) -> None:
    command.upgrade(config, "head")
    assert version(database) == [("4",)]
    assert people(database) == [
        ("Ann 1", "good", {"from": "Ann"}),
        ("100% Bob's 2", "bad", {"from": "100% Bob's"}),
    ]
    assert "people_name" in objects(database)
    command.downgrade(config, "2")
    assert people(database, "name") == [("Ann",), ("100% Bob's",)]
    assert "people_name" not in objects(database)
    command.upgrade(config, "+2")
    assert version(database) == [("4",)]
    command.downgrade(config, "base")
    assert objects(database) == set()
    assert version(database) == []


def test_a_revision_that_fails_leaves_nothing(config: Config, database: str) -> None:
    place = Path(config.get_main_option("script_location") or "") / "versions" / "2.py"
    place.write_text(
        place.read_text().replace("def downgrade", "    op.execute('x')\n\ndef downgrade")
    )
    with pytest.raises(Exception, match="syntax error"):
        command.upgrade(config, "2")
    assert objects(database) == set(), "DDL is transactional"
    command.upgrade(config, "1")
    command.downgrade(config, "base")


def test_what_autogenerate_compares(config: Config, database: str) -> None:
    command.upgrade(config, "head")
    metadata = MetaData()
    config.attributes["metadata"] = metadata
    command.upgrade(config, "head")
    engine = create_engine(database.replace("postgresql://", "postgresql+hypern://", 1))
    metadata.reflect(engine)
    metadata.remove(metadata.tables["alembic_version"])
    command.check(config)
    Table("extra", metadata, Column("id", Integer, Identity(), primary_key=True), Column("t", Text))
    with pytest.raises(Exception, match="New upgrade operations detected"):
        command.check(config)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM people")) == 2
    engine.dispose()
    command.downgrade(config, "base")


def test_no_connection_is_left(config: Config, database: str) -> None:
    command.upgrade(config, "2")
    command.downgrade(config, "base")
    Database.close()
    with dbapi.connect(database) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        assert connection.execute(query).fetchone() == (1,)


def test_sql_without_a_database(database: str, tmp_path: Path) -> None:
    migrations.write(tmp_path / "history", False)
    printed = io.StringIO()
    config = Config(stdout=io.StringIO(), output_buffer=printed)
    config.set_main_option("script_location", str(tmp_path / "history"))
    config.set_main_option("sqlalchemy.url", "postgresql+hypern://nobody@nowhere/none")
    command.upgrade(config, "1:3", sql=True)
    assert database
    assert "ALTER TABLE people ADD COLUMN data JSONB" in printed.getvalue()
    assert "'100% Bob''s'" in printed.getvalue()
    assert "CREATE UNIQUE INDEX CONCURRENTLY people_name" in printed.getvalue()
