"""Wrong calls: each raises a clear error of the right class, and the connection stays usable.

Settings that cannot work are in test_configure.py; misplaced begin, commit and rollback in
test_transactions.py; use after finalize, and a forgotten finalize, in test_finalize.py; what close
does to a statement under way in test_pool.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from either import db, finalize_db
from support import url_with

from hypern import errors
from hypern.database import AsyncDbSession, Database, DbSession

pytestmark = pytest.mark.usefixtures("kind")


class Odd:
    """A type that nothing can be made of."""


@pytest.fixture(autouse=True)
def still_usable(session: DbSession) -> Iterator[None]:
    """After the test the session answers, on the same connection, and nothing else is held."""
    pid = session.query_value("SELECT pg_backend_pid()")
    yield
    assert session.query_value("SELECT pg_backend_pid()") == pid
    assert Database.status().in_use == 1


BAD_CALLS: dict[str, tuple[Callable[[DbSession], object], type[Exception], str]] = {
    "a syntax error": (lambda s: s.query("SELEC 1"), errors.SyntaxError, "SELEC"),
    "an unknown table": (lambda s: s.query("SELECT * FROM none"), errors.UndefinedTable, "none"),
    "an unknown function": (lambda s: s.query("SELECT f()"), errors.UndefinedFunction, "f()"),
    "no SQL": (lambda s: s.query(""), errors.ProgrammingError, "no statement"),
    "blank SQL": (lambda s: s.execute(" -- none\n"), errors.ProgrammingError, "no statement"),
    "several statements": (
        lambda s: s.query("SELECT 1; SELECT 2"),
        errors.SyntaxError,
        "multiple commands",
    ),
    "SQL that is no str": (lambda s: s.query(b"SELECT 1"), TypeError, "str"),  # type: ignore[call-overload]
    "SQL with a NUL": (lambda s: s.query("SELECT 1\0"), errors.ProgrammingError, "NUL"),
    "SQL with a surrogate": (
        lambda s: s.query("SELECT '\ud800'"),
        errors.ProgrammingError,
        "surrogate",
    ),
    "too few parameters": (
        lambda s: s.query("SELECT $1::int + $2::int", [1]),
        errors.ProgrammingError,
        "2 placeholders, 1 parameter",
    ),
    "too many parameters": (
        lambda s: s.query("SELECT $1::int", [1, 2]),
        errors.ProgrammingError,
        "1 placeholder, 2 parameters",
    ),
    "parameters for no placeholder": (
        lambda s: s.query("SELECT 1", [1]),
        errors.ProgrammingError,
        "0 placeholders, 1 parameter",
    ),
    "no parameters for a placeholder": (
        lambda s: s.query("SELECT $1::int"),
        errors.ProgrammingError,
        "1 placeholder, 0 parameters",
    ),
    "a number as parameters": (lambda s: s.query("SELECT $1::int", 1), TypeError, "int"),  # type: ignore[call-overload]
    "a str as parameters": (lambda s: s.query("SELECT $1::text", "a"), TypeError, "str"),
    "bytes as parameters": (lambda s: s.query("SELECT $1::text", b"a"), TypeError, "bytes"),
    "a dict for a text without names": (
        lambda s: s.query("SELECT $1::int", {"a": 1}),
        errors.ProgrammingError,
        "not use: a",
    ),
    "a set as parameters": (lambda s: s.query("SELECT $1::int", {1}), TypeError, "set"),  # type: ignore[call-overload]
    "an unsupported type": (
        lambda s: s.query("SELECT $1::int, $2::text", [1, Odd()]),
        TypeError,
        r"\$2.*Odd.*text",
    ),
    "a NUL in text": (
        lambda s: s.query("SELECT $1::text", ["a\0b"]),
        errors.CharacterNotInRepertoire,
        r"\$1.*NUL",
    ),
    "a surrogate in text": (
        lambda s: s.query("SELECT $1::text", ["a\ud800b"]),
        errors.CharacterNotInRepertoire,
        r"\$1.*surrogate",
    ),
    "an int beyond int2": (
        lambda s: s.query("SELECT $1::int2", [2**15]),
        errors.NumericValueOutOfRange,
        "out of range",
    ),
    "an int beyond int4": (
        lambda s: s.query("SELECT $1::int4", [-(2**31) - 1]),
        errors.NumericValueOutOfRange,
        "out of range",
    ),
    "an int beyond int8": (
        lambda s: s.query("SELECT $1::int8", [2**63]),
        errors.NumericValueOutOfRange,
        "out of range",
    ),
    "a fraction for an int": (lambda s: s.query("SELECT $1::int", [1.5]), errors.DataError, r"\$1"),
    "a Decimal fraction for an int": (
        lambda s: s.query("SELECT $1::int", [Decimal("1.5")]),
        errors.DataError,
        r"\$1",
    ),
    "text that is no number": (
        lambda s: s.query("SELECT $1::int", ["four"]),
        errors.InvalidTextRepresentation,
        "integer",
    ),
    "COPY": (lambda s: s.query("COPY (SELECT 1) TO STDOUT"), errors.NotSupportedError, "COPY"),
    "execute_many of no iterable": (
        lambda s: s.execute_many("SELECT $1::int", 7),  # type: ignore[arg-type]
        TypeError,
        "iterable",
    ),
    "execute_many of no sequences": (
        lambda s: s.execute_many("SELECT $1::int", [7]),  # type: ignore[list-item]
        TypeError,
        "sequence",
    ),
    "execute_many of strs": (
        lambda s: s.execute_many("SELECT $1::text", ["ab"]),
        TypeError,
        "str",
    ),
    "execute_many with a short row": (
        lambda s: s.execute_many("SELECT $1::int, $2::int", [[1, 2], [3]]),
        errors.ProgrammingError,
        "2 placeholders, 1 parameter",
    ),
    "a timeout that is no number": (
        lambda s: s.query("SELECT 1", timeout="1"),  # type: ignore[call-overload]
        TypeError,
        "timeout|number",
    ),
    "a negative timeout": (lambda s: s.query("SELECT 1", timeout=-1), ValueError, "timeout"),
    "a timeout of NaN": (
        lambda s: s.query("SELECT 1", timeout=float("nan")),
        ValueError,
        "timeout",
    ),
    "on_commit of no function": (lambda s: s.on_commit(7), TypeError, "callable"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("call", "error", "text"), BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_a_bad_call_is_a_clear_error(
    session: DbSession, call: Callable[[DbSession], object], error: type[Exception], text: str
) -> None:
    for _ in range(2):  # the second time the statement may be known already
        with pytest.raises(error, match=text):
            call(session)


CLIENT_SIDE = {
    "an unsupported type": ("SELECT $1::text", [Odd()], TypeError),
    "too many parameters": ("SELECT $1::int", [1, 2], errors.ProgrammingError),
    "an int out of range": ("SELECT $1::int", [2**40], errors.NumericValueOutOfRange),
}


@pytest.mark.parametrize(("sql", "params", "error"), CLIENT_SIDE.values(), ids=CLIENT_SIDE.keys())
def test_what_is_refused_before_it_is_sent_does_not_abort_the_transaction(
    session: DbSession, sql: str, params: list[Any], error: type[Exception]
) -> None:
    with session.transaction():
        session.execute("CREATE TEMP TABLE kept (n int) ON COMMIT DROP")
        with pytest.raises(error):
            session.query(sql, params)
        assert session.query_value("SELECT count(*) FROM kept") == 0


def test_no_message_shows_a_parameters_value(session: DbSession) -> None:
    secret = 98_765_432_109_876
    for sql, value in (
        ("SELECT $1::int", secret),
        ("SELECT $1::int2", float(secret) + 0.5),
        ("SELECT $1::bool", secret),
        ("SELECT $1::text", f"{secret}\0"),
    ):
        with pytest.raises((errors.Error, TypeError)) as caught:
            session.query(sql, [value])
        assert str(secret) not in str(caught.value)


def test_a_string_of_50_megabytes_goes_there_and_back(session: DbSession) -> None:
    text = "0123456789" * 5_000_000
    assert session.query_value("SELECT $1::text", [text]) == text


def test_65535_parameters_are_sent_and_65536_refused(session: DbSession) -> None:
    def sql(count: int) -> str:
        return f"SELECT cardinality(ARRAY[{','.join(f'${n}::int' for n in range(1, count + 1))}])"

    assert session.query_value(sql(65_535), list(range(65_535))) == 65_535
    with pytest.raises(errors.ProgrammingError):
        session.query_value(sql(65_536), list(range(65_536)))


def test_a_session_cannot_be_made_by_hand() -> None:
    classes: tuple[Callable[[], object], ...] = (DbSession, AsyncDbSession)  # type: ignore[assignment]
    for cls in classes:
        with pytest.raises(TypeError):
            cls()


@pytest.mark.parametrize(
    "wrong", [None, pytest.param(object(), id="an object"), 7, b"r1"], ids=repr
)
def test_db_of_no_request_is_a_type_error(wrong: object) -> None:
    with pytest.raises(TypeError, match="request id"):
        db(wrong)


def test_a_malformed_url_and_a_second_configuration_are_refused(configured: str) -> None:
    with pytest.raises(errors.ConfigurationError):
        Database.configure("postgresql://u:p@[::1/db", alias="malformed")
    with pytest.raises(errors.ConfigurationError, match="already configured"):
        Database.configure(configured, max_size=5)
    with pytest.raises(errors.ConfigurationError, match="missing"):
        db("r", alias="missing")


def fails_to_connect(url: str, error: type[errors.Error], **given: Any) -> errors.Error:
    """Connecting raises an error of the class, from every call that needs a connection."""
    Database.configure(url, connect_timeout_secs=5, alias="bad", **given)
    for call in (
        lambda: db("bad", alias="bad").begin(),
        lambda: db("bad", alias="bad").query("SELECT 1"),
    ):
        with pytest.raises(error) as caught:
            call()
    last_error = Database.status("bad").last_error
    assert last_error
    finalize_db("bad")
    Database.close("bad")
    assert "s3cret" not in str(caught.value) + last_error
    return caught.value


def test_a_wrong_password(password_server: str) -> None:
    fails_to_connect(url_with(password_server, password="s3cret"), errors.InvalidPassword)
    fails_to_connect(password_server, errors.InvalidPassword, password=lambda: "s3cret")


def test_an_unknown_database(configured: str) -> None:
    error = fails_to_connect(url_with(configured, dbname="nowhere"), errors.InvalidCatalogName)
    assert "nowhere" in str(error)


def test_a_server_that_is_down() -> None:
    with tempfile.TemporaryDirectory() as directory:
        error = fails_to_connect(
            f"postgresql://u:s3cret@/d?host={directory}", errors.OperationalError
        )
    assert error.safe_to_retry


def test_a_port_nobody_listens_on() -> None:
    fails_to_connect("postgresql://u:s3cret@127.0.0.1:1/d", errors.OperationalError)


def test_a_host_that_does_not_exist() -> None:
    fails_to_connect("postgresql://u:s3cret@host.invalid/d", errors.OperationalError)
