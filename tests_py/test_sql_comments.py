"""The label of a scope as a comment behind its statements, as the server sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import either
import pytest

from hypern.database import Database, DbSession
from hypern.errors import DivisionByZero, UndefinedTable

pytestmark = pytest.mark.usefixtures("kind")

_OWN = "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()"


@pytest.fixture(autouse=True, params=["named", "describe", "off"])
def commented(database: str, request: pytest.FixtureRequest) -> Any:
    """The module's database, with comments; however statements are kept."""
    Database.close()
    Database.configure(database, sql_comments=True, max_size=1, statement_cache=request.param)
    yield
    Database.close()


def test_each_statement_is_followed_by_the_label_of_its_scope() -> None:
    for _ in range(3):
        for label in ("orders.create", "/users/{id}"):
            with either.scope(label=label):
                expected = f"{_OWN} /*label='{label}'*/"
                assert either.db().query_value(_OWN) == expected
                assert either.db().query_value(_OWN) == expected
        with either.scope():
            assert either.db().query_value(_OWN) == _OWN
        assert either.db("a request").query_value(_OWN) == _OWN
        either.finalize_db("a request")


def _batch(session: DbSession) -> object:
    with session.batch() as batch:
        batch.execute("SELECT 1")
        found = batch.query_value(_OWN)
    return found.value


WAYS: dict[str, Callable[[DbSession], object]] = {
    "query_many": lambda s: s.query_many(f"{_OWN} AND $1", [(True,)])[0]["query"],
    "stream": lambda s: next(iter(s.stream(f"{_OWN} AND true")))["query"],
    "batch": _batch,
}


@pytest.mark.parametrize("way", WAYS)
def test_so_it_is_however_a_statement_runs(way: str) -> None:
    for label in ("one", "two", "one"):
        with either.scope(label=label, atomic=True):
            assert str(WAYS[way](either.db())).endswith(f" /*label='{label}'*/")


def test_a_script_has_the_label_behind_its_end() -> None:
    with either.scope(label="nightly"):
        either.db().execute("CREATE TEMP TABLE seen (query text)")
        either.db().execute_script(f"INSERT INTO seen {_OWN}; SELECT 1")
        (seen,) = either.db().query_values("SELECT query FROM seen")
        assert seen.endswith("SELECT 1 /*label='nightly'*/")


def test_a_text_that_ends_with_a_comment_has_the_label_on_a_line_of_its_own() -> None:
    with either.scope(label="x"):
        found = either.db().query_value(f"{_OWN} -- mine")
        assert found == f"{_OWN} -- mine\n/*label='x'*/"
        found = either.db().query_value(f"{_OWN};")
        assert found == f"{_OWN}; /*label='x'*/"


def test_a_label_cannot_end_its_comment() -> None:
    with either.scope(label="a*/; DROP TABLE t; /*'\n%"):
        found = either.db().query_value(_OWN)
        assert found == f"{_OWN} /*label='a%2A/; DROP TABLE t; /%2A%27%0A%25'*/"


def test_an_error_has_the_callers_text_alone() -> None:
    with either.scope(label="x"):
        with pytest.raises(UndefinedTable) as raised:
            either.db().query("SELECT * FROM nowhere")
        assert raised.value.sql == "SELECT * FROM nowhere"
        assert raised.value.position == len("SELECT * FROM ") + 1
        with pytest.raises(DivisionByZero) as divided:
            either.db().query("SELECT 1 / $1::int", [0])
        assert divided.value.sql == "SELECT 1 / $1::int"


def test_without_the_setting_there_is_no_comment(database: str) -> None:
    Database.close()
    Database.configure(database)
    with either.scope(label="x"):
        assert either.db().query_value(_OWN) == _OWN
