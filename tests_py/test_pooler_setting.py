"""`Database.configure(pooler=...)`: what is between hypern and the server need not be found out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from either import db, scope
from poolers import kinds
from poolers.pooler import Pooler
from test_pgbouncer import NAMED

from hypern import errors
from hypern.database import Database

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    Database.close()


@pytest.fixture(scope="module", params=kinds.chosen())
def bouncer(request: pytest.FixtureRequest, database: str) -> Iterator[Pooler]:
    """Each pooler in each of its modes."""
    with kinds.start(database, request.param) as running:
        yield running


def _configure(url: str, pooler: Any) -> None:
    Database.close()
    Database.configure(url, max_size=1, pooler=pooler)


@pytest.mark.parametrize(
    ("pooler", "verdict", "keeps"),
    [
        ("auto", "none", True),
        ("none", "none", True),
        ("session", "session", True),
        ("shared", "shared", False),
    ],
)
def test_what_is_said_of_a_server_is_taken_for_granted(
    database: str, pooler: str, verdict: str, keeps: bool
) -> None:
    _configure(database, pooler)
    assert Database.status().pooler is None
    with scope():
        session = db()
        assert [session.query_value("SELECT 1 + 1") for _ in range(3)] == [2, 2, 2]
        assert (session.query_value(NAMED) > 0) is keeps
        session.execute("SET work_mem = '7MB'")
    assert Database.status().pooler == verdict
    with scope():
        assert (db().query_value("SHOW work_mem") == "7MB") is not keeps


def test_what_is_said_of_a_pooler_is_taken_for_granted(bouncer: Pooler) -> None:
    # "shared" is right behind any of them: it relies on less.
    for says in {bouncer.kind.verdict, "shared"}:
        _configure(bouncer.url, says)
        assert Database.status().pooler is None
        with scope():
            session = db()
            assert [session.query_value("SELECT 1 + 1") for _ in range(3)] == [2, 2, 2]
            assert (session.query_value(NAMED) > 0) is (says != "shared")
        assert Database.status().pooler == says


def test_what_is_said_of_pgbouncer_spares_the_second_connection(bouncer: Pooler) -> None:
    if bouncer.log.name != "log":
        pytest.skip("its log does not count logins")
    _configure(bouncer.url, bouncer.kind.verdict)
    before = bouncer.log.read_text().count("login attempt")
    with scope():
        db().query("SELECT 1")
    assert bouncer.log.read_text().count("login attempt") == before + 1


@pytest.mark.parametrize("pooler", ["pgbouncer", None, 1, ""])
def test_another_word_is_refused(database: str, pooler: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match="pooler must be one of: auto, none"):
        _configure(database, pooler)


@pytest.mark.parametrize(
    ("listen_url", "text"),
    [
        (3, "listen_url must be a str, not int"),
        ("postgresql://u@h:99999/d", "port must be"),
        ("postgresql://u@h/d?sslmode=sometimes", "sslmode must be one of"),
        ("a\0b", "NUL"),
    ],
)
def test_a_listen_url_that_cannot_work_is_refused(
    database: str, listen_url: Any, text: str
) -> None:
    with pytest.raises(errors.ConfigurationError, match=text):
        Database.configure(database, listen_url=listen_url)
