"""Passwords and parameter values show up nowhere; user data travels in parameters only."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from reliability.fault_proxy import FaultProxy
from reliability.own_server import PASSWORD, OwnServer
from reliability.requests_script import configure, run_requests
from reliability.tally import Tally

from hypern import errors
from hypern._hypern import ConnectionPool
from hypern._hypern import PoolConfig as LowLevelConfig
from hypern.config.settings import PoolConfig
from hypern.database import Database, db, finalize_db, scope

_WRONG = "swordfish-73"  # a password that opens nothing
_VALUE = "value-of-a-parameter-91"
# Which process and server answer, in a text that depends on what the role may ask.
_IDENTITY = "select pg_catalog.pg_backend_pid()"
_CONSTANTS = {
    _IDENTITY,
    "COMMIT",
    "ROLLBACK",
    "SET LOCAL statement_timeout = 0",
    "RESET ROLE",
    "RESET ALL",
    "CLOSE ALL",
    "UNLISTEN *",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
    "SELECT 1 WHERE pg_catalog.pg_advisory_unlock_all() IS NULL",
}
_SECRETS = (_WRONG, PASSWORD, _VALUE, "73%2D")


@contextmanager
def _expect(error: type[Exception]) -> Iterator[list[str]]:
    """All that can be read of the error that the block raises."""
    texts: list[str] = []
    with pytest.raises(error) as caught:
        yield texts
    seen: BaseException | None = caught.value
    while seen is not None:
        texts += [str(seen), repr(seen), repr(vars(seen)), repr(seen.args)]
        seen = seen.__cause__ or seen.__context__
    texts.append("".join(traceback.format_exception(caught.value)))
    texts.append(repr(pickle.dumps(caught.value)) if isinstance(caught.value, errors.Error) else "")


def _configure(server: OwnServer, settings: str = "", **keywords: Any) -> None:
    Database.configure(f"{server.url()}{settings}", alias="s", **keywords)


def _login(server: OwnServer, **keywords: Any) -> list[str]:
    _configure(server, **keywords)
    with _expect(errors.OperationalError) as texts, scope():
        db(alias="s").query("SELECT 1")
    texts.append(repr(Database.status("s")))
    return texts


def _in_the_url(server: OwnServer) -> list[str]:
    url = server.url().replace("alice@", f"alice:{_WRONG}@")
    Database.configure(url, alias="s")
    with _expect(errors.OperationalError) as texts, scope():
        db(alias="s").query("SELECT 1")
    return texts


def _in_a_bad_url(server: OwnServer) -> list[str]:
    texts = []
    for url in (
        f"postgresql://alice:{_WRONG}@[::1/postgres",
        f"postgresql://alice:{_WRONG}@localhost:port/postgres",
        f"postgresql://alice:{_WRONG}@localhost/postgres?nonsense=1",
        f"postgresql://alice:{_WRONG}%zz@localhost/postgres",
        f"host=localhost password='{_WRONG}",
        f"host=localhost password={_WRONG} sslmode=perhaps",
        f"mysql://alice:{_WRONG}@localhost/postgres",
    ):
        with _expect(errors.ConfigurationError) as found:
            Database.configure(url, alias="s")
        texts += found
    return texts


def _configured_anew(server: OwnServer) -> list[str]:
    _configure(server, password=PASSWORD)
    with _expect(errors.ConfigurationError) as texts:
        _configure(server, password=_WRONG)
    return texts


def _by_a_callable_that_fails(server: OwnServer) -> list[str]:
    class VaultError(Exception):
        pass

    def password() -> str:
        raise VaultError

    _configure(server, password=password)
    with _expect(VaultError) as texts, scope():
        db(alias="s").query("SELECT 1")
    return texts


def _no_server(server: OwnServer) -> list[str]:
    Database.configure("postgresql://alice@127.0.0.1:1/postgres", alias="s", password=_WRONG)
    with _expect(errors.OperationalError) as texts, scope():
        db(alias="s").query("SELECT 1")
    texts.append(repr(Database.status("s")))
    return texts


def _no_tls(server: OwnServer) -> list[str]:
    Database.configure(server.url(sslmode="require"), alias="s", password=_WRONG)
    with _expect(errors.OperationalError) as texts, scope():
        db(alias="s").query("SELECT 1")
    return texts


def _a_full_pool(server: OwnServer) -> list[str]:
    _configure(server, password=PASSWORD, max_size=1, acquire_timeout_secs=1)
    holder = db("holder", alias="s")
    holder.query("SELECT $1::text", [_VALUE])
    with _expect(errors.PoolTimeout) as texts, scope():
        db(alias="s").query("SELECT $1::text", [_VALUE])
    texts += [repr(Database.status("s")), repr(holder), str(holder)]
    finalize_db("holder")
    return texts


def _statements(server: OwnServer) -> list[str]:
    _configure(server, password=PASSWORD, slow_query_secs=0.0)
    texts = []
    with scope():
        session = db(alias="s")
        for sql, params in (
            ("SELECT $1::text, 1 / $2::int", [_VALUE, 0]),
            ("SELECT $1::bytea", [{_VALUE: 1}]),
            ("SELECT $1::date", [object()]),
            ("SELECT $1::text", [_VALUE, _VALUE]),
            ("SELECT no_such_column, $1::text", [_VALUE]),
        ):
            with _expect(Exception) as found:
                session.query(sql, params)
            texts += found
        with _expect(errors.Error) as found:
            session.query("SELECT $1::text, pg_sleep(5)", [_VALUE], timeout=0.01)
        texts += found
        with _expect(errors.Error) as found:
            session.execute_many("SELECT $1::text, 1 / $2::int", [[_VALUE, 1], [_VALUE, 0]])
        texts += [*found, repr(session)]
    return texts


def _reprs(server: OwnServer) -> list[str]:
    settings = PoolConfig(url=server.url().replace("alice@", f"alice:{_WRONG}@"), password=_WRONG)
    low = LowLevelConfig(url=server.url().replace("alice@", f"alice:{_WRONG}@"))
    _configure(server, password=_WRONG)
    return [repr(settings), str(settings), repr(low), str(low), repr(ConnectionPool)]


_PLACES: dict[str, Callable[[OwnServer], list[str]]] = {
    "a wrong password by keyword": lambda server: _login(server, password=_WRONG),
    "a wrong password by a callable": lambda server: _login(server, password=lambda: _WRONG),
    "a wrong password in the URL": _in_the_url,
    "a bad URL with a password": _in_a_bad_url,
    "another password for the same alias": _configured_anew,
    "a password callable that raises": _by_a_callable_that_fails,
    "no server": _no_server,
    "no TLS": _no_tls,
    "a full pool": _a_full_pool,
    "statements that fail": _statements,
    "settings": _reprs,
}


@pytest.mark.parametrize("place", _PLACES)
def test_no_secret_shows_up(
    own_server: OwnServer,
    tally: Tally,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    place: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    try:
        texts = _PLACES[place](own_server)
    finally:
        Database.close("s")
    assert texts
    out, err = capfd.readouterr()
    texts += [record.getMessage() for record in caplog.records] + [caplog.text, out, err]
    for text in texts:
        for secret in _SECRETS:
            assert secret not in text, text
    tally.add("texts searched for passwords and parameter values", len(texts), "none found")


def test_user_data_travels_in_parameters_only(own_server: OwnServer, tally: Tally) -> None:
    """The simple protocol, which would run several statements, carries constants of ours only."""
    attack = "x'; DROP TABLE ledger; --"
    with FaultProxy(own_server.port) as proxy:
        configure(own_server.url(proxy.port), "watched", PASSWORD)
        run_requests("watched", "watched", awaited=False)
        run_requests("watched", "watched again", awaited=True)
        with scope(attack):
            session = db(attack, alias="watched")
            assert session.query_value("SELECT $1::text", [attack]) == attack
            assert session.execute_many("SELECT $1::text", [[attack], [attack]]) == 2
            with session.transaction(), session.transaction():
                assert session.query_value("SELECT $1::text", [attack]) == attack
            assert [*session.stream("SELECT $1::text AS x", [attack])] == [{"x": attack}]
            with pytest.raises(errors.SyntaxError, match="multiple commands"):
                session.execute("SELECT 1; DROP TABLE ledger")
            with pytest.raises(ValueError, match="isolation"):
                session.begin(isolation=attack)  # type: ignore[arg-type]
        Database.close("watched")
    simple = {sql for kind, sql in proxy.sql if kind == "Q"}
    parsed = [sql for kind, sql in proxy.sql if kind == "P"]
    commands = {command for sql in simple for command in sql.split(";")}
    assert not [sql for sql in simple if attack in sql]
    assert {_IDENTITY if c.startswith(_IDENTITY) else c for c in commands} == _CONSTANTS
    assert not [sql for sql in parsed if attack in sql]
    assert "SELECT 1; DROP TABLE ledger" in parsed
    with scope():
        assert db(alias="admin").query_value("SELECT count(*) FROM ledger") > 0
    tally.add("statements watched on the wire", len(proxy.sql), "user data in parameters only")
