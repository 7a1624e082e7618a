"""pandas and polars on hypern; `make test/peers` installs them and runs this file."""

from __future__ import annotations

import os

import pandas
import polars
from sqlalchemy import create_engine

from hypern import dbapi

URL = os.environ["HYPERN_TEST_URL"]
ROWS = {"n": [1, 2, 3], "name": ["a", "b", None], "price": [1.5, None, 2.25]}


def test_pandas_there_and_back() -> None:
    engine = create_engine(URL.replace("postgresql://", "postgresql+hypern://", 1))
    frame = pandas.DataFrame(ROWS)
    assert frame.to_sql("pandas_rows", engine, index=False, if_exists="replace") == 3
    multi = frame.to_sql("pandas_rows", engine, index=False, if_exists="append", method="multi")
    assert multi == 3
    found = pandas.read_sql("SELECT * FROM pandas_rows WHERE n < 3 ORDER BY n LIMIT 2", engine)
    assert found["n"].tolist() == [1, 1]
    assert found["price"].tolist() == [1.5, 1.5]
    chunks = list(pandas.read_sql_table("pandas_rows", engine, chunksize=4))
    assert [len(chunk) for chunk in chunks] == [4, 2]
    engine.dispose()


def test_pandas_on_a_connection() -> None:
    with dbapi.connect(URL) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT n, n * 2 AS twice FROM generate_series(1, %s) n", [3])
        assert cursor.description is not None
        names = [column.name for column in cursor.description]
        frame = pandas.DataFrame(cursor.fetchall(), columns=names)
    assert frame["twice"].tolist() == [2, 4, 6]


def test_polars_reads() -> None:
    engine = create_engine(URL.replace("postgresql://", "postgresql+hypern://", 1))
    query = "SELECT * FROM (VALUES (1, 'a', 1.5::float8), (2, NULL, NULL)) AS v (n, name, price)"
    expected = {"n": [1, 2], "name": ["a", None], "price": [1.5, None]}
    with dbapi.connect(URL) as connection:
        for source in (engine, connection):
            frame = polars.read_database(query, source)
            assert frame.to_dict(as_series=False) == expected
    engine.dispose()
