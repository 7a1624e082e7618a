"""Connections, cursors of the server and engines behind PgBouncer in transaction mode."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dbapi.faces import Connect
from sqlalchemy import create_engine, text
from test_pgbouncer import Bouncer, started

from hypern import dbapi
from hypern.database import Database


@pytest.fixture(scope="module")
def bouncer(database: str) -> Iterator[Bouncer]:
    with started(database, "transaction") as running:
        yield running
        Database.close()


def test_transactions_and_cursors(bouncer: Bouncer, connect: Connect) -> None:
    first, second = connect(bouncer.url), connect(bouncer.url, autocommit=True)
    second.execute("CREATE TABLE IF NOT EXISTS bounced (n int)")
    for round_ in range(3):
        first.execute("INSERT INTO bounced VALUES (%s)", [round_])
        cursor = first.cursor("rows")
        cursor.execute("SELECT 'a', n FROM bounced" if round_ % 2 else "SELECT n FROM bounced")
        assert second.execute("SELECT count(*) FROM bounced").fetchone() == (round_,)
        assert len(cursor.fetchmany(9)) == round_ + 1
        cursor.close()
        first.commit()
    first.execute("SELECT * FROM bounced")
    first.rollback()
    with pytest.raises(dbapi.ProgrammingError):
        second.execute("SELECT * FROM nowhere")
    second.execute("DROP TABLE bounced")


def test_an_engine(bouncer: Bouncer) -> None:
    engine = create_engine(bouncer.url.replace("postgresql:", "postgresql+hypern:", 1))
    for _ in range(3):
        with engine.begin() as connection:
            rows = connection.execution_options(yield_per=10).execute(
                text("SELECT * FROM generate_series(1, :n)"), {"n": 25}
            )
            assert connection.scalar(text("SELECT 1")) == 1
            assert len(rows.all()) == 25
    engine.dispose()
