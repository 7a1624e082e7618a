"""statement_cache="named" behind poolers that keep their clients' statements on shared servers.

They take two statements of the same text for one, and parse it once per server. So what a statement
is parsed under must not change: then it fails, where hypern by itself would have parsed it anew.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from either import db, finalize_db, scope
from poolers import kinds
from poolers.pooler import Pooler
from support import in_threads

from hypern import errors
from hypern.database import Database

pytestmark = pytest.mark.usefixtures("kind")

PREPARING = [
    name
    for name in kinds.chosen()
    if kinds.ALL[name].prepares and kinds.ALL[name].mode != "session"
]
SERVER_SIDE = "SELECT count(*) FROM pg_prepared_statements"


@pytest.fixture(scope="module", params=PREPARING or [""])
def preparing(request: pytest.FixtureRequest, database: str) -> Iterator[Pooler]:
    """Each pooler that keeps statements on servers that it shares."""
    if not request.param:
        pytest.skip("make test/poolers tries these")
    with kinds.start(database, request.param) as running:
        yield running


@pytest.fixture
def named(preparing: Pooler) -> Iterator[Pooler]:
    """The pooler, where statements are prepared by name."""
    Database.close()
    preparing.configure(12, statement_cache="named")
    yield preparing
    Database.close()


def test_statements_stay_prepared_on_shared_servers(named: Pooler) -> None:
    def request(thread: int) -> None:
        for n in range(40):
            name = f"request {thread}.{n}"
            session = db(name)
            assert session.query_value("SELECT $1::int + 1", [n]) == n + 1
            assert session.query_value("SELECT $1::text || 'x'", [f"{n}"]) == f"{n}x"
            if named.mode == "transaction":
                session.begin()
                assert session.query("SELECT $1::int AS n", [n]) == [{"n": n}]
                assert session.execute_many("SELECT $1::bigint", [[1], [2]]) == 2
            finalize_db(name)

    in_threads(8, request)
    assert Database.status().pooler == "shared"
    with scope():
        assert 3 <= db().query_value(SERVER_SIDE) < 60


def test_a_table_that_changes_makes_its_statements_fail_and_never_lie(
    named: Pooler, kind: str
) -> None:
    with scope():
        db().execute("DROP TABLE IF EXISTS shaped")
        db().execute("CREATE TABLE shaped (a int)")
        db().execute("INSERT INTO shaped VALUES (1)")
    sql = f"SELECT * FROM shaped /* {kind} */"  # else it is the statement of the other kind
    for _ in range(4):
        with scope():
            assert db().query(sql) == [{"a": 1}]
    with scope():
        db().execute("ALTER TABLE shaped ADD b int DEFAULT 2")
    outcomes = set()
    for _ in range(20):
        with scope():
            try:
                assert db().query(sql) == [{"a": 1, "b": 2}]
                outcomes.add("right")
            except errors.FeatureNotSupported:
                outcomes.add("0A000")
    assert "0A000" in outcomes
    with scope():
        assert db().query("SELECT a, b FROM shaped") == [{"a": 1, "b": 2}]


def test_a_pool_that_prepares_nothing_is_not_concerned(preparing: Pooler, kind: str) -> None:
    """The default: PgBouncer leaves unnamed statements alone, Odyssey does not."""
    Database.close()
    preparing.configure(2)
    with scope():
        db().execute("DROP TABLE IF EXISTS reshaped")
        db().execute("CREATE TABLE reshaped (a int)")
    sql = f"SELECT * FROM reshaped /* {kind} */"
    with scope():
        assert db().query(sql) == []
        db().execute("ALTER TABLE reshaped ADD b int")
    outcomes = set()
    for _ in range(6):
        with scope():
            try:
                assert db().query(sql) == []
                outcomes.add("right")
            except errors.FeatureNotSupported as error:
                mine = "columns of the result have changed" in str(error)
                outcomes.add("once" if mine else "0A000")
    Database.close()
    assert ("0A000" in outcomes) is preparing.kind.keeps_plans
